"""What a person should know about images before they are learnt from or segmented: sentences, no errors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..io import ImageFile
from .console import say

__all__ = ["empty_part", "other_scale", "remark", "tell"]

APART = 20.0
"""Ratio of the largest values of images of different types from which on the values mean something else."""
SAMPLES = 512
"""Pixels along each side that are looked at."""
WINDOWS, WINDOW = 6, 32
"""Along each side of an image that is read piece by piece, and their size in pixels."""
MOSTLY = 0.5
TOLD = 3


def tell(sentences: Iterable[str]) -> None:
    """Say the first of some sentences of one kind, and how many more there are."""
    told = list(sentences)
    for sentence in told[:TOLD]:
        say(sentence)
    if len(told) > TOLD:
        say(f"The same holds for {len(told) - TOLD} more.")


def remark(files: Sequence[ImageFile], axes: str, nodata: float | None) -> None:
    """Say what is surprising about images that are to be learnt from.

    Parameters
    ----------
    files : in memory.
    axes : of all of them.
    nodata : value of missing pixels that the user says; None where it is left to the files.
    """
    remedy = "say so with --nodata {value}"
    tell(note for file in files for note in file.notes)
    tell(filter(None, [other_scale(files)]))
    known = (file.nodata if nodata is None else nodata for file in files)
    tell(filter(None, (empty_part(file, axes, value, remedy) for file, value in zip(files, known, strict=True))))


def other_scale(files: Sequence[ImageFile]) -> str | None:
    """A sentence where images of different types have values of different size, such as 0 to 255 beside 0 to 1."""
    largest: dict[str, tuple[float, ImageFile]] = {}
    for file in files:
        value = _largest(file.array)
        kind = str(np.dtype(file.array.dtype))
        if value > largest.get(kind, (0.0, file))[0]:
            largest[kind] = value, file
    if len(largest) < 2:
        return None
    (low, dark), *_, (high, bright) = sorted(largest.values(), key=lambda each: each[0])
    if high < APART * low:
        return None
    return (
        f"Images of different types are learnt from together: values go up to {low:g} in {dark.path.name} "
        f"({dark.array.dtype}) and up to {high:g} in {bright.path.name} ({bright.array.dtype}); unless each image is "
        f"standardised by itself (--normalization image), bring them to one scale first."
    )


def empty_part(file: ImageFile, axes: str | None, nodata: float | None, remedy: str) -> str | None:
    """A sentence where most of a raster is one number in every band, and nothing says that this is no data.

    A raster is what has a place on Earth, or more than three bands: of a picture, black may be most of what is to be
    seen.

    Parameters
    ----------
    file : is looked at, at some hundred thousand pixels.
    axes : of its array.
    nodata : what marks missing pixels, where that is known.
    remedy : what to do about it, with a place for the value.
    """
    if axes is None or nodata is not None or set(axes) - set("CYX"):
        return None
    bands = file.array.shape[axes.index("C")] if "C" in axes else 1
    if bands <= 3 and not file.placed:
        return None
    pixels = _sample(file.array, axes)
    corners = pixels[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    filled = {float(corner[0]) for corner in corners.T if (corner == corner[0]).all()}
    shares = {value: float((pixels == value).all(axis=0).mean()) for value in filled}
    value = max(shares, key=lambda each: shares[each], default=0.0)
    if shares.get(value, 0.0) <= MOSTLY:
        return None
    where = f"all {bands} bands" if bands > 1 else "its band"
    return (
        f"{file.path.name}: about {shares[value]:.0%} of the pixels are exactly {value:g} in {where}, which counts as "
        f"data; if nothing is there, {remedy.format(value=f'{value:g}')}."
    )


def _largest(array: Any) -> float:
    if not isinstance(array, np.ndarray) or array.dtype.kind == "b":
        return 0.0
    part = array[tuple(slice(None, None, max(1, size // SAMPLES)) for size in array.shape)]
    known = np.abs(part[np.isfinite(part)].astype(np.float64))
    return float(known.max()) if known.size else 0.0


def _sample(array: Any, axes: str) -> npt.NDArray[Any]:
    """Some pixels of an image, `(C, h, w)`, the corners among them."""
    size = {letter: int(count) for letter, count in zip(axes, array.shape, strict=True)}
    if isinstance(array, np.ndarray):
        pick = {letter: np.linspace(0, size[letter] - 1, min(size[letter], SAMPLES)).astype(int) for letter in "YX"}
        for letter, places in pick.items():
            array = array.take(places, axis=axes.index(letter))
        return _channels_first(array, axes)
    rows = [[_read(array, axes, y, x) for x in _windows(size["X"])] for y in _windows(size["Y"])]
    return np.concatenate([np.concatenate(row, axis=2) for row in rows], axis=1)


def _windows(size: int) -> Iterator[slice]:
    if size <= WINDOWS * WINDOW:
        yield slice(0, size)
        return
    for start in np.linspace(0, size - WINDOW, WINDOWS).astype(int):
        yield slice(int(start), int(start) + WINDOW)


def _read(array: Any, axes: str, y: slice, x: slice) -> npt.NDArray[Any]:
    parts = {"Y": y, "X": x}
    return _channels_first(np.asarray(array[tuple(parts.get(letter, slice(None)) for letter in axes)]), axes)


def _channels_first(array: npt.NDArray[Any], axes: str) -> npt.NDArray[Any]:
    if "C" not in axes:
        array, axes = array[None], "C" + axes
    return array.transpose([axes.index(letter) for letter in "CYX"])
