"""Cross-encoders: a query and a passage read together, which gives one score."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from longbert.arrays import DoubleArray, FloatArray
from longbert.config import ModelConfig
from longbert.core.batching import pack_batches
from longbert.core.windows import default_overlap, split_windows
from longbert.encoders.backbone import Backbone
from longbert.encoders.checkpoint.load import load_checkpoint
from longbert.encoders.checkpoint.locate import find_model
from longbert.encoders.devices.opened import open_device
from longbert.encoders.heads.detached import DetachedHead
from longbert.encoders.runtime.device import choose_precision
from longbert.encoders.tokenizers.pairs import PairTemplate, load_pair_template
from longbert.errors import ConfigError, InputError, ModelError, nearest
from longbert.tasks import TASKS

_TASK = "classify"
_OPTION = "rerank"


@dataclass(frozen=True, slots=True)
class _Pair:
    """A window of a query beside a window of a passage.

    Attributes:
        passage: its place among the passages.
        query_window: number of the query's window.
        ids, types: Shape of each: (positions,).
    """

    passage: int
    query_window: int
    ids: list[int]
    types: list[int]


class CrossEncoder:
    """Scores passages for a query; a score does not depend on the other passages.

    A pair that is too long for the model is read in windows of the passage beside the whole
    query, and scores what its best window does. A query of more than half a window is cut, too,
    and then a passage scores the mean over the windows of the query.

    Args:
        backbone: the encoder.
        head: one logit, or one for each label.
        template: how the two texts are joined.
        label: index of the logit that means relevant.
        batch_tokens: positions of a batch, padding included.
    """

    def __init__(
        self,
        backbone: Backbone,
        head: DetachedHead,
        template: PairTemplate,
        *,
        label: int,
        batch_tokens: int,
    ) -> None:
        self.backbone = backbone
        self._head = head
        self.template = template
        self._label = label
        self._batch_tokens = batch_tokens

    def scores(self, query: str, passages: Sequence[str]) -> FloatArray:
        """Score passages: the logit, or of several labels the log-odds of the one.

        Raises:
            InputError: the query has no token.
            ModelError: the model gave NaN or infinity.
        """
        tokenize = self.backbone.tokenizer.tokenize
        own = tokenize(query).ids.tolist()
        if not own:
            raise InputError("the query has nothing to search for: give at least one word")
        pairs = [
            pair
            for number, passage in enumerate(passages)
            for pair in self._pairs(number, own, tokenize(passage).ids.tolist())
        ]
        of_pairs = self._of_pairs(pairs)
        best: list[dict[int, float]] = [{} for _ in passages]
        for pair, score in zip(pairs, of_pairs.tolist(), strict=True):
            by_window = best[pair.passage]
            by_window[pair.query_window] = max(by_window.get(pair.query_window, -np.inf), score)
        means = [sum(one.values()) / len(one) for one in best]
        return np.array(means, np.float32)

    def _pairs(self, number: int, query: list[int], passage: list[int]) -> Iterator[_Pair]:
        """All windows of one pair."""
        room = self.backbone.limit - self.template.n_special
        half = room // 2
        n_query = len(query)
        if n_query + len(passage) > room and n_query > half:
            n_query = half
        n_passage = max(room - n_query, 1)
        overlap = default_overlap(n_passage)
        # A passage without a token is still a text that the model can read.
        windows = split_windows(len(passage), size=n_passage, overlap=overlap)
        spans = [(one.start, one.stop) for one in windows] or [(0, 0)]
        for part, own in enumerate(split_windows(len(query), size=n_query, overlap=0)):
            for start, stop in spans:
                ids, types = self.template.joined(query[own.start : own.stop], passage[start:stop])
                yield _Pair(number, part, ids, types)

    def _of_pairs(self, pairs: Sequence[_Pair]) -> DoubleArray:
        device = self.backbone.device
        scores = np.zeros(len(pairs))
        lengths = [len(pair.ids) for pair in pairs]
        batches = pack_batches(lengths, batch_tokens=self._batch_tokens, limit=self.backbone.limit)
        for packed in batches:
            own = [(pairs[one].ids, pairs[one].types) for one in packed.indices]
            length, n_pairs = packed.padded_length, len(own)
            n_rows = self.backbone.n_rows(n_pairs, length, batch_tokens=self._batch_tokens)
            batch = self.backbone.batch_pairs(own, length, n_rows)
            (states,) = self.backbone.hidden_states(batch)
            logits = device.download(self._head.logits(states, batch, device))[:n_pairs]
            scores[list(packed.indices)] = _log_odds(logits.astype(np.float64), self._label)
        if not np.isfinite(scores).all():
            raise ModelError(
                "the cross-encoder gave NaN or infinity for a passage: use another --rerank model"
            )
        return scores


def load_cross_encoder(name: str, *, label: str | None = None) -> CrossEncoder:
    """Load a sequence-classification checkpoint that reads pairs of texts.

    Args:
        name: a local folder or a hub id with optional ``@revision``.
        label: of a model of several, the one that means relevant.

    Raises:
        ModelError: the model is missing, incomplete or of the wrong kind.
        ConfigError: the model has several labels and none or an unknown one was named.
    """
    config = ModelConfig(embed="none", classify=(name,))
    folder = find_model(name, task=_TASK, config=config, option=_OPTION)
    if folder.head is not None:
        raise ModelError(
            f"{name} is a head that longbert train made, which reads one text and no pairs: "
            f"--{_OPTION} needs a cross-encoder, such as cross-encoder/ms-marco-MiniLM-L6-v2"
        )
    checkpoint = load_checkpoint(folder, TASKS[_TASK].model_class, config)
    template = load_pair_template(folder.path, name=name)
    if checkpoint.limit <= template.n_special + 1:
        raise ModelError(
            f"{name} takes {checkpoint.limit} positions, which leaves no room for a query and a "
            f"passage beside {template.n_special} special tokens: use another model"
        )
    device = open_device(config.device)
    dtype = choose_precision(config.precision, device.torch_device)
    head = DetachedHead(checkpoint, device=device.torch_device, dtype=dtype)
    backbone = Backbone(checkpoint, device=device, dtype=dtype)
    return CrossEncoder(
        backbone,
        head,
        template,
        label=_label_index(head.id2label, label, name=name),
        batch_tokens=backbone.fitting_batch_tokens(backbone.limit),
    )


def _label_index(id2label: dict[int, str], label: str | None, *, name: str) -> int:
    names = [id2label[index] for index in range(len(id2label))]
    known = ", ".join(names)
    if label is None:
        if len(names) == 1:
            return 0
        raise ConfigError(
            f"{name} has {len(names)} labels ({known}), and passages are ordered by one: name the "
            f"one that means relevant, with --{_OPTION}-label {names[-1]}"
        )
    if label not in names:
        raise ConfigError(
            f"--{_OPTION}-label must be a label of {name} ({known}), "
            f"got {label!r}{nearest(label, names)}"
        )
    return names.index(label)


def _log_odds(logits: DoubleArray, label: int) -> DoubleArray:
    """A single logit as it is; of several, how far one is above all others together."""
    wanted: DoubleArray = logits[:, label]
    others = np.delete(logits, label, axis=1)
    if not others.shape[1]:
        return wanted
    highest = others.max(axis=1)
    together = highest + np.log(np.exp(others - highest[:, np.newaxis]).sum(axis=1))
    odds: DoubleArray = wanted - together
    return odds
