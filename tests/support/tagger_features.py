"""What training stores of a window for a tagger."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from longbert.encoders.batch import WindowBatch
from longbert.encoders.heads.learned.features import WindowFeatures
from longbert.encoders.heads.learned.token_head import window_word_states, word_looks


def tagger_features(
    layers: Sequence[int], states: Sequence[Tensor], batch: WindowBatch, row: int
) -> WindowFeatures:
    """Hidden states of its words, what they look like, and where each begins."""
    own = window_word_states(layers, states, batch, row).cpu().numpy()
    return {"states": own, **word_looks(batch.windows[row])}
