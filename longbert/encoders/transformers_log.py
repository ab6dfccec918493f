"""Messages of transformers, kept out of our output or shortened."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


@contextlib.contextmanager
def silenced() -> Iterator[None]:
    """Keep the progress bars and advice of transformers out of our output."""
    from transformers.utils import logging

    verbosity = logging.get_verbosity()
    showed_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if showed_bars:
            logging.enable_progress_bar()


def first_line(error: Exception) -> str:
    """The first line of an error's message, which may go on for pages."""
    return (str(error).strip().splitlines() or [""])[0][:300]
