"""The command ``longbert``: its commands, and how errors reach people."""

from __future__ import annotations

import importlib
import importlib.metadata
import sys

import click

from longbert.errors import LongbertError, nearest

# Loaded by name, so that `longbert --help` and each command import only what they need.
_COMMANDS = {
    "run": "longbert.cli.run",
    "query": "longbert.cli.query",
    "windows": "longbert.cli.windows",
    "train": "longbert.cli.train",
    "evaluate": "longbert.cli.evaluate",
    "verify": "longbert.cli.verify",
}


class _Commands(click.Group):
    """Finds commands in modules of their own and turns errors into messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name])
        command: click.Command = getattr(module, cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in _COMMANDS:
            ctx.fail(
                f"no such command {args[0]!r}{nearest(args[0], _COMMANDS) or '.'} "
                f"The commands are {', '.join(_COMMANDS)}."
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LongbertError as error:
            if ctx.params.get("debug"):
                raise
            click.echo(f"longbert: error: {error}", err=True)
            sys.exit(error.exit_status)
        except KeyboardInterrupt:
            click.echo("longbert: stopped; what was finished is kept", err=True)
            sys.exit(1)
        except BrokenPipeError:
            # Who reads our output has seen enough, as `head` does.
            sys.stdout = None
            sys.exit(0)
        except Exception as error:
            if ctx.params.get("debug") or isinstance(error, click.ClickException | click.Abort):
                raise
            if isinstance(error, click.exceptions.Exit):
                raise
            click.echo(
                f"longbert: error: {type(error).__name__}: {_first_line(error)}\n"
                "This should not happen: `longbert --debug ...` shows where it did",
                err=True,
            )
            sys.exit(1)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]


@click.command(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="`longbert COMMAND --help` tells more of each.",
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(importlib.metadata.version("longbert"), prog_name="longbert")
def main(debug: bool) -> None:
    """BERT-family encoders over documents longer than 512 tokens.

    \b
    longbert run --input docs/          tables and an index from a folder of documents
    longbert query "who pays?"          the documents that answer best, with passages
    """
