"""Pictures that tell how it went: learning curve, examples, scores. Drawn without a screen and without global state."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .data import ClassTable
from .errors import InputError
from .io import atomic
from .metrics import Scores
from .training.events import Finished, Noted, Started, Step, Validated

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Panel", "augmentation_picture", "evaluation_report", "rate_picture", "training_report"]

UNKNOWN = "#00000000"
READABLE_CLASSES = 25
"""With more than these, numbers in the confusion matrix would be too small to read."""
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
RATE = "#4292c6"
HATCH, HATCH_COLOR = "////", "0.45"
SLACK = 0.15
"""Room for brighter and darker variations, as a part of the range of the patch as it is."""


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
    _save(figure, path)


def _examples(figure: Any, panels: Sequence[Panel], classes: ClassTable) -> None:
    """Image, truth and prediction of each panel, and the classes that are there."""
    from matplotlib.patches import Patch

    grid = figure.subplots(len(panels), 3, squeeze=False)
    for panel, axes in zip(panels, grid, strict=True):
        pictures = (display(panel.image), _colored(panel.truth, classes), _colored(panel.prediction, classes))
        for place, picture, title in zip(axes, pictures, (_plain(panel.title), "truth", "prediction"), strict=True):
            place.imshow(picture, interpolation="nearest")
            place.set_title(title, fontsize=9)
            place.set_axis_off()
    present = {int(value) for panel in panels for part in (panel.truth, panel.prediction) for value in np.unique(part)}
    patches = [Patch(facecolor=entry.color, label=_plain(entry.name)) for entry in classes if entry.value in present]
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
    losses = _finite([event.loss for event in steps])
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
            labels.append((values[-1], _plain(entry.name, LONGEST_NAME), entry.color, "-"))
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
        rivals.append((scores.mean_iou, f"always {_plain(row.name, LONGEST_NAME)}", ALWAYS))
    return [rival for rival in rivals if np.isfinite(rival[0])]


def _name_curves(place: Axes, labels: Sequence[tuple[float, str, Any, Any]]) -> None:
    """Write names and values beside the right edge, near (value, name, colour, dashes) and not over each other."""
    from matplotlib.lines import Line2D

    labels = sorted(labels, key=lambda label: label[0])
    heights = _apart([label[0] for label in labels], 0.083)
    for (value, name, color, style), height in zip(labels, heights, strict=True):
        line = Line2D([1.005, 1.03, 1.07], [value, height, height], color=color, linestyle=style, linewidth=1)
        line.set(transform=place.transAxes, clip_on=False)
        place.add_artist(line)
        place.text(1.08, height, f"{name} {value:.2f}", va="center", fontsize=8, transform=place.transAxes)


def _apart(values: Sequence[float], gap: float) -> npt.NDArray[np.float64]:
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


def evaluation_report(path: str | Path, scores: Scores) -> None:
    """Draw the confusion matrix and the scores of each class to a PNG file; an existing one is replaced."""
    from matplotlib.figure import Figure

    names = [_plain(row.name) for row in scores.classes]
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


def augmentation_picture(
    path: str | Path, rows: Sequence[tuple[tuple[Any, Any], tuple[Any, Any]]], classes: ClassTable
) -> None:
    """Draw patches as they are and as training varies them to a PNG file; an existing one is replaced.

    All patches of a row are stretched alike, as the first one needs it, so that variations of brightness, contrast and
    colour are seen. Labels are thin outlines; a class of value 0 is what is left over, and where it exists, what is not
    learnt from is hatched: unlabelled, held out or beyond the image.

    Parameters
    ----------
    path : where to.
    rows : for each place the patch as it is, (values `(C, p, p)` float32, classes `(p, p)`), and its variations,
        (values `(N, C, p, p)` float32, classes `(N, p, p)`), as `PatchSampler.plain` and `PatchSampler.variations` give
        them: values in the network's range, class indices with -1 where unlabelled; arrays or tensors.
    classes : names and colours.

    Raises
    ------
    InputError
        There is no row.
    OutputError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    if not rows:
        raise InputError("A picture of the augmentation needs one patch at least. Got none.")
    lines = []
    for (plain, judged), (varied, varied_judged) in rows:
        pictures = [np.asarray(plain), *np.asarray(varied)]
        targets = [np.asarray(judged), *np.asarray(varied_judged)]
        bounds = _bounds(pictures[0], slack=SLACK)
        lines.append([(_stretched(each, bounds), target) for each, target in zip(pictures, targets, strict=True)])
    columns = max(map(len, lines))
    figure = Figure(figsize=(1.85 * columns + 0.2, 1.85 * len(rows) + 0.65), layout="constrained", dpi=120)
    # A narrow column parts what is there from what is made of it.
    grid = figure.subplots(len(rows), columns + 1, squeeze=False, width_ratios=[1, 0.05, *[1] * (columns - 1)])
    for place in grid.flat:
        place.set_axis_off()
    for axes, line in zip(grid, lines, strict=True):
        for place, (picture, target) in zip([axes[0], *axes[2:]], line, strict=False):
            place.imshow(picture, interpolation="nearest")
            _outline(place, target, classes)
    grid[0, 0].set_title("as it is", fontsize=9)
    for place in grid[0, 2 : 1 + len(lines[0])]:
        place.set_title("varied", fontsize=9)
    present = sorted({int(index) for line in lines for _, target in line for index in np.unique(target)})
    _outline_legend(figure, present, classes)
    _save(figure, path)


