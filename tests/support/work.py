"""Counting what a computation does, to see how it grows, whatever the machine is busy with."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

_MAKERS = ("arange", "array", "empty", "full", "ones", "zeros")


class Counted(np.ndarray):
    """An array that counts the elements which operations on it, and on what they make, touch."""

    n_touched = 0

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = _plain([*inputs])
        if "out" in options:
            options["out"] = tuple(_plain([*options["out"]]))
        return _counted(getattr(ufunc, method)(*plain, **options))

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        if function is np.searchsorted:
            # It looks at few of them.
            args = [np.asarray(args[0]), *args[1:]]
            Counted.n_touched += np.size(args[1]) * len(args[0]).bit_length()
        return _counted(function(*_plain([*args]), **dict(options)))

    def __getitem__(self, key: Any) -> Any:
        return _counted(np.asarray(self)[_plain([key])[0]])

    def copy(self, order: Any = "C") -> Any:
        return _counted(np.asarray(self).copy(order))


def counted(array: np.ndarray) -> Counted:
    return array.view(Counted)


def work_of(computation: Callable[[], Any]) -> int:
    """Lines of Python run, calls of C functions, and elements of arrays touched."""
    n_events = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal n_events
        n_events += event == "line"
        return trace

    def profile(frame: Any, event: str, arg: Any) -> None:
        nonlocal n_events
        n_events += event == "c_call"

    before = sys.gettrace(), sys.getprofile()
    makers = {name: getattr(np, name) for name in _MAKERS}
    for name, maker in makers.items():
        setattr(np, name, lambda *args, maker=maker, **options: counted(maker(*args, **options)))
    Counted.n_touched = 0
    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        computation()
    finally:
        sys.settrace(before[0])
        sys.setprofile(before[1])
        for name, maker in makers.items():
            setattr(np, name, maker)
    return n_events + Counted.n_touched


def _plain(values: list[Any]) -> list[Any]:
    found = []
    for value in values:
        if isinstance(value, Counted):
            Counted.n_touched += value.size
            found.append(np.asarray(value))
        elif isinstance(value, list | tuple):
            found.append(type(value)(_plain([*value])))
        else:
            found.append(value)
    return found


def _counted(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        Counted.n_touched += value.size
        return value.view(Counted)
    if isinstance(value, tuple):
        return tuple(map(_counted, value))
    return value
