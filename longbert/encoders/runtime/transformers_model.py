"""Encoders and heads that transformers loads and computes.

No other module knows the models of transformers.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from longbert.encoders.runtime.architecture import architecture_of
from longbert.encoders.runtime.base import EncoderModule, HeadModule, ModelParts
from longbert.encoders.transformers_log import silenced

_POOLER = "pooler."


class TransformersEncoder(EncoderModule):
    """The encoder of a model of transformers.

    Args:
        base: the base model.
        attention: its implementation.
    """

    implementation = "transformers"

    def __init__(self, base: Any, *, attention: str) -> None:
        super().__init__()
        self._base = base
        config = base.config
        self.attention = attention
        self.model_type = str(config.model_type)
        self.width = int(config.hidden_size)
        self.n_layers = int(config.num_hidden_layers)
        self.n_positions = _n_positions(base)
        self._has_types = _has_types(base)
        self.n_ids = int(base.get_input_embeddings().num_embeddings)
        self.architecture = architecture_of(config.to_dict())

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None,
        token_types: Tensor | None = None,
        *,
        all_layers: bool = False,
    ) -> tuple[Tensor, ...]:
        """Hidden states; the last one is what the base model returns as its own."""
        own = {} if token_types is None or not self._has_types else {"token_type_ids": token_types}
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        output = self._base(
            input_ids=input_ids,
            attention_mask=mask,
            output_hidden_states=all_layers,
            **own,
        )
        last: Tensor = output.last_hidden_state
        return (*output.hidden_states[:-1], last) if all_layers else (last,)

    def layers(self) -> Sequence[nn.Module]:
        """The first list of so many modules as there are layers."""
        for module in self._base.modules():
            if isinstance(module, nn.ModuleList) and len(module) == self.n_layers > 0:
                return list(module)
        return []

    def named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Weights by their names in the base model."""
        for name, weight in self._base.named_parameters():
            if not name.startswith(_POOLER):
                yield name, weight

    def replace_weights(self, weights: Mapping[str, Tensor]) -> Sequence[str]:
        """Replace some weights of the base model."""
        _, unexpected = self._base.load_state_dict(dict(weights), strict=False)
        return list(unexpected)


class TransformersHead(HeadModule):
    """The head of an ``AutoModelFor...``, which reads hidden states in place of its encoder.

    Given the encoder's own output it reproduces the logits of the whole model bit for bit.

    Args:
        model: with its head; its encoder is dropped from it.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self._states = _GivenStates(model.base_model)
        setattr(model, model.base_model_prefix, self._states)
        self._model = model
        self.id2label: dict[int, str] = dict(model.config.id2label)
        self.problem_type: str | None = model.config.problem_type

    def forward(self, hidden: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits of hidden states."""
        self._states.hidden = hidden
        try:
            output = self._model(input_ids=input_ids, attention_mask=attention_mask)
        finally:
            self._states.hidden = None
        logits: Tensor = output.logits
        return logits

    def named_weights(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Weights by their names in the whole model; the pooler's are among them."""
        yield from self._model.named_parameters()


class _GivenStates(nn.Module):
    """Stands where a head expects its encoder, and returns what it was given.

    The pooler stays, since it belongs to the head: two heads on one encoder have each their own.
    """

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.config = base.config
        self.pooler = getattr(base, "pooler", None)
        # ALBERT keeps its pooler's activation beside it.
        self.pooler_activation = getattr(base, "pooler_activation", None)
        self._here = threading.local()

    @property
    def hidden(self) -> Tensor | None:
        """Of this thread, beside which others may run the same head."""
        return getattr(self._here, "hidden", None)

    @hidden.setter
    def hidden(self, hidden: Tensor | None) -> None:
        self._here.hidden = hidden

    def forward(self, *_: Any, **__: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPooling

        assert self.hidden is not None
        pooled = None
        if self.pooler_activation is not None and self.pooler is not None:
            pooled = self.pooler_activation(self.pooler(self.hidden[:, 0]))
        elif self.pooler is not None:
            pooled = self.pooler(self.hidden)
        return BaseModelOutputWithPooling(last_hidden_state=self.hidden, pooler_output=pooled)


def load_transformers_model(
    folder: Path, *, model_class: str, trust_pickle: bool, trust_remote_code: bool
) -> ModelParts:
    """Load a model in float32.

    Args:
        folder: of the model.
        model_class: name of the class of transformers, such as ``AutoModel``.
        trust_pickle: whether weights may be loaded from pickles.
        trust_remote_code: whether code that comes with the model may run.

    Raises:
        Exception: whatever transformers raises.
    """
    import transformers

    auto_class = getattr(transformers, model_class)
    for attention in ("sdpa", "eager"):
        try:
            with silenced():
                model, info = auto_class.from_pretrained(
                    str(folder),
                    attn_implementation=attention,
                    dtype=torch.float32,
                    use_safetensors=None if trust_pickle else True,
                    output_loading_info=True,
                    # Told by name: the library itself would only point to its own log.
                    ignore_mismatched_sizes=True,
                    trust_remote_code=trust_remote_code,
                )
        except ValueError as error:
            if attention == "sdpa" and _lacks_sdpa(error):
                continue
            raise
        missing = set(info["missing_keys"])
        if model_class == "AutoModel":
            missing = {name for name in missing if "pooler" not in name}
        return _taken_apart(
            model.eval().requires_grad_(False), attention, missing, info["mismatched_keys"]
        )
    raise AssertionError("every architecture implements eager attention")


def outline_transformers_model(folder: Path, *, trust_remote_code: bool) -> TransformersEncoder:
    """The encoder that a ``config.json`` describes, without weights: it cannot be run.

    Raises:
        Exception: whatever transformers raises.
    """
    from transformers import AutoConfig, AutoModel

    with silenced(), torch.device("meta"):
        config = AutoConfig.from_pretrained(str(folder), trust_remote_code=trust_remote_code)
        base = AutoModel.from_config(config, trust_remote_code=trust_remote_code)
    return TransformersEncoder(base, attention=base.config._attn_implementation)


def _taken_apart(
    model: Any,
    attention: str,
    missing: set[str],
    mismatched: Sequence[tuple[str, Sequence[int], Sequence[int]]],
) -> ModelParts:
    base = model.base_model
    return ModelParts(
        encoder=TransformersEncoder(base, attention=attention),
        head=None if model is base else TransformersHead(model),
        missing=frozenset(missing),
        misshapen=tuple(
            (name, tuple(found), tuple(expected)) for name, found, expected in sorted(mismatched)
        ),
    )


def _lacks_sdpa(error: ValueError) -> bool:
    return "scaled_dot_product_attention" in str(error)


def _has_types(base: Any) -> bool:
    """Whether tokens of two texts are told apart: there may be a single type, or none."""
    takes_them = "token_type_ids" in inspect.signature(base.forward).parameters
    return takes_them and getattr(base.config, "type_vocab_size", 2) > 1


def _n_positions(base: Any) -> int | None:
    """Positions that the model takes: rows of its table, less those that padding uses up."""
    limits = [getattr(base.config, "max_position_embeddings", None)]
    table = getattr(getattr(base, "embeddings", None), "position_embeddings", None)
    if isinstance(table, nn.Embedding):
        taken = 0 if table.padding_idx is None else table.padding_idx + 1
        limits.append(table.num_embeddings - taken)
    return min((limit for limit in limits if limit and limit > 0), default=None)
