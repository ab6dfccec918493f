"""What ``longbert run --dry-run`` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from longbert.cli.wording import counted


def forecast_lines(forecast: Mapping[str, Any], output: str) -> Iterator[str]:
    """A forecast of a run in sentences.

    Args:
        forecast: see :class:`longbert.engine.forecast.Forecast`.
        output: of the run.
    """
    encode, copy = forecast["encode"], forecast["copy"]
    yield (
        f"a run into {output} would encode {counted(encode['documents'], 'document')} "
        f"({encode['n_bytes']:,} bytes), copy the rows of {copy['documents']:,}, "
        f"and drop {forecast['dropped']:,}; {forecast['unchanged']:,} are unchanged, and the "
        f"index would {'be built' if forecast['builds_index'] else 'stay'}"
    )
    if forecast["resumed"]:
        yield f"{counted(forecast['resumed'], 'document')} were done by a run that was stopped"
    if forecast["errors"]:
        yield f"at least {counted(forecast['errors'], 'document')} would be in errors"
    if forecast["refused"]:
        yield f"the run would be refused: {forecast['refused']}"
