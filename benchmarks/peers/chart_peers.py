"""The chart of longbert beside other programs, and of the stages of a run.

    python benchmarks/peers/chart_peers.py docs/speed.svg bench.json peers.json [more.json ...]

``bench.json`` is what `longbert bench --format json` prints, the others are of compare.py.
"""

from __future__ import annotations

import argparse
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Results = dict[str, Any]

REFERENCE = "sentence-transformers"
"""The program that each comparison has."""

_OURS, _OTHERS = "#1f77b4", "#a0a0a0"


def chart(bench: Results, peers: Sequence[Results]) -> bytes:
    """Speed by program, and the stages of a run, as SVG: equal figures, equal bytes."""
    import matplotlib
    from matplotlib.figure import Figure

    speeds = _speeds(peers)
    stages = {name: seconds for name, seconds in bench["stages"].items() if seconds > 0}
    with matplotlib.rc_context({"svg.hashsalt": "longbert", "svg.fonttype": "none"}):
        figure = Figure(figsize=(11, 1.5 + 0.32 * len(speeds)), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        names = list(speeds)[::-1]
        colours = [_OURS if name.startswith("longbert") else _OTHERS for name in names]
        bars = left.barh(names, [speeds[name] for name in names], color=colours)
        left.bar_label(bars, fmt="{:.2f}", padding=3, fontsize=8)
        left.set(title=f"speed, {REFERENCE} (float32) being 1")
        left.margins(x=0.15)
        parts = list(stages)[::-1]
        bars = right.barh(parts, [stages[name] for name in parts], color=_OURS)
        right.bar_label(bars, fmt="{:.2f}", padding=3, fontsize=8)
        right.set(title="seconds of a run by stage")
        right.margins(x=0.15)
        for axes in (left, right):
            axes.title.set_fontsize(10)
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _speeds(peers: Sequence[Results]) -> dict[str, float]:
    """Speed over that of the reference in the same run; a program counts where it comes first."""
    speeds: dict[str, float] = {}
    for results in peers:
        reference = results["programs"][REFERENCE]["seconds"]
        for name, found in results["programs"].items():
            speeds.setdefault(name, reference / found["seconds"])
    return dict(sorted(speeds.items(), key=lambda item: -item[1]))


def main() -> None:
    """Draw the chart."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the SVG to write")
    parser.add_argument("bench", type=Path, help="what `longbert bench --format json` printed")
    parser.add_argument("peers", type=Path, nargs="+", help="JSON of compare.py")
    given = parser.parse_args()
    bench, *peers = (json.loads(path.read_text()) for path in (given.bench, *given.peers))
    given.output.write_bytes(chart(bench, peers))


if __name__ == "__main__":
    main()
