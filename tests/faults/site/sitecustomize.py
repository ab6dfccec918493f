"""Found by every Python of a command that is to suffer a fault, its workers' included."""

import importlib.abc
import importlib.util
import os
import sys

_CHANGED = {
    "longbert.engine.context": "install_models",
    "longbert.engine.unit": "install_notes",
}
"""What changes a module, in :mod:`faults.inside`."""


class _After(importlib.abc.MetaPathFinder):
    """Changes modules of the engine once they are imported, before others import from them."""

    def __init__(self, fault):
        self._fault = fault
        self._found = set()

    def find_spec(self, name, path, target=None):
        if name not in _CHANGED or name in self._found:
            return None
        self._found.add(name)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            from faults import inside

            execute(module)
            getattr(inside, _CHANGED[name])(module, self._fault)

        spec.loader.exec_module = exec_module
        return spec


def begin():
    """Suffer what the environment says."""
    from fakes import no_torch
    from faults.steps import Fault, install

    fault = Fault.of_environment()
    if fault is not None:
        no_torch.install()
        install(fault)
        sys.meta_path.insert(0, _After(fault))


if "LONGBERT_FAULT" in os.environ:
    begin()
