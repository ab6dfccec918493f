"""The chart of the comparison: F1 of every method minus that of transformers' overlap merge.

python benchmarks/stitching/chart_stitching.py docs/stitching.svg litbank.json uner.json
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stitching_methods import MERGE


def chart(compared: Sequence[dict[str, Any]]) -> bytes:
    """Differences with their intervals, as SVG: the same figures give the same bytes.

    Args:
        compared: what ``compare_stitching.py`` wrote, one for each panel.
    """
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "longbert", "svg.fonttype": "none"}):
        figure = Figure(figsize=(2.6 + 2.4 * len(compared), 3.6), layout="constrained")
        panels = figure.subplots(1, len(compared), sharey=True, squeeze=False)[0]
        for axes, one in zip(panels, compared, strict=True):
            rows = [row for row in one["methods"] if row["method"] != MERGE]
            heights = range(len(rows) - 1, -1, -1)
            low, value, high = (
                [row["f1_ahead"][name] for row in rows] for name in ("low", "value", "high")
            )
            axes.hlines(heights, low, high, color="tab:blue")
            axes.plot(value, heights, marker="o", linestyle="", color="tab:blue")
            axes.axvline(0, linestyle=":", color="gray")
            axes.set_yticks(heights, [row["method"] for row in rows])
            axes.set_title(f"{one['data']}, {one['window']}/{one['overlap']}", fontsize=10)
            axes.locator_params(axis="x", nbins=4)
            axes.grid(axis="x", alpha=0.3)
        figure.supxlabel("F1 minus F1 of transformers' overlap merge, 95% interval", fontsize=10)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def main() -> None:
    """Draw the chart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the SVG to write")
    parser.add_argument("figures", type=Path, nargs="+", help="JSON of compare_stitching.py")
    given = parser.parse_args()
    given.output.write_bytes(chart([json.loads(file.read_text()) for file in given.figures]))


if __name__ == "__main__":
    main()
