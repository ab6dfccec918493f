"""Standard output for data, standard error for talk."""

from __future__ import annotations

import io
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TextIO

import click

from longbert.cli.wording import escaped
from longbert.errors import OutputError, QueryWarning


@contextmanager
def standard_output(*, for_programs: bool) -> Iterator[IO[str]]:
    """Standard output, for the block to write to.

    Args:
        for_programs: UTF-8 whatever the locale; a terminal gets what it can show.

    Raises:
        OutputError: it cannot be written to.
        BrokenPipeError: whoever read it has gone away.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        if for_programs:
            sys.stdout.reconfigure(encoding="utf-8")
        else:
            sys.stdout.reconfigure(errors="replace")
    with writing_to_stdout():
        yield sys.stdout
        sys.stdout.flush()


@contextmanager
def writing_to_stdout() -> Iterator[None]:
    """Raise OutputError where the block's writing to standard output fails.

    What the block does besides must raise no OSError.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is still held back would fail once more when the process ends.
        sys.stdout = None
        raise OutputError(
            f"cannot write to standard output ({error.strerror or error}): free space, or send it "
            "somewhere else"
        ) from None


def say(line: str) -> None:
    """Tell people something, on standard error."""
    click.echo(f"longbert: {escaped(line)}", err=True)


@contextmanager
def telling_warnings() -> Iterator[None]:
    """Tell people what the block warns of queries, as :func:`say` does."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", QueryWarning)
        show = warnings.showwarning

        def tell(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, QueryWarning):
                say(f"warning: {message}")
            else:
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = tell
        yield


@contextmanager
def telling_delay(what: str, *, seconds: float) -> Iterator[None]:
    """Tell people what the block does if it takes longer than so many seconds."""
    timer = threading.Timer(seconds, say, [what])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        # So that nothing is told about a block that has ended.
        timer.join()


def silence_libraries() -> None:
    """Keep what libraries say among themselves out of our messages.

    Beam's threads die with a traceback each when a run is stopped or fails; the error that is
    raised to us says the same once.
    """
    threading.excepthook = lambda _: None
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger().setLevel(logging.CRITICAL)
