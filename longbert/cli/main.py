"""The command ``longbert``: its commands, and how errors reach people."""

from __future__ import annotations

import atexit
import gc
import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from longbert.cli.command import debug_option, is_debug
from longbert.cli.signals import stopping
from longbert.cli.streams import say, writing_to_stdout
from longbert.cli.wording import escaped
from longbert.errors import LongbertError, OutputError, nearest

COMMANDS = {
    "run": "longbert.cli.run",
    "query": "longbert.cli.query",
    "windows": "longbert.cli.windows",
    "train": "longbert.cli.train",
    "evaluate": "longbert.cli.evaluate",
    "index": "longbert.cli.index",
    "verify": "longbert.cli.verify",
    "compact": "longbert.cli.compact",
    "bench": "longbert.cli.bench",
}
"""The module of each command, loaded by name, so that a command imports only what it needs."""

_RESUMABLE = ("run", "train")
_OBJECTS_BETWEEN_COLLECTIONS = 50_000


class _Commands(click.Group):
    """Finds commands in modules of their own and turns errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name])
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS:
            ctx.fail(
                f"no such command {args[0]!r}{nearest(args[0], COMMANDS) or '.'} "
                f"The commands are {', '.join(COMMANDS)}."
            )
        return super().resolve_command(ctx, args)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            with writing_to_stdout():
                return super().make_context(*args, **kwargs)
        except OutputError as error:
            _end(error, error.exit_status)

    def invoke(self, ctx: click.Context) -> object:
        _leave_without_collecting()
        with _collecting_seldom(), stopping() as signals:
            try:
                return self._invoke(ctx)
            except KeyboardInterrupt as error:
                resumable = ctx.invoked_subcommand in _RESUMABLE
                done = f", {error}" if str(error) else ""
                kept = "; what is finished is kept: run the same command again to go on"
                say(f"stopped{done}{kept if resumable else ''}")
                sys.exit(signals.status)

    def _invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever reads our output has seen enough, as `head` does.
            sys.stdout = None
            sys.exit(0)
        except (click.ClickException, click.Abort, click.exceptions.Exit):
            raise
        except Exception as error:
            if is_debug():
                raise
            if isinstance(error, LongbertError):
                _end(error, error.exit_status)
            first_line = (str(error).strip().splitlines() or [""])[0]
            _end(
                f"{type(error).__name__}: {first_line}\n"
                "This should not happen: `longbert --debug ...` shows where it did",
                1,
            )


@contextmanager
def _collecting_seldom() -> Iterator[None]:
    """Let the garbage collector wait for more objects than Python's 700 or 2,000.

    While libraries are imported nearly all objects stay, and looking through them again and again
    takes a tenth of the start-up of ``run`` and ``query``.
    """
    before = gc.get_threshold()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _leave_without_collecting() -> None:
    """Have Python end without looking through all objects once more, which takes half a second.

    The system takes their memory back. What has to be closed or removed is by then.
    """
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


def _end(message: object, status: int) -> NoReturn:
    lines = f"longbert: error: {message}".split("\n")
    click.echo("\n".join(map(escaped, lines)), err=True)
    sys.exit(status)


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`longbert COMMAND --help` explains a command and its options.",
)
@debug_option
@click.version_option(package_name="longbert", prog_name="longbert")
def main() -> None:
    """BERT-family encoders over documents longer than 512 tokens.

    \b
    longbert run --input docs/          tables and an index from a folder of documents
    longbert query "who pays?"          the documents that answer best, with passages
    """
