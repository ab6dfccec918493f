"""Texts for the tests: long ordinary ones, and a list of odd ones."""

from __future__ import annotations

import random
from typing import NamedTuple

PEOPLE = (
    *("Maria Alvarez", "John Whitfield", "Aisha Okafor", "Lars Petersen", "Chen Wei"),
    *("Sofia Rossi", "Pierre Lambert", "Dmitri Volkov", "Hannah O'Neill", "Jean-Luc Moreau"),
)
PLACES = (
    *("London", "New York", "Lake Geneva", "Nairobi", "Buenos Aires", "Kyoto", "Rotterdam"),
    *("Cape Town", "São Paulo", "Zürich", "St. Petersburg"),
)
ORGANISATIONS = (
    *("Northwind Traders", "the United Nations", "Harbour Bank", "Acme Corp.", "the Supreme Court"),
    *("Meridian Research Institute", "AT&T", "Green Valley Hospital", "the European Commission"),
)
NOUNS = (
    *("agreement", "budget", "contract", "decision", "delivery", "evidence", "harbour", "invoice"),
    *("judgment", "market", "meeting", "patent", "payment", "plan", "price", "project", "railway"),
    *("report", "river", "schedule", "software", "study", "tenant", "treatment", "winter", "work"),
)
ADJECTIVES = (
    *("annual", "careful", "early", "final", "foreign", "important", "large", "local", "new"),
    *("open", "private", "quiet", "recent", "small", "unexpected", "well-known", "written"),
)
VERBS = (
    *("accepted", "announced", "approved", "cancelled", "changed", "described", "discussed"),
    *("doubted", "examined", "finished", "paid for", "prepared", "questioned", "rejected"),
    *("remembered", "signed", "supported", "visited", "wrote about"),
)
TEMPLATES = (
    "{person} {verb} the {adjective} {noun} in {place}.",
    "In {place}, {organisation} {verb} a {noun} that nobody had expected.",
    "The {noun} was {adjective}, and {person} of {organisation} {verb} it at once.",
    "“It isn't the {adjective} {noun},” said {person}, “but we {verb} it.”",
    "On {day} May {year} the {adjective} {noun} cost {amount} euros (about {percent}% more).",
    "Why {organisation} {verb} the {noun} is still not known; {person} has left {place}.",
    "{person}, {person} and {person} {verb} every {noun} from {place} to {place}.",
    "There is no {noun} without its {adjective} {noun}.",
)


def long_text(n_words: int, seed: int = 0) -> str:
    """English-like prose with names, in paragraphs; the same for the same arguments.

    Args:
        n_words: words separated by white space, exactly.
    """
    draw = random.Random(seed)
    choices = {
        "person": PEOPLE,
        "place": PLACES,
        "organisation": ORGANISATIONS,
        "noun": NOUNS,
        "adjective": ADJECTIVES,
        "verb": VERBS,
    }
    words: list[str] = []
    breaks: set[int] = set()
    while len(words) < n_words:
        for _ in range(draw.randint(2, 6)):
            sentence = draw.choice(TEMPLATES)
            for name, values in choices.items():
                while f"{{{name}}}" in sentence:
                    sentence = sentence.replace(f"{{{name}}}", draw.choice(values), 1)
            sentence = sentence.format(
                day=draw.randint(1, 31),
                year=draw.randint(1950, 2030),
                amount=f"{draw.randint(1, 999)},{draw.randint(0, 999):03}",
                percent=draw.randint(1, 99),
            )
            sentence = sentence[0].upper() + sentence[1:]
            words.extend(sentence.split(" "))
        breaks.add(len(words))
    pieces = [word + ("\n\n" if i + 1 in breaks else " ") for i, word in enumerate(words[:n_words])]
    return "".join(pieces).rstrip()


SCRIPTS = (
    "Le café près de la forêt était fermé; l'élève s'ennuyait déjà à Noël.",
    "Der Fluß führt über Köln; die Straße ist für Fußgänger geöffnet.",
    "El niño soñó con un pingüino en el año que pasó.",
    "Суд принял решение по договору между сторонами в Москве.",
    "Το δικαστήριο αποφάσισε υπέρ της εταιρείας στην Αθήνα.",
    "北京大学的研究人员在上海发表了一份新的报告。公司与银行签订了合同,价格是三百万元。",
    "東京の裁判所は契約を承認した。カタカナとひらがなが混ざっています。",
    "서울에서 새로운 보고서가 발표되었다.",
    "وقع البنك عقدا جديدا في القاهرة مع الشركة.",
    "בית המשפט בירושלים אישר את ההסכם החדש.",
    "न्यायालय ने दिल्ली में नए समझौते को मंजूरी दी।",
    "ศาลอนุมัติสัญญาใหม่ในกรุงเทพ",
)
"""A sentence or two in each of several scripts."""


class HostileText(NamedTuple):
    """An odd text and what is odd about it."""

    name: str
    text: str


