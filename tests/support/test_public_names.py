"""No test reaches into what a module or an object keeps to itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
# Names that other libraries want to be given, or have.
FOREIGN = {
    "_exit",
    "_spm_precompiled_charsmap",
    *("_disable_current_modes", "_local_scalar_dense", "_schema"),
}
# Kinds of scores are combined inside of it.
EXCEPTED = {"index/test_search.py"}


def private_names(source: str) -> Iterator[str]:
    """Private names that are imported, looked up on something else, or patched by their name."""

    def is_private(name: str) -> bool:
        return name.startswith("_") and not name.endswith("__") and name not in FOREIGN

    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names if is_private(alias.name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") in ("setattr", "patch"):
            names = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            yield from (name for name in names if isinstance(name, str) and is_private(name))


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("from a import _b", ["_b"]),
        ("a._b.c", ["_b"]),
        ("self._b, cls._c, a.__class__", []),
        ("monkeypatch.setattr(a, '_b', 1)", ["_b"]),
        ("monkeypatch.setattr(a, 'b', 1)", []),
    ],
)
def test_private_names_are_found(source: str, found: list[str]) -> None:
    assert list(private_names(source)) == found


def test_tests_use_public_names() -> None:
    found = {
        str(file.relative_to(TESTS)): names
        for file in sorted(TESTS.rglob("*.py"))
        if (names := sorted(set(private_names(file.read_text(encoding="utf-8")))))
    }
    assert found.keys() <= EXCEPTED, found