def _outline(place: Axes, target: npt.NDArray[Any], classes: ClassTable) -> None:
    """Outlines of the classes in a patch `(p, p)`, the rarer over the commoner; hatched where there is no class."""
    found, counts = np.unique(target, return_counts=True)
    for index in found[np.argsort(-counts)]:
        inside = target == index
        if _is_outlined(int(index), classes) and not inside.all():
            color = classes.classes[index].color
            lines = place.contour(inside.astype(np.uint8), levels=[0.5], colors=[color], linewidths=1)
            lines.set_path_effects(_halo(color))
    if 0 in classes.values and found[0] < 0:
        rest = (target < 0).astype(np.uint8)
        hatched = place.contourf(rest, levels=[0.5, 1.5], colors="none", hatches=[HATCH])
        hatched.set(edgecolor=HATCH_COLOR, linewidth=0, hatch_linewidth=0.6)


def _is_outlined(index: int, classes: ClassTable) -> bool:
    return index >= 0 and classes.values[index] != 0


def _halo(color: str) -> list[Any]:
    """What makes a thin line be seen on ground of any brightness: dark around bright ones, bright around dark ones."""
    from matplotlib.colors import to_rgb
    from matplotlib.patheffects import withStroke

    brightness = float(np.dot(to_rgb(color), [0.299, 0.587, 0.114]))
    return [withStroke(linewidth=2.2, foreground="#00000080" if brightness > 0.5 else "#ffffffa0")]


def _outline_legend(figure: Figure, present: Sequence[int], classes: ClassTable) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for index in present:
        if _is_outlined(index, classes):
            entry = classes.classes[index]
            halo = _halo(entry.color)
            handles.append(Line2D([], [], color=entry.color, linewidth=1, label=_plain(entry.name), path_effects=halo))
    if 0 in classes.values and present[0] < 0:
        rest = Patch(facecolor="none", edgecolor=HATCH_COLOR, linewidth=0, hatch=HATCH, label="not learnt from")
        rest.set(hatch_linewidth=0.6)
        handles.append(rest)
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(6, len(handles)), fontsize=8, frameon=False
        )


def rate_picture(path: str | Path, rates: Sequence[float], losses: Sequence[float], suggestion: float | None) -> None:
    """Draw what the learning-rate finder found to a PNG file; an existing one is replaced.

    Parameters
    ----------
    path : where to.
    rates : the rates that were tried, rising.
    losses : the loss at each; smoothed as the finder does, by an exponential mean without the start's bias.
    suggestion : the rate to be marked; None when there is none.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained", dpi=120)
    place = figure.subplots()
    values = _finite(losses)
    smooth = _followed(values)
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
    _save(figure, path)


def display(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """An image `(C, Y, X)` of any dtype as RGB `(Y, X, 3)` in [0, 1].

    One channel becomes grey; of more than three the first three are shown. 8-bit RGB keeps its colours, everything else
    is stretched between the 1st and 99th percentile of each channel.
    """
    if image.dtype == np.uint8 and image.shape[0] in (3, 4):
        return (np.moveaxis(image[:3], 0, -1) / np.float32(255)).astype(np.float32)
    return _stretched(image, _bounds(image))


def _bounds(image: npt.NDArray[Any], slack: float = 0.0) -> npt.NDArray[np.float32]:
    """The 1st and 99th percentile of the channels that are shown, `(2, 3, 1, 1)`, and some part of their range more."""
    low, high = np.nanpercentile(_visible(image), [1, 99], axis=(1, 2), keepdims=True)
    more = slack * (high - low)
    return np.stack([low - more, high + more])


def _stretched(image: npt.NDArray[Any], bounds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """An image `(C, Y, X)` as RGB `(Y, X, 3)`, with the lower bounds as 0 and the upper ones as 1."""
    low, high = bounds
    stretched = (_visible(image) - low) / np.maximum(high - low, 1e-6)
    picture: npt.NDArray[np.float32] = np.moveaxis(np.nan_to_num(stretched).clip(0, 1), 0, -1).astype(np.float32)
    return picture


def _visible(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Three channels `(3, Y, X)`, NaN where a value is not finite."""
    shown = image[[0, 0, 0]] if image.shape[0] < 3 else image[:3]
    return np.where(np.isfinite(shown), shown, np.nan).astype(np.float32)


def _colored(labels: npt.NDArray[Any], classes: ClassTable) -> npt.NDArray[np.float64]:
    """Label values `(Y, X)` as RGBA; what is no class is transparent."""
    from matplotlib.colors import to_rgba_array

    palette = to_rgba_array([*(entry.color for entry in classes), UNKNOWN])
    return np.asarray(palette[classes.to_indices(labels)])


def _smooth(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A running mean over a fifteenth of the values."""
    if not len(values):
        return values
    width = max(1, len(values) // 15)
    padded = np.pad(values, (width // 2, (width - 1) // 2), mode="edge")
    return np.convolve(padded, np.full(width, 1 / width), mode="valid")


def _followed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The exponential mean up to each value, of which nine tenths are the one before, without the start's bias."""
    from scipy.signal import lfilter

    if not len(values):
        return values
    mean: npt.NDArray[np.float64] = lfilter([0.1], [1, -0.9], values)
    return mean / (1 - 0.9 ** np.arange(1, len(values) + 1))


def _finite(values: Iterable[float]) -> npt.NDArray[np.float64]:
    """The values, with NaN for infinities too: lines have a gap there."""
    array = np.array(list(values), dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def _plain(text: str, longest: int = 1000) -> str:
    """A user's text in one line, shortened; what is between dollars is no formula."""
    line = " ".join(text.split())
    return (line if len(line) <= longest else line[: longest - 1] + "…").replace("$", r"\$")


def _save(figure: Figure, path: str | Path) -> None:
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png")
