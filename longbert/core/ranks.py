"""Names of the rankings, and what is asked of one; without numpy, which no help text waits for."""

from __future__ import annotations

from longbert.errors import ConfigError, nearest

RANKS = ("hybrid", "lexical", "best", "best-mean", "document")

DENSE_RANKS = ("hybrid", "best", "best-mean", "document")
"""Those that compare vectors."""

LEXICAL_RANKS = ("hybrid", "lexical")
"""Those that compare words."""

LEAST_DEPTH = 100
"""Documents that a ranking must have, if there are that many, for all measures to be right."""


def check_rank(rank: str) -> None:
    """Refuse what is not one of :data:`RANKS`.

    Raises:
        ConfigError: with the known ones.
    """
    if rank not in RANKS:
        raise ConfigError(
            f"rank must be one of {', '.join(RANKS)}, got {rank!r}{nearest(rank, RANKS)}"
        )
