"""Files decoded piece by piece, against the same files decoded as a whole."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.listing import list_inputs
from support.texts import SCRIPTS

from longbert.errors import DocumentError
from longbert.readers import pieces, piecewise
from longbert.readers.decoding import BOMS, decode
from longbert.readers.documents import read, read_pieces, scan
from longbert.readers.pieces import DocumentPieces
from longbert.readers.piecewise import codec_of, decoded_pieces, survey
from longbert.readers.settings import ReadSettings
from longbert.records import Document, ErrorRow
from longbert.store.filesystem import LocalFileSystem

ENCODINGS = (
    *("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "cp1252", "cp1251", "koi8-r", "utf-7"),
    *("gb18030", "cp932", "euc_jp", "iso2022_jp", "big5hkscs", "cp949", "shift_jis_2004"),
)
MARKS = {encoding: mark for mark, encoding in BOMS}
TEXT = st.text("ab é\r\n\tж北京あ한😀\x00\x01~{", max_size=60) | st.sampled_from(SCRIPTS)


def outcome(data: bytes, named: str | None, *, in_pieces: bool) -> str:
    """The text, or what is wrong with the file."""
    try:
        if not in_pieces:
            return decode(data, named=named)
        codec = codec_of(survey(io.BytesIO(data)), named=named)
        if codec is None:
            return decode(data, named=named)
        return "".join(decoded_pieces(io.BytesIO(data), codec))
    except DocumentError as error:
        return str(error)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("is_named", [True, False])
def test_pieces_are_the_text_of_the_whole(encoding: str, is_named: bool) -> None:
    @given(
        text=TEXT,
        size=st.integers(1, 9),
        is_marked=st.booleans(),
        damage=st.none() | st.tuples(st.integers(0, 99), st.binary(min_size=1, max_size=2)),
    )
    def check(text: str, size: int, is_marked: bool, damage: tuple[int, bytes] | None) -> None:
        data = text.encode(encoding, "ignore")
        if is_marked:
            data = MARKS.get(encoding, b"") + data
        if damage is not None:
            data = data[: damage[0]] + damage[1] + data[damage[0] :]
        named = encoding if is_named else None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(piecewise, "PIECE_BYTES", size)
            assert outcome(data, named, in_pieces=True) == outcome(data, named, in_pieces=False)

    check()


def test_what_can_be_told_without_the_whole_text() -> None:
    def found(data: bytes, named: str | None = None) -> str | None:
        codec = codec_of(survey(io.BytesIO(data)), named=named)
        return None if codec is None else codec.name

    assert found("né".encode()) == "utf-8"
    assert found(b"\xff\xfen\x00") == "utf-16-le"
    assert found("né".encode("cp1252"), "cp1252") == "cp1252"
    assert found("né".encode(), "cp1252") == "utf-8"
    assert found(b"n\x00", "utf-16-le") == "utf-16-le"
    # These are for the detector, or for a message about all of the file.
    assert found("né".encode("cp1252")) is None
    assert found("日本".encode("iso2022_jp")) is None
    assert found(b"n\x00\x00\x00") is None


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(piecewise, "PIECE_BYTES", 16)
    monkeypatch.setattr(pieces, "PIECE_CHARS", 16)
    (tmp_path / "a.txt").write_bytes("\ufeffNé\r\nüber 北京 ".encode() * 9)
    (tmp_path / "b.txt").write_bytes(
        "Съешь же ещё этих мягких французских булок, да выпей чаю. ".encode("koi8-r") * 9
    )
    (tmp_path / "c.html").write_text("<title>T</title><p>" + "Some words. " * 20)
    (tmp_path / "d.jsonl").write_text('{"id": "x", "text": "a\\ud800 ' + "b " * 40 + '", "n": 1}\n')
    (tmp_path / "e.txt").write_bytes(b"\xff\xfe" + "ab".encode("utf-16-le") * 30 + b"\x00\xd8")
    return tmp_path


def test_every_kind_of_document_can_be_read_in_pieces(files: Path) -> None:
    filesystem, settings = LocalFileSystem(), ReadSettings()
    listing = list_inputs(filesystem, [str(files)])
    refs = [ref for file in listing.files for ref in scan(filesystem, file, settings)]
    assert len(refs) == 5
    n_failed = 0
    for ref in refs:
        assert ref.error is None
        (whole,) = read(filesystem, [ref], settings)
        found = read_pieces(filesystem, ref, settings)
        if isinstance(whole, ErrorRow):
            n_failed += 1
            assert isinstance(found, DocumentPieces)
            with pytest.raises(DocumentError) as raised:
                list(found.pieces)
            assert whole.message.endswith(raised.value.message)
            continue
        assert isinstance(found, DocumentPieces)
        assert isinstance(whole, Document)
        texts = list(found.pieces)
        assert "".join(texts) == whole.text
        assert len(texts) > 3
        assert found.document.text == ""
        assert (found.document.document_id, found.document.source, found.document.metadata) == (
            whole.document_id,
            whole.source,
            whole.metadata,
        )
    assert n_failed == 1


def test_a_file_that_has_changed_or_gone_or_is_too_large(files: Path) -> None:
    filesystem, settings = LocalFileSystem(), ReadSettings()
    (file,) = list_inputs(filesystem, [str(files / "a.txt")]).files
    (ref,) = scan(filesystem, file, settings)
    found = read_pieces(filesystem, ref, ReadSettings(max_text_bytes=100))
    assert isinstance(found, DocumentPieces)
    with pytest.raises(DocumentError, match=r"the text has 186 bytes, and max_text_bytes is 100"):
        list(found.pieces)
    (files / "a.txt").write_text("something else")
    changed = read_pieces(filesystem, ref, settings)
    assert isinstance(changed, ErrorRow)
    assert changed.error == "changed"
    (files / "a.txt").unlink()
    gone = read_pieces(filesystem, ref, settings)
    assert isinstance(gone, ErrorRow)
    assert gone.error == "unreadable"
