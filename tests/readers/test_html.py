"""Pages to text, as a reader sees it."""

from __future__ import annotations

import pytest

from longbert.errors import DocumentError
from longbert.readers.html import extract


def html_text(data: bytes) -> str:
    return extract(data).text


def test_html_is_laid_out() -> None:
    page = (
        "<html><head><title>T</title><style>p{}</style><script>var evil</script></head>"
        "<body><h1>Head</h1><p>one<br>two &amp; 3</p><ul><li>x</ul><table><tr><td>a<td>b"
    )
    assert [line.strip() for line in html_text(page.encode()).split("\n") if line.strip()] == [
        "Head", "one", "two & 3", "* x", "a  b",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "page",
    [
        '<meta charset="windows-1251"><p>да',
        "<meta http-equiv=Content-Type content='text/html; charset=windows-1251'><p>да",
        '<?xml version="1.0" encoding="windows-1251"?><html><p>да',
    ],
)
def test_declared_charset_counts_where_utf8_does_not_fit(page: str) -> None:
    assert html_text(page.encode("cp1251")).strip() == "да"
    assert html_text(page.encode()).strip() == "да"
    assert html_text(b"\xff\xfe" + page.encode("utf-16-le")).strip() == "да"


def test_declared_charset_counts_wherever_the_head_holds_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("chardet.detect_all", lambda data, **options: [])
    page = f"<head><style>{' ' * 3_000}</style><meta charset=koi8-r></head><p>да"
    assert html_text(page.encode("koi8-r")).strip() == "да"


@pytest.mark.parametrize("name", ["unicode_escape", "utf-7", "hex", "nonsense", "utf-8"])
def test_declared_charset_of_no_use_leaves_the_doubt(name: str) -> None:
    with pytest.raises(DocumentError):
        html_text(f"<meta charset={name}><p>caf\xe9".encode("latin-1"))


@pytest.mark.parametrize("page", ["", " ", "<!-- c -->", "<!DOCTYPE html>", "<frameset>"])
def test_html_without_text_is_empty(page: str) -> None:
    assert html_text(page.encode()).strip() == ""


def test_huge_and_broken_html_loses_nothing() -> None:
    word = "w" * 11_000_000
    assert html_text(f"<p>{word}".encode()).strip() == word
    deep = html_text(
        ("<div>" * 1_500 + "<script>evil</script>in" + "</div>" * 1_500 + "out").encode()
    )
    assert deep.split() == ["in", "out"]
    with pytest.raises(DocumentError, match="nested over"):
        html_text(("<b>" * 5_000 + "x").encode())
    assert html_text(b"<p>a\0b <x <<p>c & d</q></p").split()[0] == "a\ufffdb"
