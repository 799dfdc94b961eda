"""The report of an evaluation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..metrics import Scores
from .drawing import plain_text, save

__all__ = ["evaluation_report"]

READABLE_CLASSES = 25
"""With more than these, numbers in the confusion matrix would be too small to read."""


def evaluation_report(path: str | Path, scores: Scores) -> None:
    """Draw the confusion matrix and the scores of each class to a PNG file; an existing one is replaced."""
    from matplotlib.figure import Figure

    names = [plain_text(row.name) for row in scores.classes]
    size = 2.5 + 0.45 * min(len(names), READABLE_CLASSES)
    figure = Figure(figsize=(2.4 * size, size), layout="constrained", dpi=120)
    matrix, bars = figure.subplots(1, 2)
    counts = np.array(scores.confusion, dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    matrix.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape if len(names) <= READABLE_CLASSES else (0, 0)):
        shade = "white" if shares[row, column] > 0.6 else "black"
        matrix.text(column, row, f"{shares[row, column]:.2f}", ha="center", va="center", fontsize=8, color=shade)
    small = 8 if len(names) <= READABLE_CLASSES else 200 / len(names)
    matrix.set_xticks(range(len(names)), names, rotation=45, ha="right", fontsize=small)
    matrix.set_yticks(range(len(names)), names, fontsize=small)
    matrix.set(xlabel="prediction", ylabel="truth", title="part of the true pixels")
    position = np.arange(len(names))
    bars.barh(position - 0.2, [row.iou for row in scores.classes], height=0.38, label="IoU", color="#3182bd")
    bars.barh(position + 0.2, [row.dice for row in scores.classes], height=0.38, label="Dice", color="#9ecae1")
    bars.set_yticks(position, names, fontsize=small)
    bars.set_ylim(len(names) - 0.5, -0.5)  # rows beside those of the matrix
    bars.set(xlim=(0, 1), title=f"mean IoU {scores.mean_iou:.3f}, pixel accuracy {scores.pixel_accuracy:.3f}")
    bars.legend(fontsize=8, frameon=False, loc="lower right")
    bars.spines[["top", "right"]].set_visible(False)
    save(figure, path)
