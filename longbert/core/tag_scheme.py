"""What the labels of a tagging head mean."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from longbert.core.outside import EntityRuns
from longbert.core.viterbi import Transitions
from longbert.errors import ModelError

OUTSIDE = "O"

_BEGIN = frozenset("BSU")
_END = frozenset("ESLU")
_PREFIXES = frozenset("BIESLUM")
_SPECIAL = frozenset({"pad", "cls", "sep", "mask", "unk", "s", "/s", "x", "start", "end"})
"""Names that training code gives to positions without a label."""


@dataclass(frozen=True)
class TagScheme:
    """What the labels of a tagging head mean.

    Attributes:
        name: ``BIO``, ``IOB1`` (told by a type that has I but no B), ``BIOES``, or ``plain`` for
            labels without prefixes.
        types: the entity type of each label; None for the label outside all entities.
        begins: whether a label always begins an entity.
        ends: whether a label always ends one.
    """

    name: str
    types: tuple[str | None, ...]
    begins: tuple[bool, ...]
    ends: tuple[bool, ...]

    @classmethod
    def from_id2label(cls, id2label: Mapping[int, str], *, source: str) -> TagScheme:
        """Recognise the scheme of a model's ``id2label``.

        BIO, IOB1 and BIOES (also as BILOU and BMES) with ``-`` or ``_`` behind the prefix, beside
        which labels of special tokens count as outside; plain types where none of them has the
        prefixes of a scheme.

        Args:
            id2label: labels by index, from 0 without gaps.
            source: the model's name, for messages.

        Raises:
            ModelError: there is no label ``O``, or nothing but that, or only some labels carry
                prefixes.
        """
        labels = [id2label[index] for index in range(len(id2label))]
        inside = [label for label in labels if label != OUTSIDE]
        if len(inside) == len(labels) or not inside:
            raise ModelError(
                f"{source}: the labels {', '.join(labels[:8])} are no tagging scheme: one of them "
                f"must be {OUTSIDE!r} and the others entity types, with or without B-, I-, E-, S-. "
                "Set id2label in the model's config.json"
            )
        prefixed = {label for label in inside if _has_prefix(label)}
        if len(prefixed) < len(inside) and not _has_pair(prefixed):
            types = tuple(None if label == OUTSIDE else label for label in labels)
            never = (False,) * len(labels)
            return cls("plain", types, never, never)
        unprefixed = [label for label in inside if label not in prefixed]
        unknown = [label for label in unprefixed if label.strip("[]<>").lower() not in _SPECIAL]
        if unknown:
            raise ModelError(
                f"{source}: the label {unknown[0]!r} has no prefix, but others have, such as "
                f"{min(prefixed)!r}, so they are no tagging scheme: give all of them one, or none, "
                "in the id2label of the model's config.json"
            )
        prefixes = [label[0] if label in prefixed else OUTSIDE for label in labels]
        types = tuple(label[2:] if label in prefixed else None for label in labels)
        if not set(prefixes) <= {"B", "I", OUTSIDE}:
            name = "BIOES"
        elif {types[i] for i, prefix in enumerate(prefixes) if prefix == "B"} >= set(types) - {
            None
        }:
            name = "BIO"
        else:
            name = "IOB1"
        return cls(
            name=name,
            types=types,
            begins=tuple(prefix in _BEGIN for prefix in prefixes),
            ends=tuple(prefix in _END for prefix in prefixes),
        )

    def transitions(self) -> Transitions:
        """Which labels the scheme allows to follow which.

        BIO: I only within an entity of its type. BIOES: moreover, an entity that was begun by B
        is ended by E. IOB1, where I begins entities, too, and plain labels: anything.
        """
        same = np.array([[one == other for other in self.types] for one in self.types])
        inside = np.array([kind is not None for kind in self.types])
        begins, ends = np.array(self.begins), np.array(self.ends)
        anything = np.ones(len(self.types), dtype=np.bool_)
        if self.name in ("plain", "IOB1"):
            return Transitions(anything, np.ones_like(same), anything)
        continues, is_open = inside & ~begins, inside & ~ends
        fits = ~continues | (is_open[:, None] & same)
        if self.name == "BIO":
            return Transitions(~continues, fits, anything, runs=self._runs())
        return Transitions(~continues, fits & (~is_open[:, None] | continues), ~is_open)

    def _runs(self) -> EntityRuns | None:
        """Labels of entities, where each type has a pair of them and one label is outside."""
        pairs = []
        for kind in sorted({kind for kind in self.types if kind is not None}):
            own = [index for index, other in enumerate(self.types) if other == kind]
            own.sort(key=lambda index: not self.begins[index])
            if [self.begins[index] for index in own] != [True, False]:
                return None
            pairs.append(own)
        if self.types.count(None) != 1:
            return None
        begins, continues = np.array(pairs, dtype=np.int64).T
        return EntityRuns(self.types.index(None), begins, continues)


def _has_prefix(label: str) -> bool:
    return len(label) > 2 and label[0] in _PREFIXES and label[1] in "-_"


def _has_pair(prefixed: set[str]) -> bool:
    """Whether some type has a label for its first word and one for another."""
    kinds = [
        {label[2:] for label in prefixed if label[0] in letters} for letters in ("BSU", "IMEL")
    ]
    return bool(kinds[0] & kinds[1])
