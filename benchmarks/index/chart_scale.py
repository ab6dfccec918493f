"""The chart of how an index grows: building, memory and queries by number of vectors and type.

python benchmarks/index/chart_scale.py docs/index-scale.svg results.jsonl
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Result = dict[str, Any]

_PANELS: Sequence[tuple[str, Callable[[Result], float]]] = (
    ("seconds of the processor to build", lambda one: one["build_processor_seconds"]),
    ("MB that searches read", lambda one: one["memory_mb"]),
    ("ms of a query, p50", lambda one: one["best-mean@10_clock_ms"]["p50"]),
    ("ms of a query, p99", lambda one: one["best-mean@10_clock_ms"]["p99"]),
)


def chart(results: Sequence[Result]) -> bytes:
    """Growth by type, as SVG: the same figures give the same bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    types = sorted({one["type"] for one in results})
    with matplotlib.rc_context({"svg.hashsalt": "longbert", "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 3.4), layout="constrained")
        for axes, (title, value) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
            for type in types:
                own = sorted(
                    (one for one in results if one["type"] == type), key=lambda one: one["rows"]
                )
                axes.plot(
                    [one["rows"] for one in own], list(map(value, own)), marker="o", label=type
                )
            axes.set(xscale="log", yscale="log", title=title)
            axes.title.set_fontsize(10)
            axes.grid(alpha=0.3)
        figure.axes[0].legend(fontsize=8)
        figure.supxlabel("vectors of 384", fontsize=10)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def main() -> None:
    """Draw the chart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the SVG to write")
    parser.add_argument("results", type=Path, help="JSON lines of index_scale.py")
    given = parser.parse_args()
    lines = given.results.read_text().splitlines()
    given.output.write_bytes(chart([json.loads(line) for line in lines]))


if __name__ == "__main__":
    main()
