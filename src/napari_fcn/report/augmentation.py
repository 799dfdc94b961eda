"""The preview of patches, as they are and as training varies them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data import ClassTable
from ..errors import InputError
from .drawing import bounds_of, plain_text, save, stretched

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["augmentation_picture"]

HATCH, HATCH_COLOR = "////", "0.45"
SLACK = 0.15
"""Room for brighter and darker variations, as a part of the range of the patch as it is."""


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
        bounds = bounds_of(pictures[0], slack=SLACK)
        lines.append([(stretched(each, bounds), target) for each, target in zip(pictures, targets, strict=True)])
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
    save(figure, path)


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
            handles.append(
                Line2D([], [], color=entry.color, linewidth=1, label=plain_text(entry.name), path_effects=halo)
            )
    if 0 in classes.values and present[0] < 0:
        rest = Patch(facecolor="none", edgecolor=HATCH_COLOR, linewidth=0, hatch=HATCH, label="not learnt from")
        rest.set(hatch_linewidth=0.6)
        handles.append(rest)
    if handles:
        figure.legend(
            handles=handles, loc="outside lower center", ncols=min(6, len(handles)), fontsize=8, frameon=False
        )
