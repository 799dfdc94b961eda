"""The classes of a labels layer: what its features, colormap and pixels say, and how to change that.

Functions of a layer's public attributes, without a viewer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..data.classes import ClassTable, default_color
from ..data.examples import BLOCK
from ..errors import InputError
from . import layers

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = [
    "ClassRow",
    "add_class",
    "class_rows",
    "count",
    "meaning_of_zero",
    "recolor",
    "remove_class",
    "rename",
    "thin",
]

FEW = 50
"""Pixels below which a class has hardly anything to learn from."""
MOST_CLASSES = 256
SPARSE = 0.1
"""Part of the pixels below which several classes are strokes, not a whole picture."""
COUNTED = 2**24
"""Pixels up to which a guess looks at all of them."""


@dataclass(frozen=True)
class ClassRow:
    """A class: its value, name, colour '#rrggbb', pixels (None where not counted), and what is wrong with it, or ''."""

    value: int
    name: str
    color: str
    pixels: int | None
    warning: str = ""


def count(labels: NDArray[Any]) -> dict[int, int]:
    """Pixels of each value that occurs."""
    if labels.dtype.kind in "ub" and labels.dtype.itemsize == 1:
        numbers = np.bincount(labels.ravel().astype(np.uint8, copy=False), minlength=2)
        return {int(value): int(numbers[value]) for value in np.flatnonzero(numbers)}
    values, numbers = np.unique(labels, return_counts=True)
    return dict(zip(values.tolist(), numbers.tolist(), strict=True))


def class_rows(labels: Labels, counts: dict[int, int] | None, zero: str = "unlabelled") -> list[ClassRow]:
    """The classes that have a name or a pixel, by rising value.

    Parameters
    ----------
    labels : the layer.
    counts : from `count`; None where there was no counting.
    zero : "background" when 0 is a class like others, so that a lack of it is worth a warning.
    """
    names = layers.class_names(labels)
    values = sorted({0, *names, *(counts or {})})
    if len(values) > MOST_CLASSES:
        values = sorted({0, *names})
    colors = layers.class_colors(labels.colormap, values)
    warnings = {} if counts is None else thin(layers.array(labels), values, counts)
    if zero != "background":
        warnings.pop(0, None)
    return [
        ClassRow(
            value,
            names.get(value, "") or ("not painted" if value == 0 else _usual_name(value)),
            colors.get(value, default_color(value)),
            None if counts is None else counts.get(value, 0),
            warnings.get(value, ""),
        )
        for value in values
    ]


def meaning_of_zero(labels: Labels) -> str:
    """What 0 most likely means in a layer: "unlabelled" where several classes are painted sparsely, else "background".

    A layer's own note comes first. Names come next: whoever names several classes, and 0 not, calls it 'not painted'.
    Then pixels, of layers in memory that are not too large: several classes that cover little of their slices.
    """
    noted = layers.facts(labels).get("zero")
    if noted in ("background", "unlabelled"):
        return str(noted)
    names = layers.class_names(labels)
    if names:
        return "unlabelled" if 0 not in names and len(names) > 1 else "background"
    data = layers.array(labels)
    if not isinstance(data, np.ndarray) or data.size > COUNTED:
        return "background"
    slices = data.reshape(-1, *data.shape[-2:])
    painted = slices[slices.any(axis=(1, 2))]
    counts = count(painted)
    few = painted.size - counts.pop(0, 0) < SPARSE * painted.size
    return "unlabelled" if len(counts) > 1 and few else "background"


def thin(labels: NDArray[Any], values: list[int], counts: dict[int, int]) -> dict[int, str]:
    """What is wrong with classes that are painted too thinly: a sentence by value.

    A class needs pixels to learn from, and two places apart from each other: one of them is held out to measure on.
    """
    found = {}
    for value in values:
        number = counts.get(value, 0)
        if number == 0:
            found[value] = "Nothing is painted of this class yet."
        elif number < FEW:
            found[value] = f"Only {number} pixels are painted; {FEW} or more give something to learn from."
        elif number < 4 * BLOCK * BLOCK and _places(labels, value) < 2:
            found[value] = (
                f"Painted in one place only; paint another one, {BLOCK} pixels or more away, so that its score can be "
                "measured."
            )
    return found


def _places(labels: NDArray[Any], value: int) -> int:
    """Blocks, as training holds them out, in which a value occurs; slices lie on each other."""
    where = np.nonzero(labels == value)[-2:]
    return len(set(zip((where[0] // BLOCK).tolist(), (where[1] // BLOCK).tolist(), strict=True)))


def rename(labels: Labels, value: int, name: str) -> None:
    """Give a class a name, in the layer's features."""
    names = layers.class_names(labels) | {value: name.strip()}
    _set_names(labels, names)


def recolor(labels: Labels, value: int, color: str) -> None:
    """Give a class a colour; the others keep theirs."""
    from napari.utils.colormaps import DirectLabelColormap

    values = [row.value for row in class_rows(labels, None)] + [int(labels.selected_label)]
    colors: dict[Any, Any] = {None: "#808080", 0: "transparent"}
    colors.update(layers.class_colors(labels.colormap, values))
    known = getattr(labels.colormap, "color_dict", {})
    colors |= {key: known[key] for key in (0, None) if key in known}
    labels.colormap = DirectLabelColormap(color_dict=colors | {value: color})


def add_class(labels: Labels, name: str = "", counts: dict[int, int] | None = None) -> int:
    """Add a class with the next free value, and choose it to paint with.

    Raises
    ------
    InputError
        The layer's integers can hold no higher value.
    """
    used = [row.value for row in class_rows(labels, counts)]
    value = max(used) + 1
    dtype = np.dtype(layers.array(labels).dtype)
    if value > np.iinfo(dtype).max:
        raise InputError(
            f"Labels of type {dtype} hold values up to {np.iinfo(dtype).max}. Got {value} for a new class."
        )
    rename(labels, value, name or _usual_name(value))
    recolor(labels, value, default_color(value))
    labels.selected_label = value
    return value


def remove_class(labels: Labels, value: int) -> None:
    """Forget the name of a class, and set its pixels to 0, which one undo takes back."""
    if value == 0:
        raise InputError("0 cannot be removed: it is what is not painted. Got 0; choose another class.")
    where = np.nonzero(layers.array(labels) == value)
    if where[0].size:
        labels.data_setitem(where, 0)
    _set_names(labels, {key: name for key, name in layers.class_names(labels).items() if key != value})


def _set_names(labels: Labels, names: dict[int, str]) -> None:
    import pandas  # type: ignore[import-untyped]  # napari's features are its tables

    before = labels.features
    table = pandas.DataFrame({"index": sorted(names), "name": [names[value] for value in sorted(names)]})
    others = [column for column in before.columns if column not in ("index", "name")]
    if "index" in before and others:
        table = table.merge(before[["index", *others]], on="index", how="left")
    labels.features = table


def _usual_name(value: int) -> str:
    return ClassTable._default_name(value)
