"""Names of rankings."""

import pytest

from longbert.core.ranks import RANKS, check_rank
from longbert.errors import ConfigError


def test_an_unknown_rank_names_the_nearest() -> None:
    for rank in RANKS:
        check_rank(rank)
    with pytest.raises(ConfigError, match=r"best, best-mean, document.*did you mean 'best-mean'"):
        check_rank("best_mean")
