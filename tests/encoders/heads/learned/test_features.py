"""What learned heads read of a window: its own positions, owned tokens, and copies."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.tagger_features import tagger_features
from torch import Tensor

from longbert.core.windows import split_windows
from longbert.core.word_shape import FLAGS, N_STRINGS, WordShapes
from longbert.encoders.batch import TokenWindow, WindowBatch
from longbert.encoders.devices.plain import PlainDevice
from longbert.encoders.heads.learned.document_head import owned_states
from longbert.encoders.heads.learned.features import FeatureHead
from longbert.encoders.tokenizers.base import TokenizedText

CPU = PlainDevice(torch.device("cpu"))


def batch_of(n_tokens: int, *, left: int) -> tuple[list[Tensor], WindowBatch]:
    """Two overlapping windows behind so many special tokens, and the states of three layers."""
    tokens = TokenizedText(
        ids=np.arange(n_tokens, dtype=np.int32),
        offsets=np.stack([np.arange(n_tokens), np.arange(1, n_tokens + 1)], axis=1),
        starts_word=np.arange(n_tokens) % 2 == 0,
        is_unknown=np.zeros(n_tokens, dtype=np.bool_),
    )
    windows = split_windows(n_tokens, size=8, overlap=4)
    shapes = [
        WordShapes(
            np.flatnonzero((np.arange(w.start, w.stop) % 2 == 0) | (np.arange(w.n_tokens) == 0)),
            np.zeros((4, len(FLAGS)), np.float32),
            np.zeros((4, N_STRINGS), np.int64),
        )
        for w in windows
    ]
    rows = [
        TokenWindow(tokens.ids[w.start : w.stop], w, i == 0, i == len(windows) - 1, words)
        for i, (w, words) in enumerate(zip(windows, shapes, strict=True))
    ]
    mask = torch.ones(len(rows), 8 + left + 1, dtype=torch.long)
    states = [torch.zeros(len(rows), 8 + left + 1, 2) for _ in range(3)]
    for layer, one in enumerate(states):
        for row, window in enumerate(windows):
            for place in range(window.n_tokens):
                one[row, left + place] = torch.tensor([window.start + place, layer])
    return states, WindowBatch(rows, mask, mask, [left] * len(rows), left, 1)


@pytest.mark.parametrize("left", [0, 1, 3])
def test_each_token_is_owned_once(left: int) -> None:
    states, batch = batch_of(12, left=left)
    assert len(batch.windows) == 2
    owned = torch.cat([owned_states((2, 0), states, batch, row) for row in range(2)])
    assert owned[:, 0].tolist() == owned[:, 2].tolist() == list(range(12))
    assert set(owned[:, 1].tolist()) == {2}
    assert set(owned[:, 3].tolist()) == {0}


@pytest.mark.parametrize("left", [0, 1, 3])
def test_features_are_those_of_a_windows_own_positions(left: int) -> None:
    states, batch = batch_of(12, left=left)
    for row, start in enumerate((0, 4)):
        features = tagger_features((1, 2), states, batch, row)
        assert features["states"].shape == (4, 2, 2)
        assert features["states"][:, 0, 0].tolist() == [start + 2 * n + 0.5 for n in range(4)]
        assert features["states"][:, :, 1].tolist() == [[1, 2]] * 4


def test_features_are_kept_when_their_batch_is_gone() -> None:
    states, batch = batch_of(12, left=1)

    def read(states: object, batch: WindowBatch, row: int) -> dict[str, np.ndarray]:
        return tagger_features((0,), states, batch, row) | {"view": states[0][row].numpy()}  # type: ignore

    head = FeatureHead(read, needs_word_shapes=True)
    one, other = head.partials(head.reduce(states, batch, CPU), batch)
    before = one["view"].copy(), other["view"].copy()
    states[0].fill_(-1)
    assert np.array_equal(one["view"], before[0])
    assert np.array_equal(other["view"], before[1])
    assert head.merge([one, other]) == [one, other]
    assert (head.needs_word_shapes, head.needs_all_layers) == (True, True)
