"""The plot of a training."""

from __future__ import annotations

import io
from collections.abc import Sequence

from longbert.training.fit import Epoch


def learning_curve(log: Sequence[Epoch], *, score: str) -> bytes:
    """Loss and score by epoch, as SVG: the same log gives the same bytes.

    Args:
        log: of a training.
        score: name of the score that it holds.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib
    from matplotlib.figure import Figure

    numbers = [epoch.number for epoch in log]
    best = max((epoch for epoch in log if epoch.is_best), key=lambda epoch: epoch.number)
    with matplotlib.rc_context({"svg.hashsalt": "longbert", "svg.fonttype": "none"}):
        figure = Figure(figsize=(8, 3.2), layout="constrained")
        losses, scores = figure.subplots(1, 2)
        losses.plot(numbers, [epoch.loss for epoch in log], marker="o", label="training")
        losses.plot(
            numbers, [epoch.validation_loss for epoch in log], marker="o", label="validation"
        )
        losses.set(xlabel="epoch", ylabel="loss", title="Loss")
        losses.legend()
        scores.plot(numbers, [epoch.score for epoch in log], marker="o", color="tab:green")
        scores.axvline(best.number, linestyle=":", color="gray")
        scores.annotate(f"kept: {best.score:.3f}", (best.number, best.score))
        scores.set(xlabel="epoch", ylabel=score, title=f"Validation {score}")
        for axes in (losses, scores):
            axes.xaxis.get_major_locator().set_params(integer=True)
            axes.grid(alpha=0.3)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()
