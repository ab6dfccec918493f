"""A SentencePiece character map, as ALBERT and XLM-RoBERTa tokenizers carry it.

Their normaliser is a table compiled into a double-array trie, whose grapheme-wise
replacements are where offsets go astray, and only this form of it survives loading.
The table here holds the rules of SentencePiece's ``nmt_nfkc`` for Latin, Greek, Cyrillic,
punctuation, symbols, kana and the compatibility forms below U+10000.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

_HAS_LEAF = 1 << 8
_VALUE = 1 << 31
_REMOVED = (*range(0x01, 0x09), 0x0B, *range(0x0E, 0x20), 0x7F, 0x8F, 0x9F)
_SPACES = (
    *(0x09, 0x0A, 0x0C, 0x0D, 0x1680, 0x200B, 0x200C, 0x200E, 0x200F),
    *(0x2028, 0x2029, 0x2581, 0xFEFF, 0xFFFD),
)


@lru_cache(maxsize=1)
def nmt_nfkc_charsmap() -> bytes:
    """The compiled table: size of the trie, the trie, NUL-terminated replacements."""
    replacements = bytearray()
    starts: dict[str, int] = {}
    keys: dict[bytes, int] = {}
    for source, target in sorted(_rules().items()):
        if target not in starts:
            starts[target] = len(replacements)
            replacements += target.encode() + b"\0"
        keys[source.encode()] = starts[target]
    trie = _double_array(keys)
    blob = b"".join(unit.to_bytes(4, "little") for unit in trie)
    return len(blob).to_bytes(4, "little") + blob + bytes(replacements)


def _rules() -> dict[str, str]:
    rules: dict[str, str] = {}
    for code in (*range(0x20, 0x0600), *range(0x1E00, 0x3400), *range(0xFB00, 0x10000)):
        character = chr(code)
        composed = unicodedata.normalize("NFKC", character)
        if composed != character:
            rules[character] = composed
        decomposed = unicodedata.normalize("NFD", character)
        if decomposed != character and unicodedata.normalize("NFC", decomposed) == character:
            rules[decomposed] = composed
    rules |= {chr(code): "" for code in _REMOVED}
    rules |= {chr(code): " " for code in _SPACES}
    return rules


def _double_array(keys: dict[bytes, int]) -> list[int]:
    """Darts-clone's layout: a child by byte ``c`` of the node at ``i`` is at ``i ^ offset ^ c``."""
    root: dict[int, dict] = {}
    for key, value in keys.items():
        node = root
        for byte in key:
            node = node.setdefault(byte, {})
        node[0] = value
    units: list[int] = [0] * 256
    taken = bytearray(256)
    taken[0] = 1
    bases: set[int] = set()
    pending = [(0, root)]
    while pending:
        position, node = pending.pop()
        labels = sorted(node)
        candidate = max(1, len(units) - 512)  # Older gaps stay: a little larger, much faster.
        while True:
            base = candidate ^ labels[0]
            while (base | 0xFF) >= len(units):  # Whole blocks, for no look-up may leave the array.
                units.extend([0] * 256)
                taken.extend(bytes(256))
            if base not in bases and not any(taken[base ^ label] for label in labels):
                break
            candidate += 1
        bases.add(base)
        units[position] |= (base ^ position) << 10 | (_HAS_LEAF if 0 in node else 0)
        for label in labels:
            taken[base ^ label] = 1
            if label == 0:
                units[base] = _VALUE | node[0]
            else:
                units[base ^ label] = label
                pending.append((base ^ label, node[label]))
    return units
