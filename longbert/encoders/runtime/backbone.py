"""Loading a checkpoint, and the encoder under its head."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from longbert.config import ModelConfig
from longbert.core.passages import Piece
from longbert.core.windows import Window
from longbert.core.word_shape import WordShapes
from longbert.encoders.checkpoint.locate import ModelFolder
from longbert.encoders.tokenizers.fast import TokenizedText, Tokenizer
from longbert.encoders.tokenizers.python_only import make_tokenizer
from longbert.errors import ModelError

# What a config.json says about training, heads and bookkeeping; the rest is architecture.
_NOT_ARCHITECTURE = frozenset(
    {
        "_attn_implementation_autoset",
        "_name_or_path",
        "architectures",
        "attn_implementation",
        "dtype",
        "finetuning_task",
        "gradient_checkpointing",
        "id2label",
        "initializer_range",
        "label2id",
        "num_labels",
        "output_attentions",
        "output_hidden_states",
        "problem_type",
        "return_dict",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)

# Dropout, and what belongs to heads.
_NOT_IN_USE = re.compile(r"dropout|^classifier_|^summary_|^task_specific_params$")

_MOST_TRIED = 6
_TRIED_TOKENS = 11
_VISIBLE_CHANGE = 0.05
"""Share of the largest hidden state; reduced precision changes less."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model as loaded, in float32, in evaluation mode.

    Attributes:
        folder: where it came from.
        model: base model or model with head.
        tokenizer: its tokenizer.
        attention: ``sdpa`` or ``eager``.
        limit: positions that model and tokenizer take, special tokens included.
        backbone_digest: SHA-256 of the encoder's weights (without pooler and head), architecture
            and tokenizer.
    """

    folder: ModelFolder
    model: Any
    tokenizer: Tokenizer
    attention: str
    limit: int
    backbone_digest: str

    @property
    def base(self) -> Any:
        """The encoder under the head."""
        return self.model.base_model


def load_checkpoint(folder: ModelFolder, auto_class: Any, config: ModelConfig) -> Checkpoint:
    """Load a checkpoint from safetensors and check that it is whole.

    Args:
        folder: as :func:`longbert.encoders.checkpoint.locate.find_model` found it.
        auto_class: ``AutoModel``, ``AutoModelForSequenceClassification``, ...
        config: for what the user trusts.

    Raises:
        ModelError: the files cannot be loaded, weights are missing or not finite, or the
            tokenizer does not fit.
    """
    from transformers import AutoTokenizer

    trust: dict[str, Any] = {"trust_remote_code": config.trust_remote_code}
    with _quiet():
        try:
            tokenizer = make_tokenizer(
                AutoTokenizer.from_pretrained(str(folder.path), use_fast=True, **trust),
                name=folder.name,
            )
        except ModelError:
            raise
        except Exception as error:
            raise ModelError(
                f"{folder.name}: its tokenizer cannot be loaded from {folder.path} "
                f"({type(error).__name__}: {_first_line(error)})"
            ) from error
        model, attention, missing = _load_weights(folder, auto_class, config, trust)
    model.eval().requires_grad_(False)
    missing = {
        name for name in missing if "pooler" not in name or auto_class.__name__ != "AutoModel"
    }
    if missing:
        raise ModelError(
            f"{folder.name} lacks the weights {', '.join(sorted(missing)[:3])}"
            f"{' and others' if len(missing) > 3 else ''}, which {auto_class.__name__} needs: "
            "use a checkpoint that was trained for this task"
        )
    for name, weight in model.named_parameters():
        if not torch.isfinite(weight).all():
            raise ModelError(f"{folder.name}: the weight {name} holds NaN or infinity")
    n_embeddings = model.get_input_embeddings().num_embeddings
    if tokenizer.n_ids > n_embeddings:
        raise ModelError(
            f"{folder.name}: its tokenizer has ids up to {tokenizer.n_ids - 1}, but the model has "
            f"embeddings for {n_embeddings} only: use the tokenizer it was trained with"
        )
    return Checkpoint(
        folder=folder,
        model=model,
        tokenizer=tokenizer,
        attention=attention,
        limit=_limit(model.base_model, tokenizer),
        backbone_digest=_backbone_digest(model.base_model, tokenizer),
    )


def with_trained_layers(checkpoint: Checkpoint, file: Path, *, name: str) -> Checkpoint:
    """A copy of a checkpoint in which some weights are replaced, hence another backbone.

    Args:
        checkpoint: stays as it is.
        file: safetensors with weights of the encoder.
        name: of the head they were trained with, for messages.

    Raises:
        ModelError: the file is damaged or holds weights that the encoder does not have.
    """
    base = copy.deepcopy(checkpoint.base)
    try:
        _, unexpected = base.load_state_dict(load_file(file), strict=False)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise ModelError(f"{name}: {file.name} is damaged ({_first_line(error)})") from None
    if unexpected:
        raise ModelError(
            f"{name}: {file.name} holds weights that the backbone does not have, such as "
            f"{unexpected[0]}: train the head again"
        )
    digest = _backbone_digest(base, checkpoint.tokenizer)
    return replace(checkpoint, model=base, backbone_digest=digest)


@dataclass(frozen=True, slots=True)
class TokenWindow:
    """A window of a document, ready to encode.

    Attributes:
        ids: content tokens. Shape: (window.n_tokens,).
        window: where it lies in the document.
        is_first, is_last: whether it begins or ends the document.
        words: what its words look like, where a head asks for it.
        pieces: the parts of passages that it owns, where a head asks for them.
    """

    ids: np.ndarray[Any, np.dtype[np.int32]]
    window: Window
    is_first: bool
    is_last: bool
    words: WordShapes | None = None
    pieces: tuple[Piece, ...] | None = None


def token_windows(text: TokenizedText, windows: Sequence[Window]) -> Iterator[TokenWindow]:
    """Cut a tokenized text into its windows."""
    for window in windows:
        yield TokenWindow(
            ids=text.ids[window.start : window.stop],
            window=window,
            is_first=window is windows[0],
            is_last=window is windows[-1],
        )


def joined_window(text: TokenizedText, runs: Sequence[Window]) -> TokenWindow:
    """Several runs of tokens of a document as one window, which then is all of it."""
    ids = np.concatenate([text.ids[run.start : run.stop] for run in runs])
    window = Window(0, len(ids), 0, len(ids))
    return TokenWindow(ids=ids, window=window, is_first=True, is_last=True)


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """Windows padded to one length, as tensors on the device.

    Attributes:
        windows: one for each row.
        input_ids, attention_mask: Shape: (batch, positions).
        content_starts: position of each row's first content token.
        n_prefix, n_suffix: special tokens before and after the content; a prompt's tokens are
            among those before.
    """

    windows: Sequence[TokenWindow]
    input_ids: Tensor
    attention_mask: Tensor
    content_starts: Sequence[int]
    n_prefix: int
    n_suffix: int


class Backbone:
    """An encoder on a device, without pooler and head.

    Args:
        checkpoint: the model is moved and cast in place.
        device, dtype: where and in what precision to compute.

    Raises:
        ModelError: what it makes of a text depends on the padding beside it.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> None:
        self.tokenizer = checkpoint.tokenizer
        self.limit = checkpoint.limit
        self.digest = checkpoint.backbone_digest
        self.attention = checkpoint.attention
        self.device = device
        self._model: nn.Module = checkpoint.base.to(device=device, dtype=dtype)
        # Some tokenizers ask for padding on the left of models that count positions from there.
        self._pads_left = self.tokenizer.pads_left
        if self._pads_left and self._reads_padding():
            self._pads_left = False
        if self._reads_padding():
            raise ModelError(
                f"{checkpoint.folder.name} ({checkpoint.base.config.model_type}) gives other "
                "hidden states to a text with padding beside it, so windows cannot share a batch: "
                "use an encoder whose attention leaves padding out, such as BERT or RoBERTa"
            )

    @property
    def n_special(self) -> int:
        """Positions of a window that its content cannot have."""
        return len(self.tokenizer.prefix) + len(self.tokenizer.suffix)

    def with_model(self, model: nn.Module) -> Backbone:
        """The same backbone with other weights, for what its digest does not matter."""
        other = copy.copy(self)
        other._model = model
        return other

    def with_tokenizer(self, tokenizer: Tokenizer) -> Backbone:
        """The same encoder, its weights shared, behind another tokenizer of the same ids."""
        other = copy.copy(self)
        other.tokenizer = tokenizer
        return other

    def batch(self, windows: Sequence[TokenWindow], padded_length: int) -> WindowBatch:
        """Put special tokens and padding around windows."""
        tokenizer = self.tokenizer
        n_prefix, n_suffix = len(tokenizer.prefix), len(tokenizer.suffix)
        shape = len(windows), padded_length
        ids = np.full(shape, tokenizer.pad_id, dtype=np.int64)
        mask = np.zeros(shape, dtype=np.int64)
        content_starts = []
        for row, window in enumerate(windows):
            length = n_prefix + len(window.ids) + n_suffix
            first = padded_length - length if self._pads_left else 0
            ids[row, first : first + length] = [*tokenizer.prefix, *window.ids, *tokenizer.suffix]
            mask[row, first : first + length] = 1
            content_starts.append(first + n_prefix)
        return WindowBatch(
            windows=windows,
            input_ids=torch.from_numpy(ids).to(self.device),
            attention_mask=torch.from_numpy(mask).to(self.device),
            content_starts=content_starts,
            n_prefix=n_prefix,
            n_suffix=n_suffix,
        )

    def hidden_states(self, batch: WindowBatch, *, all_layers: bool = False) -> tuple[Tensor, ...]:
        """Hidden states, the last ones last. Shape of each: (batch, positions, width).

        Args:
            batch: of windows.
            all_layers: also those of the layers below, from the embeddings up.
        """
        with torch.inference_mode():
            output = self._model(
                input_ids=batch.input_ids,
                attention_mask=batch.attention_mask,
                output_hidden_states=all_layers,
            )
        last: Tensor = output.last_hidden_state
        return (*output.hidden_states[:-1], last) if all_layers else (last,)

    def _reads_padding(self) -> bool:
        """Whether hidden states of a text change visibly with padding, tried on random tokens."""
        n_tokens = min(_TRIED_TOKENS, self.limit - self.n_special - 1)
        if n_tokens < 1:
            return False
        ids = np.random.default_rng(0).integers(0, self.tokenizer.n_ids, n_tokens, dtype=np.int32)
        window = TokenWindow(ids, Window(0, n_tokens, 0, n_tokens), is_first=True, is_last=True)
        length = n_tokens + self.n_special
        found = []
        for padded in (length, min(length + 5, self.limit)):
            batch = self.batch([window], padded)
            first = batch.content_starts[0]
            (states,) = self.hidden_states(batch)
            found.append(states[0, first : first + n_tokens].float())
        alone, beside = found
        if not (torch.isfinite(alone).all() and torch.isfinite(beside).all()):
            return False
        return bool((alone - beside).abs().max() > _VISIBLE_CHANGE * alone.abs().max())

    def is_batch_invariant(self, lengths: Iterable[int], *, batch_tokens: int) -> bool:
        """Whether a window has the same bits alone and among others, tried on random tokens.

        Among no more others than a batch of ``batch_tokens`` holds: trying long windows is dear.
        """
        generator = np.random.default_rng(0)
        for length in lengths:
            n_tokens = max(1, length - self.n_special)
            window = Window(0, n_tokens, 0, n_tokens)
            rows = max(2, min(_MOST_TRIED, batch_tokens // length))
            windows = [
                TokenWindow(
                    ids=generator.integers(0, self.tokenizer.n_ids, n_tokens, dtype=np.int32),
                    window=window,
                    is_first=True,
                    is_last=True,
                )
                for _ in range(rows)
            ]
            (together,) = self.hidden_states(self.batch(windows, length))
            (alone,) = self.hidden_states(self.batch(windows[-1:], length))
            if not torch.equal(together[-1:], alone):
                return False
        return True


def weights_digest(weights: Iterable[tuple[str, Tensor]], *, extra: object) -> str:
    """SHA-256 of named tensors and of a JSON-able description."""
    digest = hashlib.sha256(json.dumps(extra, sort_keys=True).encode())
    for name, weight in sorted(weights):
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}\n".encode())
        digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _backbone_digest(base: Any, tokenizer: Tokenizer) -> str:
    settings = {
        key: value
        for key, value in base.config.to_dict().items()
        if key not in _NOT_ARCHITECTURE and not _NOT_IN_USE.search(key)
    }
    weights = (
        (name, weight) for name, weight in base.named_parameters() if not name.startswith("pooler.")
    )
    padding = [tokenizer.pad_id, tokenizer.pads_left]
    return weights_digest(
        weights, extra={"config": settings, "tokenizer": tokenizer.digest, "padding": padding}
    )


def _load_weights(
    folder: ModelFolder, auto_class: Any, config: ModelConfig, trust: dict[str, Any]
) -> tuple[Any, str, set[str]]:
    """The model, its attention implementation, and the names of weights it lacks."""
    use_safetensors = None if config.trust_pickle else True
    for attention in ("sdpa", "eager"):
        try:
            model, info = auto_class.from_pretrained(
                str(folder.path),
                attn_implementation=attention,
                dtype=torch.float32,
                use_safetensors=use_safetensors,
                output_loading_info=True,
                # Refused below, by name: the library itself would only point to its own log.
                ignore_mismatched_sizes=True,
                **trust,
            )
        except ValueError as error:
            if attention == "sdpa" and "scaled_dot_product_attention" in str(error):
                continue
            raise _not_loadable(folder, error) from error
        except Exception as error:
            raise _not_loadable(folder, error) from error
        _check_shapes(folder, info["mismatched_keys"])
        return model, attention, set(info["missing_keys"])
    raise AssertionError("eager attention is implemented by every architecture")


def _check_shapes(
    folder: ModelFolder, mismatched: Iterable[tuple[str, Sequence[int], Sequence[int]]]
) -> None:
    for name, found, expected in sorted(mismatched):
        raise ModelError(
            f"{folder.name}: the weight {name} has the shape {tuple(found)}, but config.json "
            f"with its widths and labels asks for {tuple(expected)}: use the config.json that was "
            "saved with these weights"
        )


def _not_loadable(folder: ModelFolder, error: Exception) -> ModelError:
    return ModelError(
        f"{folder.name} cannot be loaded from {folder.path} "
        f"({type(error).__name__}: {_first_line(error)}): get the model's files again, or use one "
        "of the BERT family"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0][:300]


def _limit(base: Any, tokenizer: Tokenizer) -> int:
    """Positions that the model takes: its table's rows, less those that padding uses up."""
    limits = [tokenizer.max_tokens, getattr(base.config, "max_position_embeddings", None)]
    positions = getattr(getattr(base, "embeddings", None), "position_embeddings", None)
    if isinstance(positions, nn.Embedding):
        taken = 0 if positions.padding_idx is None else positions.padding_idx + 1
        limits.append(positions.num_embeddings - taken)
    known = [limit for limit in limits if limit and limit > 0]
    if not known:
        raise ModelError(
            "neither the model nor its tokenizer says how many positions it takes: "
            "set model_max_length in tokenizer_config.json"
        )
    return min(known)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the progress bars and advice of transformers out of our output."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    showed_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if showed_bars:
            logging.enable_progress_bar()
