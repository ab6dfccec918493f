"""Pages to text, as a reader sees it."""

from __future__ import annotations

from html import escape

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from longbert.errors import DocumentError
from longbert.readers.html import extract


def html_text(data: bytes) -> str:
    return extract(data).text


def test_html_is_laid_out() -> None:
    page = (
        "<html><head><title>T</title><style>p{}</style><script>var evil</script></head>"
        "<body><h1>Head</h1><p>one<br>two &amp; 3</p><ul><li>x</ul><table><tr><td>a<td>b<tr><td>c"
    )
    assert html_text(page.encode()) == "Head\n\none\ntwo & 3\n\nx\n\na\tb\nc"


BLOCKS = [
    *("dt", "dd", "caption", "legend", "form", "fieldset", "section", "details", "summary"),
    *("dialog", "option", "button", "label", "textarea", "p", "div", "h1", "h6"),
    *("li", "blockquote", "pre", "address", "article", "aside", "footer", "header", "main"),
    *("nav", "figcaption", "center"),
]


@pytest.mark.parametrize("tag", BLOCKS)
def test_blocks_break(tag: str) -> None:
    page = f"<div>before<{tag}>one</{tag}><{tag}>two</{tag}>after</div>"
    if tag == "caption":
        page = "<div>before<table><caption>one</caption><tr><td>two</table>after</div>"
    lines = [line for line in html_text(page.encode()).split("\n") if line]
    assert lines == ["before", "one", "two", "after"]


@pytest.mark.parametrize("tag", ["b", "i", "em", "span", "sub", "font", "code", "custom-tag"])
def test_what_a_browser_shows_in_one_word_is_one_word(tag: str) -> None:
    page = f"<p>un<{tag}>believ</{tag}><{tag}>able</{tag}>, <{tag}> a </{tag}> <{tag}>b</{tag}>"
    assert html_text(page.encode()) == "unbelievable, a b"


@pytest.mark.parametrize(
    "tag",
    [
        *("template", "noscript", "noframes", "script", "style", "iframe"),
        *("noembed", "audio", "video", "canvas", "datalist"),
    ],
)
def test_what_a_reader_does_not_see_is_left_out(tag: str) -> None:
    assert html_text(f"<p>a <{tag}>evil</{tag}>b</p>".encode()) == "a b"
    assert html_text(f"<p>a <{tag}><b>evil</b> x</{tag}>b</p>".encode()) == "a b"


@pytest.mark.parametrize(
    ("attributes", "is_seen"),
    [
        ("hidden", False),
        ("hidden=HIDDEN", False),
        ("hidden=until-found", True),
        ("style='display:none'", False),
        ("style='color: red; DISPLAY : none !important'", False),
        ("style='visibility:hidden'", False),
        ("style='display:block'", True),
        ("style='not-display:none'", True),
        ("aria-hidden=true", True),
    ],
)
def test_attributes_that_hide(attributes: str, is_seen: bool) -> None:
    text = html_text(f"a <span {attributes}>x<i>y</i></span> b".encode())
    assert text == ("a xy b" if is_seen else "a b")


def test_entities_are_decoded_once() -> None:
    page = "<p>&amp;lt;b&amp;gt; &amp;amp; &lt;i&gt; &amp;#65; &#66; &nbsp;&eacute;</p>"
    assert html_text(page.encode()) == "&lt;b&gt; &amp; <i> &#65; B \u00a0é"


def test_a_definition_list_and_a_form() -> None:
    page = (
        "<dl><dt>Fruit<dd>Plum<dt>Root<dd>Beet</dl><form><label>Lane</label><label>Ward</label>"
        "</form><details><summary>Rest</summary>folded away</details>"
        "<select><option>left<option>right</select><svg><title>no</title><text>axis</text></svg>"
        "<button>Yes</button><button>No</button><math><mi>x</mi><annotation>tex</annotation></math>"
    )
    assert html_text(page.encode()).split("\n") == [
        *("Fruit", "Plum", "Root", "Beet", "", "Lane", "Ward", "Rest", "folded away"),
        *("left", "right", "axis", "Yes", "No", "x"),
    ]


def test_links_and_images_side_by_side_are_kept_apart() -> None:
    page = (
        "<a>Home</a><a>About</a><a>Us</a>, <a>x</a>; 1<img alt='a  plum'>2<img alt=''>3"
        "<img>4 <img alt=tree>."
    )
    assert html_text(page.encode()) == "Home About Us, x; 1 a plum 2 3 4 tree ."


def test_white_space_is_that_of_a_browser() -> None:
    page = (
        " <p>\n a \t b<!-- c --> c <b> d</b>  e </p> \n <p>f<br> g<br/><br>h<br><br><br>i<br></p>"
        "j<hr>k<ul>\n<li> 1 <ol><li>2</ol><li>3</ul>l<pre>\n\n  x\ty\n\n z\n</pre>m\x0cn"
    )
    assert html_text(page.encode()) == (
        "a b c d e\n\nf\ng\n\nh\n\ni\n\nj\n\nk\n\n1\n2\n3\n\nl\n\n\n  x\ty\n\n z\n\nm n"
    )


def test_cells_are_separated_and_rows_break() -> None:
    page = (
        "<table><thead><tr><th>A<th>B</thead><tr><td>1 <td><td> 3<tr><td><p>4</p><p>5</p><td>6"
        "</table>after"
    )
    assert html_text(page.encode()) == "A\tB\n1\t3\n\n4\n\n5\n\n6\nafter"


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title> The\n report &amp; more </title><p>x", "The report & more"),
        ("<p>x<svg><title>drawing</title></svg>", None),
        ("<svg><title>drawing</title></svg><title>late</title>", "late"),
        ("<title></title><p>x", None),
        ("<title>\u00a0</title><p>x", None),
    ],
)
def test_the_title_is_metadata(page: str, title: str | None) -> None:
    found = extract(page.encode())
    assert found.metadata == ({} if title is None else {"title": title})
    assert "report" not in found.text
    assert "drawing" not in found.text


WORDS = st.text(alphabet="abcé<>&\u00a0漢", min_size=1, max_size=6)
TREE = st.recursive(
    WORDS.map(escape),
    lambda inner: st.tuples(
        st.sampled_from(["p", "div", "b", "li", "td", "pre", "a", "script", "custom"]),
        st.lists(inner, max_size=4).map("".join),
    ).map(lambda pair: f"<{pair[0]}>{pair[1]}</{pair[0]}>"),
    max_leaves=20,
)


@given(TREE)
def test_every_character_comes_out_and_none_twice(page: str) -> None:
    """Against the parser's own idea of the text, white space and scripts apart."""
    root = html.document_fromstring(f"<body>x{page}</body>")
    for script in root.iter("script"):
        script.text = None
    wanted = "".join("".join(root.itertext()).split())
    found = html_text(f"<body>x{page}</body>".encode())
    assert "".join(found.split()) == wanted
    assert "\n\n\n" not in found
    assert found == found.strip(" \t\n")


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
