"""FAISS, imported when needed and checked to be installed exactly once."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from functools import cache
from types import ModuleType

from longbert.errors import LongbertError

DISTRIBUTIONS = ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu11", "faiss-gpu-cu12")
"""All of them install a module ``faiss``; the last one installed overwrites the others."""

_INSTALL = "pip install 'longbert[cpu]' (or 'longbert[gpu]' for an NVIDIA GPU)"


@cache
def load_faiss() -> ModuleType:
    """Import FAISS.

    Raises:
        LongbertError: it is missing, broken, or installed twice.
    """
    check_distributions(filter(_is_installed, DISTRIBUTIONS))
    try:
        return importlib.import_module("faiss")
    except ImportError as error:
        raise LongbertError(
            f"the similarity index needs FAISS, which cannot be imported ({error}): {_INSTALL}"
        ) from None


def faiss_version() -> str:
    """The version of the installed build of FAISS, without importing it.

    Raises:
        LongbertError: it is missing or installed twice.
    """
    installed = [name for name in DISTRIBUTIONS if _is_installed(name)]
    check_distributions(installed)
    if not installed:
        raise LongbertError(f"the similarity index needs FAISS, which is not installed: {_INSTALL}")
    from importlib.metadata import version

    return version(installed[0])


def check_distributions(installed: Iterable[str]) -> None:
    """Refuse two builds of FAISS in one environment.

    Raises:
        LongbertError: names both and how to keep one.
    """
    found = sorted(installed)
    if len(found) > 1:
        raise LongbertError(
            f"{' and '.join(found)} are installed, but they are the same module and break each "
            f"other; keep one: pip uninstall {' '.join(found)}, then {_INSTALL}"
        )


def _is_installed(distribution: str) -> bool:
    # It takes as long to import as the rest of this module, and words are searched without it.
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import distribution as find

    try:
        find(distribution)
    except PackageNotFoundError:
        return False
    return True
