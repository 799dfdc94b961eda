"""The picture of what the learning-rate finder found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .drawing import RATE, finite, save

__all__ = ["rate_picture"]


def rate_picture(
    path: str | Path,
    rates: Sequence[float],
    losses: Sequence[float],
    smoothed: Sequence[float],
    suggestion: float | None,
) -> None:
    """Draw what the learning-rate finder found to a PNG file; an existing one is replaced.

    Parameters
    ----------
    path : where to.
    rates : the rates that were tried, rising.
    losses, smoothed : the loss at each, and its running mean.
    suggestion : the rate to be marked; None when there is none.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained", dpi=120)
    place = figure.subplots()
    values = finite(losses)
    smooth = finite(smoothed)
    marker = "." if len(values) < 3 else ""
    place.plot(rates, values, color="0.75", linewidth=0.8, marker=marker, label="loss of each step")
    place.plot(rates, smooth, color="0.2", linewidth=1.8, label="smoothed")
    place.set_xscale("log")
    place.set(xlabel="learning rate", ylabel="loss")
    seen = smooth[np.isfinite(smooth)]
    if seen.size:  # where it ends the loss may be a thousand times what matters
        low, start = seen.min(), seen[: max(1, len(seen) // 4)].max()
        margin = 0.4 * (start - low) + 0.05 * abs(start) + 1e-6
        place.set_ylim(max(low - margin, min(0, low)), start + margin)
    if suggestion is None:
        place.set_title("no rate to be suggested: the loss never falls", fontsize=10)
    else:
        place.axvline(suggestion, color=RATE, linewidth=1.5)
        place.text(
            suggestion,
            1.02,
            f"suggested: {suggestion:.2g}",
            ha="center",
            color="#2171b5",
            fontsize=10,
            transform=place.get_xaxis_transform(),
        )
    place.spines[["top", "right"]].set_visible(False)
    place.tick_params(labelsize=8)
    place.grid(axis="x", color="0.92")
    place.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    save(figure, path)
