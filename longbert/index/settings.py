"""What an index is built with: what was asked for, and what the output has recorded."""

from __future__ import annotations

from longbert.config import IndexTypeName, Recall, parse_bytes
from longbert.index.backend import faiss_version
from longbert.index.kinds import AUTO
from longbert.settings import check_setting
from longbert.store.fingerprints import IndexSettings

DEFAULT_RECALL = 0.95


def index_settings(
    metric: str,
    *,
    type: str | None,
    memory: str | None,
    recall: float | None,
    before: IndexSettings | None,
) -> IndexSettings:
    """Settings of an index; what is None stays as it was, so that no run undoes another's choice.

    Args:
        metric: how vectors are compared.
        type, memory, recall: as in :class:`longbert.config.RunConfig`.
        before: what the output was indexed with; None: it was not.

    Raises:
        ConfigError: the type is unknown, the memory is no size, or the recall is out of range.
    """
    check_setting("type", type, IndexTypeName | None)
    check_setting("recall", recall, Recall | None)
    memory_bytes = parse_bytes("memory", memory)
    if before is not None:
        type = before.type if type is None else type
        memory_bytes = before.memory_bytes if memory_bytes is None else memory_bytes
        recall = before.recall if recall is None else recall
    return IndexSettings(
        metric=metric,
        type=AUTO if type is None else type,
        memory_bytes=memory_bytes,
        recall=DEFAULT_RECALL if recall is None else recall,
        faiss=faiss_version(),
    )
