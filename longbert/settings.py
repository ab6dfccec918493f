"""Checking settings: frozen dataclasses whose declared types say what is valid."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from longbert.errors import ConfigError, nearest, shown


def check_settings(
    config: Any,
    *,
    names: Mapping[str, str] | None = None,
    examples: Mapping[str, Any] | None = None,
) -> None:
    """Check every field of a frozen dataclass; to be called by its ``__post_init__``.

    Paths become strings. Where several names may be given, one alone becomes a tuple of one, and
    lists become tuples.

    Args:
        config: its types are what msgspec knows, ``Literal`` and ``Annotated[int, Meta(ge=1)]``
            included.
        names: what messages call a field, where that is not its own name.
        examples: values that messages suggest, by field, where the range alone is no help.

    Raises:
        ConfigError: a value is of another type than declared, or out of range.
    """
    for field, kind in types_of(type(config)).items():
        name = (names or {}).get(field, field)
        example = (examples or {}).get(field)
        value = check_setting(name, getattr(config, field), kind, example=example)
        object.__setattr__(config, field, value)


def types_of(config: type) -> Mapping[str, Any]:
    """The declared types of a dataclass's fields, by name."""
    return get_type_hints(config, include_extras=True)


def check_setting(name: str, value: Any, kind: Any, *, example: Any = None) -> Any:
    """Return the value of a setting as its declared type has it; see :func:`check_settings`.

    Raises:
        ConfigError: with the setting, the value found, and what would be valid.
    """
    plain = _plain(value)
    if isinstance(plain, str) and _takes_several(kind):
        plain = (plain,)
    try:
        # A set would be taken for a list in whatever order it happens to have.
        if not isinstance(plain, set | frozenset):
            return msgspec.convert(plain, kind)
    except msgspec.ValidationError:
        pass
    close = nearest(plain, _choices(kind)) if isinstance(plain, str) else ""
    remedy = "" if example is None else f": try {example}"
    raise ConfigError(
        f"{name} must be {describe(kind)}, got {shown(plain)}{close}{remedy}"
    ) from None


def check_known(given: Iterable[str], known: Collection[str]) -> None:
    """Refuse settings that do not exist.

    Raises:
        ConfigError: with the nearest setting that does, and all others.
    """
    for name in given:
        if name not in known:
            raise ConfigError(
                f"unknown setting {shown(name)}{nearest(name, known) or '.'} "
                f"The settings are: {', '.join(sorted(known))}"
            )


def describe(kind: Any) -> str:
    """Say what a declared type takes, such as ``a whole number of at least 1``."""
    if choices := _choices(kind):
        return f"one of {', '.join(choices)}"
    return " or ".join(map(_described, _members(kind)))


def _members(kind: Any) -> list[inspect.Type]:
    """The types that a setting takes, less None, which only stands for a default."""
    info = inspect.type_info(kind)
    members = info.types if isinstance(info, inspect.UnionType) else (info,)
    return [one for one in members if not isinstance(one, inspect.NoneType)]


def _choices(kind: Any) -> tuple[str, ...]:
    """The values of a ``Literal`` in the order in which they are declared."""
    if get_origin(kind) is Literal:
        return get_args(kind)
    return tuple(choice for part in get_args(kind) for choice in _choices(part))


def _described(info: inspect.Type) -> str:
    match info:
        case inspect.BoolType():
            return "true or false"
        case inspect.VarTupleType(item_type=inspect.StrType()):
            return "a string or a list of strings"
        case inspect.VarTupleType(item_type=item):
            noun, limits = _noun(item)
            return f"a list of {noun}s{limits}"
    noun, limits = _noun(info)
    return f"a {noun}{limits}"


def _noun(info: inspect.Type) -> tuple[str, str]:
    match info:
        case inspect.IntType():
            return "whole number", _limits(info)
        case inspect.FloatType():
            return "number", _limits(info)
        case inspect.StrType():
            return "string", ""
        case inspect.DataclassType(cls=cls):
            return cls.__name__, ""
    raise TypeError(f"no setting has been of this type so far: {info}")


def _limits(info: inspect.IntType | inspect.FloatType) -> str:
    is_low = info.ge is not None or info.gt is not None
    is_high = info.le is not None or info.lt is not None
    if is_low and is_high:
        low = f"({info.gt}" if info.ge is None else f"[{info.ge}"
        high = f"{info.lt})" if info.le is None else f"{info.le}]"
        return f" in {low}, {high}"
    for limit, words in (
        (info.ge, "of at least"),
        (info.gt, "above"),
        (info.le, "of at most"),
        (info.lt, "below"),
    ):
        if limit is not None:
            return f" {words} {limit}"
    return ""


def _takes_several(kind: Any) -> bool:
    return bool(kind == tuple[str, ...])


def _plain(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, list | tuple):
        return tuple(os.fspath(one) if isinstance(one, os.PathLike) else one for one in value)
    return value
