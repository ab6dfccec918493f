"""What is shown of a document, against the text it is cut from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.written_tables import Doc, write_output

import longbert.index.excerpts as excerpts_module
from longbert.index.excerpts import Excerpt, Wanted, read_excerpts
from longbert.index.lexical.analysis import analyse
from longbert.index.snapshot import open_snapshot
from longbert.store.folder import OutputFolder


def shown(
    passages: list[str], scores: list[float], weights: dict[str, float] | None = None
) -> Excerpt:
    """The excerpt of one document, given as its passages and their scores."""
    docs = [Doc("other", None, None, 1), Doc("wanted", None, None, len(passages))]
    files = write_output(
        docs,
        width=0,
        text_of=lambda name, ordinal: passages[ordinal] if name == "wanted" else "Else.",
    )
    numbers = {
        int(analyse(word, language="en").terms[0]): weight
        for word, weight in (weights or {}).items()
    }
    wanted = Wanted(1, np.array(scores, np.float32), numbers)
    (excerpt,) = read_excerpts(open_snapshot(OutputFolder(files, "out")), [wanted])
    return excerpt


PASSAGE = st.sampled_from(
    ["It rains. ", "A word and ", "another word. ", "No end in sight", "\n\n", "Why? ", "水火。"]
)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_spans_are_exact_apart_and_hold_the_best_passage(data: st.DataObject) -> None:
    passages = data.draw(st.lists(PASSAGE, min_size=1, max_size=9))
    score = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    scores = data.draw(st.lists(score, min_size=len(passages), max_size=len(passages)))
    text = "".join(passages)

    excerpt = shown(passages, scores, {"word": 1.0})

    assert excerpt.n_chars == len(text)
    covered = sorted((one.char_start, one.char_end) for one in excerpt.passages)
    for one in excerpt.passages:
        assert text[one.char_start : one.char_end] == one.text
        assert [one.text[start:end] for start, end in one.words] == ["word"] * one.text.count(
            "word"
        )
    assert all(end < start for (_, end), (start, _) in pairwise(covered))
    found = [(-one.score, one.char_start) for one in excerpt.passages]
    assert found == sorted(found)
    assert excerpt.passages[0].score == max(scores)
    best = int(np.argmax(scores))
    begin = sum(map(len, passages[:best]))
    stripped = passages[best].strip()
    if stripped:
        begin += passages[best].index(stripped)
        assert any(start <= begin and begin + len(stripped) <= end for start, end in covered)


def test_an_excerpt_grows_to_the_sentences_around() -> None:
    excerpt = shown(
        ["First one. Then the ", "price was ", "agreed on. ", "Last one."], [0.0, 1.0, 0.0, 0.0]
    )
    whole = [one.text for one in excerpt.passages]
    # The two others of the best three are neighbours.
    assert whole == ["First one. Then the price was agreed on."]
    assert excerpt.passages[0].is_cut == (False, False)


def test_an_excerpt_without_ends_of_sentences_grows_by_so_many_characters() -> None:
    passages = ["x " * 600, "price ", "y " * 600, "z. ", "a. ", "b. ", "c. "]

    best = shown(passages, [0, 1, 0, 0, 0, 0.5, 0.5]).passages[0]

    assert "price" in best.text
    assert len(best.text) <= len("price ") + 2 * excerpts_module.WIDENED_CHARS
    assert best.is_cut == (True, True)


def test_a_sentence_that_goes_on_beyond_what_is_read_is_known_to_be_cut() -> None:
    sentence = ["It goes ", *["on and "] * 10, "to here."]

    middle = shown(sentence, [0] * 5 + [1, 0.5, 0.5] + [0] * 4).passages[0]
    begins = shown(sentence, [1, 0.5, 0.5] + [0] * 9).passages[0]

    assert middle.is_cut == (True, True)
    assert begins.is_cut == (False, True)


@pytest.mark.parametrize(
    ("first", "title"),
    [
        ("  The   title \nand more", "The title"),
        ("\n \n", ""),
        ("word " * 40, ("word " * 40)[:79].rstrip() + "…"),
    ],
)
def test_the_title_is_the_first_line(first: str, title: str) -> None:
    assert shown([first, "Then more."], [0.0, 1.0]).title == title


def test_slight_words_are_not_marked_and_the_strongest_sentence_has_the_most() -> None:
    text = "The price of it. The price and the rent of it. Nothing."

    (passage,) = shown([text], [1.0], {"price": 4.0, "rent": 3.0, "the": 1.1}).passages

    assert [text[start:end] for start, end in passage.words] == ["price", "price", "rent"]
    assert passage.strongest is not None
    start, end = passage.strongest
    assert text[start:end] == "The price and the rent of it."


def test_of_equally_strong_sentences_the_first_is_the_strongest() -> None:
    # A sum of floats depends on the order, and words in a set have none.
    weights = {f"w{sentence}x{word}": word / 10 for sentence in range(9) for word in (1, 2, 3)}
    sentences = [f"Ah w{number}x1 w{number}x2 w{number}x3." for number in range(9)]

    (passage,) = shown([" ".join(sentences)], [1.0], weights).passages

    assert passage.strongest == (0, len(sentences[0]))


def test_without_words_of_the_query_nothing_is_marked() -> None:
    (passage,) = shown(["One. Two."], [1.0]).passages
    assert (passage.words, passage.strongest) == ((), None)


def test_only_what_is_shown_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = excerpts_module.read_texts

    def watched(snapshot: object, passages: list[int]) -> dict[int, str]:
        read.extend(passages)
        return real(snapshot, passages)  # type: ignore[arg-type]

    monkeypatch.setattr(excerpts_module, "read_texts", watched)
    scores = [0.0] * 30
    scores[10] = scores[11] = scores[12] = 1.0

    shown(["A sentence. "] * 30, scores)

    # The first for the title, and two on either side; the part before has one passage.
    assert sorted(read) == [1, *range(9, 16)]


def test_a_character_that_is_asked_for_alone_is_marked_inside_words() -> None:
    excerpt = shown(["天气很好。我们喝茶水。"], [1.0], {"茶": 1.0})
    (passage,) = excerpt.passages
    assert [passage.text[start:end] for start, end in passage.words] == ["茶"]
    assert passage.strongest is not None
    assert passage.text[slice(*passage.strongest)] == "我们喝茶水。"
