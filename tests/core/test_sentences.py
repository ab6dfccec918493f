"""Borders of sentences, and spans widened to them."""

import textwrap
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longbert.core.sentences import (
    QUERY_SENTENCES,
    query_sentences,
    sentence_spans,
    sentence_starts,
    strongest,
    widened,
)

TEXTS = st.text(st.sampled_from("ab A.。!\n \u3000'’é"), max_size=60)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("He said “no.” Then left.", ["He said “no.”", "Then left."]),
        ("See Fig. 3, Dr. J. Smith, e.g. it. End", ["See Fig. 3, Dr. J. Smith, e.g. it.", "End"]),
        ("Agreed. 2. Rent is due. See 3. End", ["Agreed.", "2. Rent is due.", "See 3.", "End"]),
        ("1. Rent\n2.1. Heat\n1843. Then", ["1. Rent", "2.1. Heat", "1843.", "Then"]),
        ("Version 3.14 is out. ok.", ["Version 3.14 is out. ok."]),
        ("A title\nA: hello\r\n\r\nB: yes", ["A title", "A: hello", "B: yes"]),
        ("今天天气很好。我们去公园！好", ["今天天气很好。", "我们去公园！", "好"]),
        ("他说：“不行。”然后走了？！好", ["他说：“不行。”", "然后走了？！", "好"]),
        ("実験．値は３．１４である．", ["実験．", "値は３．１４である．"]),
        ("မြန်မာ။စာ။ ខ្មែរ។ Ձմեռ։ Կա", ["မြန်မာ။", "စာ။", "ខ្មែរ។", "Ձմեռ։", "Կա"]),
        ("نعم؟ لا. هنا۔ यह है। वह", ["نعم؟", "لا.", "هنا۔", "यह है।", "वह"]),
        ("  \n ", []),
        ("", []),
    ],
)  # fmt: skip
def test_sentences(text: str, sentences: list[str]) -> None:
    assert [text[start:end] for start, end in sentence_spans(text)] == sentences


@given(TEXTS)
def test_sentences_hold_all_that_is_not_white_space(text: str) -> None:
    spans = sentence_spans(text)

    starts = sentence_starts(text)
    assert starts == sorted(set(starts))
    kept = "".join(text[start:end] for start, end in spans)
    assert "".join(kept.split()) == "".join(text.split())


@given(TEXTS, st.data())
def test_a_widened_span_holds_the_span_and_ends_at_borders(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    limit = data.draw(st.integers(0, 30))

    begin, stop = widened(text, start, end, limit_chars=limit)

    assert text[start:end].strip() in text[begin:stop]
    assert text[begin:stop] == text[begin:stop].strip()
    if text[start:end].strip() and limit == 30 and len(text) <= 30:
        assert begin in [one for one, _ in sentence_spans(text)]
        assert stop in [one for _, one in sentence_spans(text)]


def test_a_span_in_a_long_sentence_is_widened_to_words() -> None:
    text = "word " * 100

    assert widened(text, 202, 252, limit_chars=20) == (200, 254)


@pytest.mark.parametrize(("scores", "place"), [([], None), ([0, 0], None), ([0, 2, 2], 1)])
def test_strongest(scores: list[float], place: int | None) -> None:
    assert strongest(scores) == place


@given(st.text(alphabet="ab. !\n…", max_size=200))
def test_the_sentences_of_a_query_hold_its_letters_in_few_parts(text: str) -> None:
    spans = query_sentences(text)

    assert 1 <= len(spans) <= QUERY_SENTENCES
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    shown = "".join(text[start:end] for start, end in spans)
    assert [one for one in shown if one.isalnum()] == [one for one in text if one.isalnum()]


def test_a_query_is_cut_into_sentences_with_letters() -> None:
    text = "Who pays? … The tenant. !!"

    assert [text[a:b] for a, b in query_sentences(text)] == ["Who pays?", "The tenant."]
    assert query_sentences("?!") == [(0, 2)]
    long = "One. " * (3 * QUERY_SENTENCES - 1)
    assert len(query_sentences(long)) == QUERY_SENTENCES
    assert query_sentences(long)[-1][1] == len(long) - 1


PARAGRAPH = (
    "A first sentence that goes on over several lines of a page, since nobody would want to read "
    "it otherwise, and that ends here. Another one follows it and ends there."
)
ITEM = "- an item of a list that is about as long as a line of the page may be"


@pytest.mark.parametrize("width", [50, 72, 100])
def test_lines_that_were_broken_to_fit_a_page_end_no_sentence(width: int) -> None:
    text = f"{textwrap.fill(PARAGRAPH, width)}\n\nA heading\n{ITEM}\n- another item\n"
    sentences = [" ".join(text[start:end].split()) for start, end in sentence_spans(text)]
    first, second = PARAGRAPH.split(" Another")
    assert sentences == [first, f"Another{second}", "A heading", ITEM, "- another item"]


@pytest.mark.parametrize(
    "text",
    [
        "A line as long as any other of those around it, and\n`code`, that would have fitted, too.",
        "It is read at the end and then is published. The\nmanifest is replaced only if it is so.",
        "Output folders, this one and those of other\nruns, may be inside an input folder.",
        "- An item of a list that was edited later on\n  and goes on for much longer than it was "
        "before that.",
        "A line as long as any other of those around it may\nbe: " + "word " * 30 + "end.",
    ],
)
def test_lines_that_were_edited_later_end_no_sentence(text: str) -> None:
    assert len(sentence_starts(text)) == 1 + text.count(". ")


@pytest.mark.parametrize(
    "text",
    [
        "Short lines,\nas in a poem,\nare each one.",
        "Speaker A: " + "word " * 30 + "\nSpeaker B: " + "word " * 30,
        "a line of more than forty characters that has room\nfor words of " + "the next " * 6,
        "A line of more than forty characters that has room\nFor words of " + "the next " * 6,
        "A line as long as any other of those around it\n- an item",
        "A line as long as any other of those around it\n```text",
        "A line as long as any other of those around it\nSpeaker: a line of about that length",
    ],
)
def test_lines_that_are_lines_end_a_sentence(text: str) -> None:
    lines = text.splitlines()
    assert next(text[start:end] for start, end in sentence_spans(text)) == lines[0].rstrip()
