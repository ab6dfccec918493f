"""What can be said of the models of a configuration before their weights are loaded."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from longbert.config import ModelConfig
from longbert.encoders.checkpoint.declared import Prompts
from longbert.encoders.checkpoint.digest import description
from longbert.encoders.checkpoint.load import check_ids, position_limit
from longbert.encoders.checkpoint.locate import ModelFolder
from longbert.encoders.checkpoint.request import ModelRequest, find_backbone, find_requested
from longbert.encoders.checkpoint.stored import stored_digest
from longbert.encoders.readings import Reading, readings_of
from longbert.encoders.runtime.base import EncoderModule
from longbert.encoders.runtime.load import outline_model
from longbert.encoders.tokenizers.base import Tokenizer
from longbert.encoders.tokenizers.load import load_tokenizer
from longbert.encoders.transformers_log import first_line
from longbert.errors import ModelError


@dataclass(frozen=True, slots=True)
class OutlinedModel:
    """A model as asked for, without weights; a reading's model.

    Attributes:
        request: what it is and what it is for.
        digest: stands for that of its backbone: models that would share a pass have equal ones.
        tokenizer: without a prompt.
        limit: positions that it takes, special tokens included.
        width: of a hidden state.
    """

    request: ModelRequest
    digest: str
    tokenizer: Tokenizer
    limit: int
    width: int


@dataclass(frozen=True)
class ModelsOutline:
    """The models of a configuration, without weights.

    Attributes:
        readings: of the passes, as the models would have them.
        width: of the embedding; None without an embedding model.
        metric: ``cosine`` or ``dot``; None without an embedding model.
        prompts: of the embedding model; None without one.
    """

    readings: tuple[Reading[OutlinedModel], ...]
    width: int | None
    metric: str | None
    prompts: Prompts | None


def outline_models(config: ModelConfig, *, for_queries: bool = False) -> ModelsOutline:
    """Find the models of a configuration and tell how they read documents.

    Needs their tokenizers, ``config.json`` and sentence-transformers files. The readings are those
    of :func:`longbert.encoders.models.load_models`. To tell which models would share a pass, the
    files of weights are compared where several could; one that cannot be read counts as different.

    Args:
        config: models and how documents are split for them.
        for_queries: put the prompt of queries before a text, and make no passages.

    Raises:
        ModelError: a model is missing or of the wrong kind, or its tokenizer cannot be loaded.
        ConfigError: window, overlap, passage or a prompt do not fit a backbone; two heads of one
            name.
    """
    requests = find_requested(config, with_weights=False)
    folders = [_encoder_folder(one, requests, config) for one in requests]
    outlines = {folder.path: _Outline.of(folder, config) for folder in folders}
    digests = _digests(outlines)
    models = [
        OutlinedModel(
            request=request,
            # Layers that were trained with a head make a backbone of its own.
            digest=str(request.folder.path)
            if request.folder.head is not None and request.folder.head.n_unfrozen
            else digests[folder.path],
            tokenizer=outlines[folder.path].tokenizer,
            limit=outlines[folder.path].limit,
            width=outlines[folder.path].encoder.width,
        )
        for request, folder in zip(requests, folders, strict=True)
    ]
    embedding = next((model for model in models if model.request.prompts is not None), None)
    return ModelsOutline(
        readings=tuple(readings_of(models, config, for_queries=for_queries)),
        width=None if embedding is None else embedding.width,
        metric=None if embedding is None else config.metric or embedding.request.settings.metric,
        prompts=None if embedding is None else embedding.request.prompts,
    )


@dataclass(frozen=True)
class _Outline:
    """An encoder without weights, and its tokenizer."""

    encoder: EncoderModule
    tokenizer: Tokenizer
    limit: int

    @classmethod
    def of(cls, folder: ModelFolder, config: ModelConfig) -> _Outline:
        tokenizer = load_tokenizer(
            folder.path, name=folder.name, trust_remote_code=config.trust_remote_code
        )
        try:
            encoder = outline_model(folder.path, trust_remote_code=config.trust_remote_code)
        except Exception as error:
            raise ModelError(
                f"{folder.name}: {folder.path / 'config.json'} describes no model that can be "
                f"built ({type(error).__name__}: {first_line(error)}): restore the file"
            ) from error
        check_ids(folder, encoder, tokenizer)
        return cls(encoder, tokenizer, position_limit(folder, encoder, tokenizer))

    @property
    def kind(self) -> str:
        """Digest of all that decides on hidden states but the weights."""
        content = json.dumps(description(self.encoder, self.tokenizer), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def _encoder_folder(
    request: ModelRequest, requests: Sequence[ModelRequest], config: ModelConfig
) -> ModelFolder:
    """The folder of the encoder that a model reads."""
    if request.folder.head is None:
        return request.folder
    try:
        return find_backbone(request.folder, config, with_weights=False)
    except ModelError:
        # Its name may be that on another machine; the model's own digest is known once it is
        # loaded.
        copies = [one.folder for one in requests if one.task.architecture is None]
        if not copies:
            raise
        return copies[0]


def _digests(outlines: dict[Path, _Outline]) -> dict[Path, str]:
    """For each folder what is the same for equal backbones."""
    kinds = {path: outline.kind for path, outline in outlines.items()}
    n_of_kind = Counter(kinds.values())
    digests = {}
    for path, kind in kinds.items():
        stored = None
        if n_of_kind[kind] > 1:
            names = [name for name, _ in outlines[path].encoder.named_weights()]
            stored = stored_digest(path, names)
        digests[path] = f"{kind} {stored or path.resolve()}"
    return digests