HOSTILE_TEXTS = (
    HostileText("nfd", "Cafe\u0301 Ange\u0301lique a\u0300 Zu\u0308rich, A\u030angstro\u0308m."),
    HostileText(
        "nfd_hangul", "\u1109\u1165\u110b\u116e\u11af in \u1112\u1161\u11ab\u1100\u1173\u11af"
    ),
    HostileText("emoji", "We signed \U0001f389 in Rome \U0001f60d\U0001f60d today."),
    HostileText(
        "emoji_joined",
        "A family \U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466, a "
        "\U0001f469\U0001f3fd\u200d\U0001f680 and \u2764\ufe0f\u200d\U0001f525 here.",
    ),
    HostileText("emoji_skin_tones", "Thanks \U0001f44d\U0001f3fb\U0001f44d\U0001f3ff all."),
    HostileText(
        "flags",
        "From \U0001f1eb\U0001f1f7\U0001f1e9\U0001f1ea to "
        "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f.",
    ),
    HostileText("keycaps", "Press 1\ufe0f\u20e3 or #\ufe0f\u20e3 now."),
    HostileText("cjk", "北京大学在上海。東京の裁判所、서울의 보고서。"),
    HostileText("cjk_rare", "\U00020bb7野家 and \U0002a6d6 and 龘."),
    HostileText(
        "fullwidth",
        "\uff21\uff22\uff23\u3000\uff11\uff12\uff13 \uff76\uff9e\uff77\uff9e "
        "\ufb01n \u2460 \u3392 \u2122",
    ),
    HostileText("thai", "ศาลอนุมัติสัญญาใหม่ในกรุงเทพ"),
    HostileText(
        "arabic",
        "\u0648\u064e\u0642\u0651\u064e\u0639\u064e "
        "\u0627\u0644\u0628\u064e\u0646\u0643\u064f \u0639\u0640\u0640\u0642\u062f\u064b\u0627 "
        "\ufdfa",
    ),
    HostileText(
        "hebrew",
        "\u05d1\u05bc\u05b0\u05e8\u05b5\u05d0\u05e9\u05c1\u05b4\u05d9\u05ea "
        "\u05d1\u05bc\u05b8\u05e8\u05b8\u05d0",
    ),
    HostileText("bidi", "The \u202bשלום\u202c word \u2067مرحبا\u2069 ends \u200ehere\u200f."),
    HostileText("devanagari", "न्यायालय ने दिल्ली में क्षत्रिय को श्री कहा।"),
    HostileText("crlf", "First line.\r\nSecond line.\r\n\r\nThird\rline.\n"),
    HostileText("line_separators", "One\u2028two\u2029three\x85four\x0bfive\x0csix."),
    HostileText("spaces", "  Two\u00a0\u00a0spaces,\u2003em \u202f narrow\t\ttabs \u3000 end   "),
    HostileText("space_run", "before" + " " * 60 + "after" + "\n" * 30 + "end"),
    HostileText("nul", "before\x00after \x00 \x00\x00 end"),
    HostileText("controls", "\x01a\x02b\x1b[31mred\x1b[0m\x7f\x80 \x9f end\x08"),
    HostileText("bom_in_the_middle", "\ufeffStart \ufeff mid\ufeffdle end.\ufeff"),
    HostileText("replacement_characters", "caf\ufffd \ufffd\ufffd\ufffd end\ufffd."),
    HostileText("noncharacters", "a\ufffeb \uffff \U0010ffff end"),
    HostileText("private_use", "Apple \uf8ff and \ue000\ue001 and \U000f0000 end."),
    HostileText("zero_width", "ze\u200bro \u200c\u200d wi\u2060dth\u00ad soft\u00adhyphen \u180e."),
    HostileText("only_zero_width", "\u200b\u200d\ufeff"),
    HostileText("combining_first", "\u0301\u0308 starts with marks, \u20dd too."),
    HostileText("combining_many", "Z" + "\u0335\u0321\u0353\u0300\u0341\u0358" * 20 + "algo text"),
    HostileText("punctuation", "!?.,;:()[]{}…—–-_/\\|@#$%^&*+=~`'\"«»“”‘’¿¡§¶•" * 3),
    HostileText("quotes", "``Quoted'' text, ''again`` and `one`."),
    HostileText("ligatures", "e\ufb03cient o\ufb00er \u01c4 \u0132 \u1e9e \u0130stanbul \ufb06"),
    HostileText("special_tokens", "[CLS] is [SEP] not <s> a [MASK] </s> token <mask> <unk> [PAD]"),
    HostileText("subword_marks", "▁under ##hash Ġspace @@ at@@ </w> Ċ"),
    HostileText("digits", "1234567890" * 40),
    HostileText("long_word", "x" * 100_000),
    HostileText("long_word_in_text", "Before it. " + "ab" * 300 + " After it."),
    HostileText("urls", "See https://example.org/a?b=c&d=%20e#f @someone's #tag can't."),
    HostileText("one_character", "a"),
    HostileText(
        "mixed",
        "Maria \U0001f469\u200d\U0001f680 met 王伟 in Zu\u0308rich\r\n\x00at ٣ o'clock; "
        "\u05e9\u05c1\u05dc\u05d5\u05dd\ufeff क्षि \ufb01n\u200bal \ufffd\ue000.",
    ),
)
"""Texts on which offsets go wrong first; none is empty or white space alone, no lone surrogates."""
