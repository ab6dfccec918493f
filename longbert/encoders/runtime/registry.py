"""The runtimes there are, by name."""

from __future__ import annotations

from collections.abc import Mapping

from longbert.encoders.runtime.base import RuntimeFactory
from longbert.tasks import resolve

DEFAULT_RUNTIME = "torch"

RUNTIMES: Mapping[str, str] = {
    DEFAULT_RUNTIME: "longbert.encoders.runtime.torch_runtime:TorchRuntime",
}
"""References, for :func:`longbert.tasks.resolve`, to a
:class:`~longbert.encoders.runtime.base.RuntimeFactory`."""


def runtime_factory(name: str = DEFAULT_RUNTIME) -> RuntimeFactory:
    """What makes the runtimes of a name."""
    factory: RuntimeFactory = resolve(RUNTIMES[name])
    return factory
