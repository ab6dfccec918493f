"""Running a checkpoint's head on hidden states that were computed elsewhere."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import BaseModelOutputWithPooling

from longbert.encoders.runtime.backbone import Checkpoint, WindowBatch, weights_digest


class _Precomputed(nn.Module):
    """Stands where a head expects its encoder, and returns what it was given.

    The pooler stays, since it belongs to the head: two heads on one encoder have each their own.
    """

    def __init__(self, base: Any) -> None:
        super().__init__()
        self.config = base.config
        self.pooler = getattr(base, "pooler", None)
        # ALBERT keeps its pooler's activation beside it.
        self.pooler_activation = getattr(base, "pooler_activation", None)
        self.hidden: Tensor | None = None

    def forward(self, *_: Any, **__: Any) -> BaseModelOutputWithPooling:
        assert self.hidden is not None
        pooled = None
        if self.pooler_activation is not None and self.pooler is not None:
            pooled = self.pooler_activation(self.pooler(self.hidden[:, 0]))
        elif self.pooler is not None:
            pooled = self.pooler(self.hidden)
        return BaseModelOutputWithPooling(last_hidden_state=self.hidden, pooler_output=pooled)


class HeadModel:
    """The head of an ``AutoModelFor...`` without its encoder.

    Giving it the encoder's own output reproduces the whole model's logits bit for bit.

    Args:
        checkpoint: its model is taken apart: the encoder is dropped from it.
        device, dtype: where and in what precision to compute.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> None:
        model = checkpoint.model
        self._backbone = _Precomputed(checkpoint.base)
        setattr(model, model.base_model_prefix, self._backbone)
        self._model = model.to(device=device, dtype=dtype)
        self.n_labels = int(model.config.num_labels)
        self.id2label: dict[int, str] = dict(model.config.id2label)
        self.problem_type: str | None = model.config.problem_type
        self.digest = weights_digest(
            model.named_parameters(),
            extra={"id2label": self.id2label, "problem_type": self.problem_type},
        )

    def logits(self, hidden: Tensor, batch: WindowBatch) -> Tensor:
        """Logits in float32 on the CPU.

        Row by row: in float32 the product with a pooler's or classifier's weights was seen to
        depend on the number of rows. Beside the encoder the head costs next to nothing.

        Shape: (batch, n_labels), or (batch, positions, n_labels) for tagging heads.
        """
        rows = [
            self._row(hidden[row : row + 1], batch, slice(row, row + 1))
            for row in range(len(hidden))
        ]
        return torch.cat(rows).float().cpu()

    def _row(self, hidden: Tensor, batch: WindowBatch, row: slice) -> Tensor:
        self._backbone.hidden = hidden
        try:
            with torch.inference_mode():
                output = self._model(
                    input_ids=batch.input_ids[row], attention_mask=batch.attention_mask[row]
                )
        finally:
            self._backbone.hidden = None
        logits: Tensor = output.logits
        return logits
