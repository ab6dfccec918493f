"""Bytes to text, never a mangled one: what is in doubt is an error."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from functools import cache

import chardet

from longbert.errors import DocumentError
from longbert.readers.encodings import SUPERSETS, is_over_ascii

BOM_UTF8 = codecs.BOM_UTF8

# UTF-32 first: its little-endian mark begins with that of UTF-16.
BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Encodings that are believed without being named. Others (Macintosh, DOS, EBCDIC) are rivals only:
# where one of them fits as well or better, the file is in doubt.
_TAKEN: Mapping[str, str] = {
    **SUPERSETS,
    **{
        name: name
        for name in (
            *(f"cp125{n}" for n in range(9)),
            *(f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15)),
            *("koi8-r", "koi8-u", "cp866", "cp874"),
            *("gb18030", "cp932", "cp949", "cp950", "big5hkscs"),
            *("euc_jp", "iso2022_jp", "iso2022_kr"),
        )
    },
}

# Found by trying: tests/readers/test_decoding.py says with what result.
_LEAST_CONFIDENCE = 0.2
_LEAST_LEAD = 1.01
# A stray byte or two in ASCII is damage as well as a letter.
_LEAST_CHARS = 4

_UTF8_SEQUENCE = re.compile(
    rb"[\xc2-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf4][\x80-\xbf]{3}"
)
# As UTF-8 was first defined: with overlong forms, surrogates, and more than U+10FFFF.
_UTF8_SHAPE = re.compile(
    rb"[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}|[\xf0-\xf7][\x80-\xbf]{3}"
    rb"|[\xf8-\xfb][\x80-\xbf]{4}|[\xfc\xfd][\x80-\xbf]{5}"
)
ISO_2022 = re.compile(rb"\x1b\$[@B]|\x1b\$\)C")
_IN_NO_TEXT = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f-\x9f\ue000-\uf8ff\ufffd]")
CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_LATIN_BESIDE_OTHER = re.compile(
    "[A-Za-zÀ-ÖØ-öø-ɏ][\u0370-\u06ff\u0e00-\u0e7f]|[\u0370-\u06ff\u0e00-\u0e7f][A-Za-zÀ-ÖØ-öø-ɏ]"
)
_QUOTES = frozenset("“”")
_MARKS = frozenset("‘’“”–—…•")
_MISPLACED_MARK = re.compile("[A-Za-z][“‘]|”[A-Za-z]|[A-Za-z][–•][A-Za-z]")
_REMEDY = "name its encoding with --encoding NAME, or save it as UTF-8"
_UNMARKED = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")


def decode(data: bytes, *, declared: str | None = None, named: str | None = None) -> str:
    """Decode by byte order mark, else as UTF-8, else as named or declared, else by detection.

    Nothing is normalised; only the byte order mark at the very start is dropped.
    Detection (chardet) is believed where its answer is a wide-spread encoding, is ahead
    of every other one that would give another text, and gives a text without control
    characters.

    Args:
        data: the whole document.
        declared: the encoding that the document itself names.
        named: the codec that the user names. UTF-8 comes before it only where ASCII is a part of
            both; what it is in UTF-16, say, looks like UTF-8 with many zeros.

    Raises:
        DocumentError: binary, damaged, in doubt, or not in the encoding that was named.
    """
    for mark, encoding in BOMS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(encoding)
            except UnicodeDecodeError as error:
                raise damaged_marked(encoding, error.start + len(mark)) from None
    if named is not None and not is_over_ascii(named):
        return _named(data, named)
    if data.count(0) * 4 > len(data):
        raise _unmarked(data)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        if named is not None:
            return _named(data, named)
        return _declared(data, declared) or _detected(data, error.start)
    if ISO_2022.search(data):
        return _iso_2022(data) or text
    return text


def has_wide_bom(data: bytes) -> bool:
    """Whether ``data`` begins as UTF-16 or UTF-32."""
    return any(data.startswith(mark) for mark, _ in BOMS[1:])


def _declared(data: bytes, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        return data.decode(_TAKEN[codecs.lookup(name).name])
    except (LookupError, ValueError):
        return None


def _named(data: bytes, name: str) -> str:
    try:
        text = data.decode(name)
    except UnicodeDecodeError as error:
        raise wrong_name(name, error.start) from None
    if len(CONTROL.findall(text)) * 20 > len(text):
        raise wrong_name(name)
    return text


def damaged_marked(encoding: str, place: int) -> DocumentError:
    """A byte is not of the encoding that the file's mark says."""
    return _error(
        f"it is marked as {encoding.upper()}, but byte {place} is not: restore it from its source, "
        "or save it as UTF-8"
    )


