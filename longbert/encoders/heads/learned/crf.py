"""The loss of a linear-chain conditional random field (Lafferty et al. 2001)."""

from __future__ import annotations

import torch
from torch import Tensor


def crf_loss(
    emissions: Tensor, tags: Tensor, mask: Tensor, transitions: Tensor, allowed: Tensor
) -> Tensor:
    """Negative log-likelihood of sequences of labels, in nats for each element.

    A sequence may begin and end with any label, as a window may within an entity.

    Args:
        emissions: Shape: (batch, n, n_labels).
        tags: right labels. Shape: (batch, n).
        mask: 1 for elements, 0 for the padding behind them. Shape: (batch, n).
        transitions: scores, trained. Shape: (n_labels, n_labels).
        allowed: whether the second label may follow the first. Shape: (n_labels, n_labels).
    """
    table = transitions.masked_fill(~allowed, -1e4)
    known = mask.bool()
    right = emissions.gather(2, tags[..., None])[..., 0]
    moves = table[tags[:, :-1], tags[:, 1:]]
    gold = (right * mask).sum(dim=1) + (moves * mask[:, 1:]).sum(dim=1)
    totals = emissions[:, 0]
    for element in range(1, emissions.shape[1]):
        reached = torch.logsumexp(totals[:, :, None] + table, dim=1) + emissions[:, element]
        totals = torch.where(known[:, element, None], reached, totals)
    losses = torch.logsumexp(totals, dim=1) - gold
    return losses.sum() / mask.sum()
