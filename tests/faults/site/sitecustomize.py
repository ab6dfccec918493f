"""Found by every Python of a command that is to suffer a fault, its workers' included."""

import importlib.abc
import importlib.util
import os
import sys


class _After(importlib.abc.MetaPathFinder):
    """Changes a module of the engine once it is imported, before others import from it."""

    def __init__(self, fault):
        self._fault = fault

    def find_spec(self, name, path, target=None):
        if name != "longbert.engine.context":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            from faults import inside

            execute(module)
            inside.install(module, self._fault)

        spec.loader.exec_module = exec_module
        return spec


def begin():
    """Suffer what the environment says."""
    from faults.steps import Fault, install

    fault = Fault.of_environment()
    if fault is not None:
        install(fault)
        sys.meta_path.insert(0, _After(fault))


if "LONGBERT_FAULT" in os.environ:
    begin()