def wrong_name(name: str, place: int | None = None) -> DocumentError:
    """A file is not in the encoding that was named for it: by a byte, or by what it gives."""
    if place is None:
        return _error(
            f"in {name}, which was named for it, over a twentieth of its characters are control "
            "characters: name another encoding with --encoding, or leave it out if it is binary"
        )
    return _error(
        f"byte {place} is not {name}, which was named for it: name another encoding with "
        "--encoding, or restore it from its source"
    )


def _unmarked(data: bytes) -> DocumentError:
    """Many zeros: UTF-16 or UTF-32 as it seems, or no text at all."""
    for encoding in _UNMARKED:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if text and not _IN_NO_TEXT.search(text):
            return _error(
                f"it seems to be {encoding} without a byte order mark: {_named_as(encoding)}"
            )
    return _error(f"it is binary, or UTF-16 without a byte order mark: {_REMEDY}")


def _named_as(encoding: str) -> str:
    return (
        f"if it is, say so with --encoding {encoding}, or for some files only with "
        f"--encoding 'GLOB={encoding}'; else {_REMEDY}"
    )


def _iso_2022(data: bytes) -> str | None:
    """Japanese or Korean as mail has it: seven bits a byte, so that it passes for ASCII."""
    for encoding in ("iso2022_jp", "iso2022_kr"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return None


def _detected(data: bytes, first_other: int) -> str:
    _refuse_damaged_utf8(data, first_other)
    plausible = _plausible(data)
    best = next(plausible, None)
    if best is None:
        raise _error(f"it is binary, or in no known encoding: leave it out, or {_REMEDY}")
    confidence, encoding, text = best
    western = _typographic(data)
    if western is not None and (encoding == "cp1252" or set(western) >= _QUOTES):
        return western
    if encoding not in _TAKEN.values() or confidence < _LEAST_CONFIDENCE:
        raise _doubt(encoding)
    for other_confidence, other, other_text in plausible:
        if other_confidence * _LEAST_LEAD <= confidence:
            break
        if other_text != text:
            raise _doubt(encoding, other)
    if sum(not char.isascii() for char in text) < _LEAST_CHARS:
        raise _doubt(encoding)
    return text


def _doubt(encoding: str, rival: str | None = None) -> DocumentError:
    guess = f"{encoding} is the best guess" + (f", {rival} as good" if rival else "")
    return _error(f"it is not UTF-8, and its encoding is not sure: {guess}; {_named_as(encoding)}")


def _plausible(data: bytes) -> Iterator[tuple[float, str, str]]:
    """Confidence, encoding and text of every answer that gives a possible text, best first."""
    answers = chardet.detect_all(
        data, ignore_threshold=True, compat_names=False, max_bytes=len(data)
    )
    for answer in answers:
        name = answer["encoding"]
        if name is None:
            continue
        try:
            encoding = _superset(name)
            text = data.decode(encoding)
        except (LookupError, ValueError):
            continue
        if not _IN_NO_TEXT.search(text) and not _LATIN_BESIDE_OTHER.search(text):
            yield answer["confidence"], encoding, text


@cache
def _superset(name: str) -> str:
    name = codecs.lookup(name).name
    return _TAKEN.get(name, name)


def _refuse_damaged_utf8(data: bytes, first_other: int) -> None:
    """One wrong byte in UTF-8 must not turn all of it into two letters for one."""
    n_sequences = len(_UTF8_SEQUENCE.findall(data))
    n_wrong = data.decode(errors="replace").count("�")
    if (n_sequences and n_sequences >= n_wrong) or _UTF8_SHAPE.sub(b"", data).isascii():
        raise _error(
            f"it is UTF-8, but damaged or cut short at byte {first_other}: "
            "restore it from its source, or take the wrong bytes out with iconv -c -t UTF-8"
        )


def _typographic(data: bytes) -> str | None:
    """The text as cp1252, if all that is not ASCII is then a quote or dash in its place.

    English has little else, too little for statistics; read in another encoding, these
    marks are letters inside words.
    """
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        return None
    others = {char for char in text if not char.isascii()}
    if _IN_NO_TEXT.search(text) or not others <= _MARKS or _MISPLACED_MARK.search(text):
        return None
    return text


def _error(what: str) -> DocumentError:
    return DocumentError("read", "encoding", f"the text cannot be decoded safely: {what}")
