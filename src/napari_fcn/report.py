"""Pictures that tell how it went: learning curve, examples, scores. Drawn without a screen and without global state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .data import ClassTable
from .io import atomic
from .metrics import Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "evaluation_report", "training_report"]

UNKNOWN = "#00000000"
READABLE_CLASSES = 25
"""With more than these, numbers in the confusion matrix would be too small to read."""


@dataclass(frozen=True)
class Panel:
    """An example: image `(C, Y, X)`, true and predicted label values `(Y, X)`."""

    title: str
    image: npt.NDArray[Any]
    truth: npt.NDArray[Any]
    prediction: npt.NDArray[Any]


def training_report(path: str | Path, events: Sequence[Any], panels: Sequence[Panel], classes: ClassTable) -> None:
    """Draw examples (image, truth, prediction) and the learning curve to a PNG file; an existing one is replaced.

    Parameters
    ----------
    path : where to.
    events : those of a training.
    panels : examples, one row each.
    classes : names and colours.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    rows = max(1, len(panels))
    figure = Figure(figsize=(10.5, 2.6 + 2.7 * rows), layout="constrained", dpi=120)
    examples, curves = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.7 * rows, 2.6])[:, 0]
    grid = examples.subplots(rows, 3, squeeze=False)
    for panel, axes in zip(panels, grid, strict=False):
        pictures = (display(panel.image), _colored(panel.truth, classes), _colored(panel.prediction, classes))
        for place, picture, title in zip(axes, pictures, (panel.title, "truth", "prediction"), strict=True):
            place.imshow(picture, interpolation="nearest")
            place.set_title(title, fontsize=9)
    for place in grid.flat:
        place.set_axis_off()
    present = {int(value) for panel in panels for part in (panel.truth, panel.prediction) for value in np.unique(part)}
    patches = [Patch(facecolor=entry.color, label=entry.name) for entry in classes if entry.value in present]
    examples.legend(handles=patches, loc="outside lower center", ncols=min(6, len(patches)), fontsize=8, frameon=False)
    _curves(curves.subplots(1, 2), events, classes)
    _save(figure, path)


def _curves(places: Sequence[Axes], events: Sequence[Any], classes: ClassTable) -> None:
    """Loss over seconds on the left, held-out scores on the right."""
    steps = [event for event in events if hasattr(event, "loss")]
    scored = [event for event in events if hasattr(event, "scores")]
    loss, score = places
    seconds = [event.seconds for event in steps]
    marker = "." if len(steps) < 3 else ""  # a line through one point is not seen
    loss.plot(seconds, [event.loss for event in steps], color="0.75", linewidth=0.8, marker=marker)
    loss.plot(seconds, _smooth([event.loss for event in steps]), color="0.2", linewidth=1.5)
    loss.set(xlabel="seconds", ylabel="loss", ylim=(0, None))
    for index, entry in enumerate(classes):
        score.plot(
            [event.seconds for event in scored],
            [event.scores.classes[index].iou for event in scored],
            color=entry.color,
            linewidth=1,
            label=entry.name,
        )
    score.plot(
        [event.seconds for event in scored],
        [event.scores.mean_iou for event in scored],
        color="black",
        marker="o",
        markersize=3,
        label="mean",
    )
    score.set(xlabel="seconds", ylabel="IoU on held-out pixels", ylim=(0, 1))
    if scored:
        score.legend(fontsize=8, frameon=False, loc="lower right")
    for place in places:
        place.spines[["top", "right"]].set_visible(False)
        place.tick_params(labelsize=8)


def evaluation_report(path: str | Path, scores: Scores) -> None:
    """Draw the confusion matrix and the scores of each class to a PNG file; an existing one is replaced."""
    from matplotlib.figure import Figure

    names = [row.name for row in scores.classes]
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
    _save(figure, path)


def display(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """An image `(C, Y, X)` of any dtype as RGB `(Y, X, 3)` in [0, 1].

    One channel becomes grey; of more than three the first three are shown. 8-bit RGB keeps its colours, everything else
    is stretched between the 1st and 99th percentile of each channel.
    """
    shown = image[[0, 0, 0]] if image.shape[0] < 3 else image[:3]
    if image.dtype == np.uint8 and image.shape[0] in (3, 4):
        return (np.moveaxis(shown, 0, -1) / np.float32(255)).astype(np.float32)
    values = np.where(np.isfinite(shown), shown, np.nan).astype(np.float32)
    low, high = np.nanpercentile(values, [1, 99], axis=(1, 2), keepdims=True)
    stretched = (values - low) / np.maximum(high - low, 1e-6)
    picture: npt.NDArray[np.float32] = np.moveaxis(np.nan_to_num(stretched).clip(0, 1), 0, -1).astype(np.float32)
    return picture


def _colored(labels: npt.NDArray[Any], classes: ClassTable) -> npt.NDArray[np.float64]:
    """Label values `(Y, X)` as RGBA; what is no class is transparent."""
    from matplotlib.colors import to_rgba_array

    palette = to_rgba_array([*(entry.color for entry in classes), UNKNOWN])
    return np.asarray(palette[classes.to_indices(labels)])


def _smooth(values: Sequence[float]) -> npt.NDArray[np.float64]:
    """A running mean over a fifteenth of the values."""
    width = max(1, len(values) // 15)
    padded = np.pad(np.asarray(values, float), (width // 2, (width - 1) // 2), mode="edge") if values else np.empty(0)
    return np.convolve(padded, np.full(width, 1 / width), mode="valid") if values else padded


def _save(figure: Figure, path: str | Path) -> None:
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png")
