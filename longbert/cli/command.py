"""What all commands have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import click

from longbert.cli.streams import silence_libraries, writing_to_stdout

_DEBUG = "longbert.debug"
"""Where click keeps it for a command and for the group above it."""


def is_debug() -> bool:
    """Whether ``--debug`` was given, before the command or after it."""
    return bool(click.get_current_context().meta.get(_DEBUG))


def _set_debug(context: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        context.meta[_DEBUG] = True
    # Before the command's own options are read, it is not known whether --debug is among them.
    if context.parent is not None and not is_debug():
        silence_libraries()


debug_option = click.option(
    "--debug",
    is_flag=True,
    expose_value=False,
    callback=_set_debug,
    help="Show the traceback of an error, and what the libraries say.",
)


class Command(click.Command):
    """A command with ``--debug``, whose libraries are silent without it.

    Args:
        sections: headings of the help and the names of the parameters under each; all others
            come last, under ``Options``.
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Collection[str]] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        debug_option(self)
        self._sections = sections or {}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, section by section."""
        by_section: dict[str, list[tuple[str, str]]] = {name: [] for name in self._sections}
        headings = {name: one for one, names in self._sections.items() for name in names}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                heading = headings.get(str(parameter.name), "Options")
                by_section.setdefault(heading, []).append(record)
        for heading, records in by_section.items():
            with formatter.section(heading):
                formatter.write_dl(records)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the arguments, which may print the help."""
        with writing_to_stdout():
            return super().make_context(*args, **kwargs)
