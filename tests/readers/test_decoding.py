"""Bytes to text: exactly, or an error; never a mangled text."""

from __future__ import annotations

import gzip
import io
import random
import sys
import zipfile
import zlib
from pathlib import Path

import pytest

from longbert.errors import DocumentError
from longbert.readers.decoding import decode
from longbert.readers.encodings import parse_encodings

FRENCH = (
    "Le café est une boisson très appréciée en France, où l'on aime déjeuner dehors dès que le "
    "temps s'y prête. À la fin de l'été, les élèves retrouvent leurs écoles, et les marchés se "
    "remplissent de pêches, de cèpes et de châtaignes. On y goûte aussi le fromage des Pyrénées. "
)
GERMAN = (
    "Über den Bergen lag noch früher Nebel, als die Männer das Dorf verließen. Sie führten große "
    "Körbe mit sich und hofften, die Märkte der Städte vor Mittag zu erreichen. Für die Mütter und "
    "Töchter blieb die übrige Arbeit: das Gemüse wässern, die Kühe hüten, Brötchen backen. "
)
SPANISH = (
    "El niño preguntó a su tía qué había detrás de la montaña, y ella le respondió que allí "
    "empezaba un país cálido, con ríos tranquilos y pájaros de muchos colores. Mañana iremos "
    "también al jardín de la señora Ibáñez, dijo después, porque quedó en enseñarnos sus árboles. "
)
POLISH = (
    "Wczoraj wieczorem spadł pierwszy śnieg i całe miasto ucichło. Dzieci wybiegły na podwórze, "
    "żeby lepić bałwana, a ich babcia piekła w kuchni ciasto ze śliwkami. Później przyszedł też "
    "wujek, który przyniósł książki i opowiadał o swojej podróży przez Łódź, Kraków i Gdańsk. "
)
RUSSIAN = (
    "Вчера вечером выпал первый снег, и весь город затих. Дети выбежали во двор лепить снеговика, "
    "а бабушка пекла на кухне пирог с вишней. Потом пришёл дядя, который принёс книги и долго "
    "рассказывал о своём путешествии по большой реке. "
)
JAPANESE = (
    "昨日の夜、初雪が降って町は静かになりました。子どもたちは庭に出て雪だるまを作り、おばあさんは"
    "台所でお菓子を焼いていました。そのあと、おじさんが本を持って来て、長い川の旅の話をしてくれました。"
)
SIMPLIFIED = (
    "昨天晚上下了第一场雪,整个城市都安静了下来。孩子们跑到院子里堆雪人,奶奶在厨房里烤点心。"
    "后来叔叔带着几本书来了,给我们讲了他沿着大河旅行的故事。大家听得很高兴,一直聊到深夜。"
)
TRADITIONAL = (
    "昨天晚上下了第一場雪,整個城市都安靜了下來。孩子們跑到院子裡堆雪人,奶奶在廚房裡烤點心。"
    "後來叔叔帶著幾本書來了,給我們講了他沿著大河旅行的故事。大家聽得很高興,一直聊到深夜。"
)
KOREAN = (
    "어젯밤에 첫눈이 내려서 온 도시가 조용해졌습니다. 아이들은 마당에 나가 눈사람을 만들고 "
    "할머니는 부엌에서 과자를 구우셨습니다. 그 뒤에 삼촌이 책을 가지고 오셔서 "
    "긴 강을 따라간 여행 이야기를 들려주셨습니다. "
)
TYPOGRAPHIC = (
    "“I don’t know,” she said — and that wasn’t quite the truth. The old man’s house stood empty; "
    "“nobody’s there,” they told us. We’d waited since noon… "
)

LEGACY = [
    (FRENCH, "latin-1"),
    (FRENCH, "cp1252"),
    (FRENCH.replace("'", "’"), "cp1252"),
    (GERMAN, "latin-1"),
    (GERMAN.replace("Sie", "„Sie“"), "cp1252"),
    (SPANISH, "cp1252"),
    (POLISH, "cp1250"),
    (POLISH, "iso8859-2"),
    (RUSSIAN, "cp1251"),
    (RUSSIAN, "koi8-r"),
    (JAPANESE, "shift_jis"),
    (JAPANESE, "euc_jp"),
    (JAPANESE, "iso2022_jp"),
    (SIMPLIFIED, "gb18030"),
    (SIMPLIFIED, "gbk"),
    (TRADITIONAL, "big5"),
    (KOREAN, "euc_kr"),
    (TYPOGRAPHIC, "cp1252"),
    (TYPOGRAPHIC * 400, "cp1252"),
]


@pytest.mark.parametrize(("text", "encoding"), LEGACY)
def test_a_few_sentences_in_a_wide_spread_encoding_come_out_exactly(
    text: str, encoding: str
) -> None:
    assert decode(text.encode(encoding)) == text


