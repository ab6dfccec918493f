"""Passages of tokenizers that have several tokens for one letter: whole, and pooled as they are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.encoding import encode, hostile_documents, load
from support.texts import SCRIPTS, long_text

from longbert.records import Document, DocumentResult

Models = Callable[..., Path]

# The last one has a convolution, whose bits depend on the batch.
FAMILIES = ("roberta", "modernbert", "xlm-roberta", "albert", "deberta-v3", "bertweet")
OPTIONS: dict[str, dict[str, Any]] = {"modernbert": {"max_position_embeddings": 512}}
TEXT = (
    " ".join([*SCRIPTS, "½ of ﬁn \U0001f468\u200d\U0001f469  王\n\n伟  ", long_text(30)]) + " \n "
)


def first_tokens(offsets: np.ndarray, result: DocumentResult) -> list[int]:
    """The first token of each passage, told by its characters: the first that stands there."""
    starts = offsets[:, 0].tolist()
    return [0, *(starts.index(passage.char_start) for passage in result.passages[1:])]


@pytest.mark.parametrize("size", [1, 2, 7])
@pytest.mark.parametrize("family", FAMILIES)
def test_passages_hold_whole_characters(models: Models, family: str, size: int) -> None:
    encoder = load(embed=models(family, **OPTIONS.get(family, {})), window=64, passage=size)
    (pass_,) = encoder.models.passes
    for result in encode(encoder, [*hostile_documents(300), Document("scripts", TEXT)], size):
        text = result.document.text
        offsets = pass_.tokenizer.tokenize(text).offsets
        assert "".join(passage.text for passage in result.passages) == text
        assert all(passage.text for passage in result.passages)
        firsts = first_tokens(offsets, result)
        for first, stop in pairwise([*firsts, len(offsets)]):
            # Nothing before it reaches into it, so no letter is in two passages.
            assert first == 0 or offsets[:first, 1].max() <= offsets[first, 0]
            if stop - first > size:
                # No letter ends within it.
                inside = range(first + 1, stop)
                assert not any(
                    offsets[first:cut, 1].max() <= offsets[cut, 0] > offsets[first, 0]
                    and offsets[cut, 0] < len(text)
                    and offsets[cut, 0] > offsets[first:cut, 0].max()
                    for cut in inside
                    if cut - first <= size
                )


@pytest.mark.parametrize("size", [1, 3, 20])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_passage_is_the_mean_of_its_tokens_wherever_windows_end(
    models: Models, family: str, size: int
) -> None:
    folder = models(family, sentence_transformers={"normalize": False}, **OPTIONS.get(family, {}))
    encoder = load(embed=folder, window=24, overlap=5, passage=size)
    result = encoder(TEXT)
    (pass_,) = encoder.models.passes
    tokens = pass_.tokenizer.tokenize(TEXT)
    states = np.empty((len(tokens), 32))
    for one in pass_.split(TEXT, tokens):
        batch = pass_.backbone.batch([one], len(one.ids) + pass_.backbone.n_special)
        (hidden,) = pass_.backbone.hidden_states(batch)
        window, first = one.window, batch.content_starts[0]
        shift = first - window.start
        states[window.owned_start : window.owned_stop] = hidden[
            0, window.owned_start + shift : window.owned_stop + shift
        ]
    firsts = first_tokens(tokens.offsets, result)
    assert len(firsts) > len(TEXT) / 40 / size
    for passage, (first, stop) in zip(
        result.passages, pairwise([*firsts, len(tokens)]), strict=True
    ):
        assert passage.embedding == pytest.approx(states[first:stop].mean(axis=0), abs=1e-5)


@pytest.mark.parametrize("pooling", ["cls", "max"])
@pytest.mark.parametrize("size", [1, 5, 10])
@pytest.mark.parametrize("family", ["roberta", "xlm-roberta"])
def test_passages_encoded_alone_are_the_same_passages(
    models: Models, family: str, pooling: str, size: int
) -> None:
    files = {"pooling": pooling, "normalize": False}
    folder = models(family, sentence_transformers=files)
    # In XLM-R's normal form \ufdfa has 18 letters, more than a window of 12 positions holds.
    text = f"{TEXT} \ufdfa end"
    encoder = load(embed=folder, window=12, passage=size)
    result = encoder(text)
    _, pass_ = encoder.models.passes
    tokens = pass_.tokenizer.tokenize(text)
    firsts = first_tokens(tokens.offsets, result)
    windows = pass_.split(text, tokens)
    n_windows = []
    for passage, (first, stop) in zip(
        result.passages, pairwise([*firsts, len(tokens)]), strict=True
    ):
        own = [one for one in windows if first <= one.window.start < stop]
        assert sum(one.window.n_tokens for one in own) == stop - first
        n_windows.append(len(own))
        vectors = []
        for one in own:
            batch = pass_.backbone.batch([one], len(one.ids) + pass_.backbone.n_special)
            (hidden,) = pass_.backbone.hidden_states(batch)
            states = hidden[0].numpy()
            vectors.append(states[0] if pooling == "cls" else states.max(axis=0))
        if pooling == "max":
            expected = np.max(vectors, axis=0)
        else:
            weights = [one.window.n_tokens for one in own]
            expected = np.average(vectors, axis=0, weights=weights)
        assert passage.embedding == pytest.approx(expected, abs=1e-5)
    assert (max(n_windows) > 1) == (family == "xlm-roberta")


def test_a_byte_level_passage_of_one_token(models: Models) -> None:
    encoder = load(embed=models("roberta"), passage=1)
    passages = encoder("a 王伟 met \U0001f600").passages
    assert [passage.text for passage in passages] == ["a ", "王", "伟 ", "m", "et ", "\U0001f600"]
