"""HTML to plain text."""

from __future__ import annotations

import re
from typing import Any

from inscriptis.html_engine import Inscriptis
from inscriptis.model.config import ParserConfig
from lxml import etree, html

from longbert.errors import DocumentError
from longbert.readers.decoding import decode
from longbert.readers.kinds import Extract

_DECLARED = re.compile(
    rb"""<(?:meta\b[^>]*?\bcharset|\?xml\b[^>]*?\bencoding)\s*=\s*["']?\s*([\w.:-]+)""", re.I
)
_XML_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*>", re.I)
_DECLARED_WITHIN_BYTES = 4_096

# Inscriptis recurses once or twice for an element; Python stops at 1,000 calls.
_MOST_DEPTH = 150


def extract(data: bytes, *, encoding: str | None = None) -> Extract:
    """Decode a page and lay out its text.

    The charset that the page declares counts where neither a byte order mark nor UTF-8
    fits. Elements nested too deeply are flattened; their text is kept.

    Raises:
        DocumentError: the page cannot be decoded or parsed without losing text.
    """
    found = _DECLARED.search(data[:_DECLARED_WITHIN_BYTES])
    declared = found[1].decode("ascii", "replace") if found else None
    page = decode(data, declared=declared, named=encoding)
    page = _XML_DECLARATION.sub("", page, count=1)
    if not page.strip():
        return Extract("")
    # Not inscriptis.get_text: its parser drops a text node of 10 MB, and all that is
    # nested over 256 deep, without a word.
    parser = html.HTMLParser(huge_tree=True)
    try:
        root = html.document_fromstring(page, parser=parser, ensure_head_body=True)
        if any(entry.type == etree.ErrorTypes.ERR_RESOURCE_LIMIT for entry in parser.error_log):
            raise DocumentError(
                "read", "html", "the page is nested over 2,048 deep: simplify it or save it as text"
            )
        _flatten(root)
        text: str = Inscriptis(root, ParserConfig()).get_text()
    except etree.ParserError:
        # No element is left, as where the page is one comment: it has no text.
        return Extract("")
    except (etree.LxmlError, ValueError, RecursionError) as error:
        raise DocumentError(
            "read",
            "html",
            f"the page cannot be parsed ({type(error).__name__}): repair it or save it as text",
        ) from None
    return Extract(text)


def _flatten(root: Any) -> None:
    """Unwrap what has elements inside and lies too deep for a recursive walk."""
    depth = 0
    too_deep = []
    for event, element in etree.iterwalk(root, events=("start", "end")):
        depth += 1 if event == "start" else -1
        if event == "start" and depth > _MOST_DEPTH and len(element):
            too_deep.append(element)
    for element in reversed(too_deep):
        element.drop_tag()