@pytest.mark.parametrize("encoding", ["mac_roman", "cp850", "cp437", "cp1252", "cp1250", "koi8-r"])
@pytest.mark.parametrize("text", [FRENCH, GERMAN, SPANISH, POLISH, RUSSIAN, TYPOGRAPHIC])
@pytest.mark.parametrize("n_chars", [5, 20, 60, 120, 250])
def test_text_is_exact_or_an_error(text: str, encoding: str, n_chars: int) -> None:
    """Short text is in doubt; what other machines wrote long ago is, too."""
    data = text[:n_chars].encode(encoding, "ignore")
    try:
        decoded = decode(data)
    except DocumentError:
        return
    assert decoded == data.decode(encoding)


@pytest.mark.parametrize(
    ("answers", "is_taken"),
    [
        ([("cp1252", 0.5), ("cp1250", 0.4)], True),
        ([("cp1252", 0.5), ("cp1250", 0.499)], False),
        ([("cp1252", 0.5), ("iso8859-15", 0.499)], True),
        ([("cp1252", 0.5), ("iso8859-15", 0.499), ("mac-roman", 0.498)], False),
        ([("mac-roman", 0.5), ("cp1252", 0.1)], False),
        ([("cp1252", 0.19)], False),
        ([("utf-16", 0.9), ("cp1252", 0.5)], True),
    ],
)
def test_an_answer_is_taken_if_wide_spread_sure_and_ahead_of_other_texts(
    monkeypatch: pytest.MonkeyPatch, answers: list[tuple[str, float]], is_taken: bool
) -> None:
    def detect_all(data: bytes, **options: object) -> list[dict[str, object]]:
        return [{"encoding": name, "confidence": confidence} for name, confidence in answers]

    monkeypatch.setattr("chardet.detect_all", detect_all)
    # 0xE3 differs between cp1252 and cp1250, not between cp1252 and ISO 8859-15.
    if is_taken:
        assert decode(b"nac\xe3o " * 4) == "nacão " * 4
    else:
        with pytest.raises(DocumentError, match="not sure"):
            decode(b"nac\xe3o " * 4)


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", b"\xef\xbb\xbf"),
        ("utf-16-le", b"\xff\xfe"),
        ("utf-16-be", b"\xfe\xff"),
        ("utf-32-le", b"\xff\xfe\0\0"),
        ("utf-32-be", b"\0\0\xfe\xff"),
    ],
)
def test_byte_order_mark_is_dropped_once(encoding: str, mark: bytes) -> None:
    text = "\ufeffé😀\r\n\0"
    assert decode(mark + text.encode(encoding)) == text


def test_nothing_is_normalised() -> None:
    text = "e\u0301 é\r\nx\ry\0z\ufeff\u2028\x85\x0c"
    assert decode(text.encode()) == text


def test_damaged_utf8_is_an_error_and_says_where() -> None:
    with pytest.raises(DocumentError, match="damaged or cut short at byte 3"):
        decode("né\xe9 für älle schön".encode().replace(b"n\xc3\xa9\xc3\xa9", b"n\xc3\xa9\xe9"))
    with pytest.raises(DocumentError, match="cut short"):
        decode(GERMAN.encode()[: GERMAN.encode().index("ß".encode()) + 1])
    with pytest.raises(DocumentError, match="marked as UTF-8, but byte 4"):
        decode(b"\xef\xbb\xbfa\xff")


