"""A checkpoint's head on hidden states that were computed elsewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from longbert.encoders.batch import WindowBatch
from longbert.encoders.checkpoint.digest import weights_digest
from longbert.encoders.checkpoint.load import Checkpoint
from longbert.encoders.devices.base import Device


class DetachedHead:
    """The head of an ``AutoModelFor...``, apart from its encoder.

    Given the encoder's own output it reproduces the logits of the whole model bit for bit.

    Args:
        checkpoint: with a head, which is moved and cast in place.
        device, dtype: where and in what precision to compute.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> None:
        assert checkpoint.head is not None
        self._head = checkpoint.head.to(device=device, dtype=dtype)
        self.id2label = self._head.id2label
        self.problem_type = self._head.problem_type
        self.digest = weights_digest(
            self._head.named_weights(),
            extra={"id2label": self.id2label, "problem_type": self.problem_type},
        )

    def logits(self, hidden: Tensor, batch: WindowBatch, device: Device) -> Tensor:
        """Logits in float32 on the device.

        Row by row where the number of rows is not fixed: in float32 the product with the weights of
        a pooler or classifier was seen to depend on it. Beside the encoder the head costs next to
        nothing.

        Args:
            hidden: of the last layer. Shape: (rows, positions, width).
            batch: that it was made from.
            device: where it is.

        Returns:
            Shape: (rows, n_labels), or (rows, positions, n_labels) for tagging heads.
        """
        with torch.inference_mode():
            ids, mask = (device.upload(one) for one in (batch.input_ids, batch.attention_mask))
            if device.has_fixed_shapes:
                logits: Tensor = self._head(hidden, ids, mask)
                return logits.float()
            rows = [
                self._head(*(one[row : row + 1] for one in (hidden, ids, mask)))
                for row in range(len(hidden))
            ]
            return torch.cat(rows).float()
