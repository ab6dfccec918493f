"""HTML to the text that a reader sees."""

from __future__ import annotations

import re
from typing import Any

from lxml import etree, html

from longbert.errors import DocumentError
from longbert.readers.decoding import decode
from longbert.readers.kinds import Extract
from longbert.readers.layout import Layout

_DECLARED = re.compile(
    rb"""<(?:meta\b[^>]*?\bcharset|\?xml\b[^>]*?\bencoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I
)
_XML_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*>", re.I)
# It ends the line of the tag and is no part of the text.
_FIRST_LINE_BREAK = re.compile(r"\A\r?\n")
_DECLARED_WITHIN_BYTES = 4_096
_INVISIBLE_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)\b", re.I)


def _tags(names: str) -> frozenset[str]:
    return frozenset(names.split())


# What the HTML Standard's style sheet for browsers (section 15.3) does not display, what is there
# for programs that cannot do without, and parts of drawings and formulas that are not drawn.
_UNSEEN = _tags(
    "area audio base basefont canvas datalist embed head iframe link meta noembed noframes "
    "noscript param rp script source style template title track video annotation "
    "annotation-xml defs desc metadata symbol"
)
# That style sheet's blocks, and form controls, which it draws as boxes of their own. The second
# set has a margin above and below.
_BLOCKS = _tags(
    "address article aside body button caption center dd details dialog div dt fieldset "
    "figcaption footer form frameset header hgroup html label legend li main nav optgroup "
    "option search section select summary table tbody textarea tfoot thead tr"
)
_SPACED_BLOCKS = _tags(
    "blockquote dir dl figure h1 h2 h3 h4 h5 h6 hr listing menu ol p plaintext pre ul xmp"
)
_PREFORMATTED = _tags("listing plaintext pre textarea xmp")
_LISTS = _tags("dir menu ol ul")
_CELLS = _tags("td th")


def extract(data: bytes, *, encoding: str | None = None) -> Extract:
    """Decode a page and lay out its text; its title is metadata.

    Line breaks, blank lines and white space are as in the standard's ``innerText``: blocks stand
    on lines of their own, cells are separated by tabs. Beyond it, neighbouring links and images
    are kept apart, and images give their ``alt``.

    Args:
        data: the page.
        encoding: the codec that the user names. It counts, and without it the charset that the
            page declares, where neither a byte order mark nor UTF-8 fits.

    Raises:
        DocumentError: the page cannot be decoded or parsed without losing text.
    """
    found = _DECLARED.search(data[:_DECLARED_WITHIN_BYTES])
    declared = found[1].decode("ascii", "replace") if found else None
    page = decode(data, declared=declared, named=encoding)
    page = _XML_DECLARATION.sub("", page, count=1)
    if not page.strip():
        return Extract("")
    # Without `huge_tree`, a text of 10 MB and all that is nested over 256 deep are dropped without
    # a word.
    parser = html.HTMLParser(huge_tree=True)
    try:
        root = html.document_fromstring(page, parser=parser, ensure_head_body=True)
        if any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log):
            raise DocumentError(
                "read", "html", "the page is nested over 2,048 deep: simplify it or save it as text"
            )
        title = _title(root)
        return Extract(_text(root), {"title": title} if title else {})
    except etree.ParserError:
        # No element is left, as where the page is one comment: it has no text.
        return Extract("")
    except (etree.LxmlError, ValueError) as error:
        raise DocumentError(
            "read",
            "html",
            f"the page cannot be parsed ({type(error).__name__}): repair it or save it as text",
        ) from None


def _title(root: Any) -> str:
    for element in root.iter("title"):
        # Drawings have titles of their own.
        if not any(above.tag == "svg" for above in element.iterancestors()):
            return " ".join((element.text or "").split())
    return ""


def _text(root: Any) -> str:
    layout = Layout()
    n_preformatted = 0
    walk = etree.iterwalk(root, events=("start", "end", "comment", "pi"))
    for event, element in walk:
        tag = element.tag
        is_seen = event in ("start", "end") and not _is_unseen(element)
        if event == "start":
            if not is_seen:
                walk.skip_subtree()
                continue
            n_preformatted += tag in _PREFORMATTED
            _open(layout, element)
            text = element.text
            if tag in _PREFORMATTED and text:
                text = _FIRST_LINE_BREAK.sub("", text)
            layout.write(text, is_preformatted=n_preformatted > 0)
            continue
        if is_seen:
            n_preformatted -= tag in _PREFORMATTED
            layout.break_lines(_n_breaks(element))
        if element is not root:
            layout.write(element.tail, is_preformatted=n_preformatted > 0)
    return layout.text()


def _open(layout: Layout, element: Any) -> None:
    tag = element.tag
    before = element.getprevious()
    if tag == "br":
        layout.break_line()
    elif tag == "img":
        layout.separate(" ")
        layout.write(element.get("alt"))
        layout.separate(" ")
    elif tag == "a" and before is not None and before.tag == "a" and not before.tail:
        layout.separate(" ")
    elif tag in _CELLS and any(cell.tag in _CELLS for cell in element.itersiblings(preceding=True)):
        layout.separate("\t")
    layout.break_lines(_n_breaks(element))


def _n_breaks(element: Any) -> int:
    """Line breaks before and after an element: two leave a blank line."""
    tag = element.tag
    if tag in _LISTS:
        parent = element.getparent()
        return 1 if parent is not None and parent.tag == "li" else 2
    return 2 if tag in _SPACED_BLOCKS else int(tag in _BLOCKS)


def _is_unseen(element: Any) -> bool:
    if element.tag in _UNSEEN:
        return True
    hidden = element.get("hidden")
    if hidden is not None and hidden.lower() != "until-found":
        return True
    style = element.get("style")
    return style is not None and _INVISIBLE_STYLE.search(style) is not None