@pytest.mark.parametrize(
    "wrong",
    [
        *(b"\xc0\xaf", b"\xc1\x81", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"),
        *(b"\xed\xa0\x80\xed\xb0\x80", b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80"),
        b"\xfd" + b"\x80" * 5,
    ],
)
@pytest.mark.parametrize("elsewhere", ["abc def ghi {} jkl", "dépôt {} Zürich", "{}" * 9, "是{}的"])
def test_what_only_looks_like_utf8_is_damage(wrong: bytes, elsewhere: str) -> None:
    before, *after = elsewhere.split("{}")
    data = before.encode() + b"".join(wrong + text.encode() for text in after)
    message = f"it is UTF-8, but damaged or cut short at byte {len(before.encode())}: "
    with pytest.raises(DocumentError, match=message):
        decode(data)


@pytest.mark.parametrize("n_bytes", [1, 2, 3])
@pytest.mark.parametrize("n_words", [1, 100])
def test_stray_bytes_in_ascii_are_in_doubt_unless_they_are_marks(
    n_bytes: int, n_words: int
) -> None:
    draw = random.Random(n_bytes)
    around = b"the committee met again and spoke " * n_words
    for _ in range(300):
        stray = bytes(draw.randrange(0x80, 0x100) for _ in range(n_bytes))
        try:
            text = decode(around + stray + b" " + around)
        except DocumentError:
            continue
        others = {char for char in text if not char.isascii()}
        assert others <= set("‘’“”–—…•") or (around + stray).decode() == text[: len(text) // 2]


@pytest.mark.parametrize("stray", [b"\xe4", b"\xc0\xbe\xb5\xbb", b"\xb0\xa1\xb0\xa1\xb0\xa1"])
def test_one_to_three_letters_prove_no_encoding(stray: bytes) -> None:
    with pytest.raises(DocumentError, match="its encoding is not sure"):
        decode(b"abc def ghi " + stray + b" jkl")


def test_the_message_offers_the_guess() -> None:
    with pytest.raises(DocumentError) as caught:
        decode(GERMAN[:60].encode("mac_roman"))
    assert "it is not UTF-8, and its encoding is not sure: " in caught.value.message
    guess = caught.value.message.partition("not sure: ")[2].split(" ")[0]
    for remedy in (f"--encoding {guess}, ", f"--encoding 'GLOB={guess}'", "save it as UTF-8"):
        assert remedy in caught.value.message
    assert isinstance(decode(GERMAN[:60].encode("mac_roman"), named=guess), str)


# Encodings that the user names


WESTERN = (FRENCH, GERMAN, SPANISH)
WIDE = ("utf-16-le", "utf-16-be", "utf-32")
NAMED = [
    *((text, name) for text in WESTERN for name in ("latin-1", "cp1252", "cp850", "mac_roman")),
    *((POLISH, name) for name in ("cp1250", "iso8859-2", "cp852")),
    *((text, name) for text in (RUSSIAN, JAPANESE) for name in WIDE),
    *((RUSSIAN, "koi8-r"), (JAPANESE, "iso2022_jp"), (SIMPLIFIED, "hz")),
    *((TYPOGRAPHIC, "mac_roman"), ("plain words", "cp037")),
]


@pytest.mark.parametrize("n_chars", [9, 40, 250])
@pytest.mark.parametrize(("text", "encoding"), NAMED)
def test_a_text_in_the_encoding_that_is_named(text: str, encoding: str, n_chars: int) -> None:
    text = text[:n_chars]
    (named,) = parse_encodings([encoding])
    assert decode(text.encode(encoding), named=named.codec) == text


@pytest.mark.parametrize("named", ["cp1252", "cp850", "mac-roman", "koi8-r"])
def test_utf8_and_marks_come_before_the_name(named: str) -> None:
    assert decode(FRENCH.encode(), named=named) == FRENCH
    assert decode(b"\xff\xfe" + FRENCH.encode("utf-16-le"), named=named) == FRENCH


def test_a_name_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(DocumentError, match="byte 5 is not utf-8, which was named for it: name"):
        decode(b"abcde\xff" + GERMAN.encode("cp1252"), named="utf-8")
    with pytest.raises(DocumentError, match="byte 4 is not utf-16-le"):
        decode(b"a\0b\0c", named="utf-16-le")
    with pytest.raises(DocumentError, match="it is binary"):
        decode(bytes(100), named="cp1252")
    noise = random.Random(0).randbytes(1_000)
    with pytest.raises(DocumentError, match=r"in cp850, which was named .* control characters"):
        decode(noise, named="cp850")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark_is_an_error_that_says_what_it_seems_to_be(encoding: str) -> None:
    data = GERMAN.encode(encoding)
    message = f"it seems to be {encoding} without a byte order mark: if it is, say so with --enc"
    with pytest.raises(DocumentError, match=message):
        decode(data)
    assert decode(data, named=encoding) == GERMAN


def _zip() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("a.txt"), FRENCH * 20)
    return data.getvalue()


BINARY = {
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x10\0\0\0\x10\x08\x02\0\0\0"
    + zlib.compress(bytes(999)),
    "elf": Path(sys.executable).read_bytes()[:50_000],
    "zip": _zip(),
    "gzip": gzip.compress(FRENCH.encode(), mtime=0),
    "utf-16 without mark": "plain words".encode("utf-16-le"),
    "latin word": b"caf\xe9",
    "nul": bytes(100),
}


@pytest.mark.parametrize("data", BINARY.values(), ids=BINARY.keys())
def test_binary_data_is_an_error(data: bytes) -> None:
    with pytest.raises(DocumentError) as caught:
        decode(data)
    assert caught.value.error == "encoding"
    assert "UTF-8" in caught.value.message


@pytest.mark.parametrize("low", [0, 128, 160])
@pytest.mark.parametrize("n_bytes", [10, 100, 1_000, 20_000])
def test_random_bytes_are_an_error(low: int, n_bytes: int) -> None:
    draw = random.Random(low + n_bytes)
    for _ in range(5):
        with pytest.raises(DocumentError):
            decode(bytes(draw.randrange(low, 256) for _ in range(n_bytes)))


def test_messages_hold_no_text() -> None:
    with pytest.raises(DocumentError) as caught:
        decode(b"secret caf\xe9")
    assert "secret" not in caught.value.message
