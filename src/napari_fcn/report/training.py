"""The report of a training: examples, learning curve, and what it says of itself."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data import ClassTable
from ..training.events import Finished, Noted, Started, Step, Validated
from .drawing import RATE, colored, display, finite, plain_text, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Panel", "apart", "training_report"]

LABELLED_CURVES = 9
"""With more classes, their curves would have too little room for their names."""
LISTED_NOTES = 8
"""More of what happened meanwhile is counted, not listed."""
LONGEST_NAME = 20
"""Characters of a class's name beside its curve."""
LINE = 118
"""Characters of a line under the curves."""
BEFORE, ALWAYS = (0, (5, 3)), (0, (1, 1.5))
"""Dashes of the starting model's score and dots of the most common class's."""


@dataclass(frozen=True)
class Panel:
    """An example: image `(C, Y, X)`, true and predicted label values `(Y, X)`."""

    title: str
    image: npt.NDArray[Any]
    truth: npt.NDArray[Any]
    prediction: npt.NDArray[Any]


def training_report(path: str | Path, events: Sequence[Any], panels: Sequence[Panel], classes: ClassTable) -> None:
    """Draw a training to a PNG file; an existing one is replaced.

    From the top: examples (image, truth, prediction); the loss with the learning rate; the held-out scores of the
    classes with the score before training and that of calling everything the most common class; what the training says
    of itself. What was noted meanwhile is numbered in the curves and listed below them.

    Parameters
    ----------
    path : where to.
    events : those of a training.
    panels : examples, one row each; may be none.
    classes : names and colours.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    lines = _story(events)
    heights = [2.7 * len(panels) + 0.3, 2.7, 0.12 + 0.2 * len(lines)]
    figure = Figure(figsize=(10.5, sum(heights)), layout="constrained", dpi=120)
    examples, curves, words = figure.subfigures(3, 1, squeeze=False, height_ratios=heights)[:, 0]
    if panels:
        _examples(examples, panels, classes)
    _curves(curves.subplots(1, 2, gridspec_kw={"wspace": 0.06}), events, classes)
    words.text(0.012, 1, "\n".join(lines), va="top", fontsize=9, linespacing=1.3)
    save(figure, path)


def _examples(figure: Any, panels: Sequence[Panel], classes: ClassTable) -> None:
    """Image, truth and prediction of each panel, and the classes that are there."""
    from matplotlib.patches import Patch

    grid = figure.subplots(len(panels), 3, squeeze=False)
    for panel, axes in zip(panels, grid, strict=True):
        pictures = (display(panel.image), colored(panel.truth, classes), colored(panel.prediction, classes))
        for place, picture, title in zip(axes, pictures, (plain_text(panel.title), "truth", "prediction"), strict=True):
            place.imshow(picture, interpolation="nearest")
            place.set_title(title, fontsize=9)
            place.set_axis_off()
    present = {int(value) for panel in panels for part in (panel.truth, panel.prediction) for value in np.unique(part)}
    patches = [
        Patch(facecolor=entry.color, label=plain_text(entry.name)) for entry in classes if entry.value in present
    ]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(6, len(patches)), fontsize=8, frameon=False)


def _story(events: Sequence[Any]) -> list[str]:
    """What stands under the curves: how it ended, and what was noted, by its number in the curves."""
    notes = [event for event in events if isinstance(event, Noted)]
    paragraphs = [event.summary for event in events if isinstance(event, Finished)][-1:]
    for number, note in enumerate(notes[:LISTED_NOTES], start=1):
        paragraphs.append(f"{number}   after {note.seconds:.0f} s: {note.text}")
    if len(notes) > LISTED_NOTES:
        paragraphs.append(f"and {len(notes) - LISTED_NOTES} more")
    wrapped = (textwrap.wrap(paragraph, LINE, subsequent_indent="     ") for paragraph in paragraphs)
    return [line.replace("$", r"\$") for lines in wrapped for line in lines]


def _curves(places: Sequence[Axes], events: Sequence[Any], classes: ClassTable) -> None:
    """Loss and learning rate over seconds on the left, held-out scores on the right."""
    timed = [event for event in events if isinstance(event, (Step, Validated, Noted, Finished))]
    end = max((event.seconds for event in timed), default=0.0)
    _loss(places[0], [event for event in events if isinstance(event, Step)])
    _scores(places[1], events, classes)
    for place in places:
        place.set_xlim(0, end or 1)
        place.set_xlabel("seconds", fontsize=9)
        place.spines["top"].set_visible(False)
        place.spines["right"].set_visible(False)
        place.tick_params(labelsize=8)
        _marks(place, [event.seconds for event in events if isinstance(event, Noted)], end or 1)


def _loss(place: Axes, steps: Sequence[Step]) -> None:
    """The loss of each step and its running mean, and behind them the learning rate."""
    from matplotlib.ticker import MaxNLocator

    seconds = [event.seconds for event in steps]
    losses = finite([event.loss for event in steps])
    marker = "." if len(steps) < 3 else ""  # a line through one point is not seen
    place.plot(seconds, losses, color="0.75", linewidth=0.8, marker=marker)
    place.plot(seconds, _smooth(losses), color="0.2", linewidth=1.5)
    place.set_ylim(0, None)
    place.set_ylabel("loss", fontsize=9)
    rates = place.twinx()
    rates.plot(seconds, [event.rate for event in steps], color=RATE, linewidth=1)
    rates.set_ylim(0, None)
    rates.set_ylabel("learning rate", color=RATE, fontsize=9)
    rates.yaxis.set_major_formatter("{x:g}")
    rates.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
    rates.tick_params(labelsize=7, colors=RATE)
    rates.spines[["top", "right"]].set_visible(False)
    place.set_zorder(rates.get_zorder() + 1)  # the loss is what one looks at first
    place.patch.set_visible(False)


def _scores(place: Axes, events: Sequence[Any], classes: ClassTable) -> None:
    """IoU of each class and their mean, named at the right edge, and the two scores that they must beat."""
    scored = [event for event in events if isinstance(event, Validated)]
    seconds = [event.seconds for event in scored]
    labels: list[tuple[float, str, Any, Any]] = []
    for value, name, style in _rivals(events):
        place.axhline(value, color="0.35", linewidth=1, linestyle=style)
        labels.append((value, name, "0.35", style))
    for index, entry in enumerate(classes):
        values = [event.scores.classes[index].iou for event in scored]
        place.plot(seconds, values, color=entry.color, linewidth=1)
        if scored and np.isfinite(values[-1]) and len(classes) <= LABELLED_CURVES:
            labels.append((values[-1], plain_text(entry.name, LONGEST_NAME), entry.color, "-"))
    means = [event.scores.mean_iou for event in scored]
    place.plot(seconds, means, color="black", marker="o", markersize=3, clip_on=False)
    if scored and np.isfinite(means[-1]):
        labels.append((means[-1], "mean", "black", "-"))
    place.set_ylim(0, 1)
    place.set_ylabel("IoU on held-out pixels", fontsize=9)
    if not scored:
        place.text(0.5, 0.5, "nothing was held out", ha="center", color="0.5", transform=place.transAxes)
    _name_curves(place, labels)


def _rivals(events: Sequence[Any]) -> list[tuple[float, str, Any]]:
    """Mean IoU, name and dashes of what a training should be better than, where that is known."""
    ends = [event for event in events if isinstance(event, Finished)]
    starts = [event.scores for event in events if isinstance(event, Validated) and event.step == 0]
    starts += [event.start for event in ends if event.start is not None]
    common = [event.majority for event in events if isinstance(event, (Started, Finished)) and event.majority]
    rivals: list[tuple[float, str, Any]] = [(scores.mean_iou, "before training", BEFORE) for scores in starts[-1:]]
    for scores in common[-1:]:
        row = scores.classes[int(np.sum(scores.confusion, axis=0).argmax())]
        rivals.append((scores.mean_iou, f"always {plain_text(row.name, LONGEST_NAME)}", ALWAYS))
    return [rival for rival in rivals if np.isfinite(rival[0])]


def _name_curves(place: Axes, labels: Sequence[tuple[float, str, Any, Any]]) -> None:
    """Write names and values beside the right edge, near (value, name, colour, dashes) and not over each other."""
    from matplotlib.lines import Line2D

    labels = sorted(labels, key=lambda label: label[0])
    heights = apart([label[0] for label in labels], 0.083)
    for (value, name, color, style), height in zip(labels, heights, strict=True):
        line = Line2D([1.005, 1.03, 1.07], [value, height, height], color=color, linestyle=style, linewidth=1)
        line.set(transform=place.transAxes, clip_on=False)
        place.add_artist(line)
        place.text(1.08, height, f"{name} {value:.2f}", va="center", fontsize=8, transform=place.transAxes)


def apart(values: Sequence[float], gap: float) -> npt.NDArray[np.float64]:
    """Positions in [0, 1] near rising values and at least `gap` apart, by least squares: an isotonic regression."""
    from scipy.optimize import isotonic_regression

    if not values:
        return np.empty(0)
    steps = gap * np.arange(len(values))
    shifted: npt.NDArray[np.float64] = isotonic_regression(np.asarray(values) - steps).x
    placed: npt.NDArray[np.float64] = shifted.clip(0, max(0.0, 1 - steps[-1])) + steps
    return placed


def _marks(place: Axes, seconds: Sequence[float], end: float) -> None:
    """Dotted lines with the numbers of the notes; numbers that would stand on each other are joined."""
    groups: list[list[int]] = []
    for number, second in enumerate(seconds):
        place.axvline(second, color="0.6", linewidth=0.8, linestyle=ALWAYS, zorder=0)
        if groups and second - seconds[groups[-1][0]] < 0.09 * end:
            groups[-1].append(number)
        elif number < LISTED_NOTES:
            groups.append([number])
    for group in groups:
        first, last = group[0] + 1, min(group[-1] + 1, LISTED_NOTES)
        text = str(first) if first == last else f"{first}–{last}"
        place.text(
            seconds[group[0]], 1.02, text, ha="center", fontsize=8, color="0.35", transform=place.get_xaxis_transform()
        )


def _smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A running mean over a fifteenth of the values."""
    if not len(values):
        return values
    width = max(1, len(values) // 15)
    padded = np.pad(values, (width // 2, (width - 1) // 2), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")
