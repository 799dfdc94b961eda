"""Axes: any image seen as a row of planes with channels first.

`axes` is a string over T Z C Y X, one letter a dimension. Networks work on YX planes; T and Z are walked through.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["Planes", "check_axes", "guess_axes", "spatial_axes"]

LETTERS = "TZCYX"
Index = tuple[int, ...]


def spatial_axes(axes: str) -> str:
    """The axes that labels have: all but C.

    Examples
    --------
    >>> spatial_axes("TCYX")
    'TYX'
    """
    return axes.replace("C", "")


def check_axes(axes: str, shape: Sequence[int]) -> str:
    """`axes` in capitals, or `InputError` when it does not describe an array of this shape."""
    letters = axes.upper()
    if len(set(letters)) != len(letters) or not set(letters) <= set(LETTERS) or not {"Y", "X"} <= set(letters):
        raise InputError(f"`axes` must be letters of {LETTERS}, each once, with Y and X, such as YXC. Got {axes!r}.")
    if len(letters) != len(shape):
        raise InputError(f"`axes` must have a letter for each dimension. Got {axes!r} for shape {tuple(shape)}.")
    return letters


def guess_axes(shape: Sequence[int], *, labels_shape: Sequence[int] | None = None, channels: int | None = None) -> str:
    """The most likely axes of an array when nobody said them.

    Parameters
    ----------
    shape : the image's shape.
    labels_shape : the shape of its labels, which have no C; decides between channels and slices.
    channels : the channels that a model wants; decides where labels are absent.

    Raises
    ------
    InputError
        Several readings are possible; the message shows how to say it.

    Examples
    --------
    >>> guess_axes((480, 640)), guess_axes((480, 640, 3)), guess_axes((6, 512, 512), labels_shape=(512, 512))
    ('YX', 'YXC', 'CYX')
    """
    shape = tuple(shape)
    candidates = {
        2: ["YX"],
        3: ["YXC", "CYX", "ZYX"],
        4: ["ZYXC", "ZCYX", "CZYX", "TZYX"],
        5: ["TZYXC", "TZCYX", "TCZYX"],
    }
    possible = candidates.get(len(shape), [])
    if labels_shape is not None:
        fits = [a for a in possible if _spatial_shape(shape, a) == tuple(labels_shape)]
        if not fits:
            raise InputError(
                f"Labels must have the image's shape without its channels. "
                f"Got labels {tuple(labels_shape)} for an image {shape}."
            )
        possible = fits
    if channels is not None and len(possible) > 1:
        fits = [a for a in possible if _channels(shape, a) == channels]
        possible = fits or possible
    colour = [a for a in possible if a.endswith("C") and shape[-1] in (3, 4)]
    if len(possible) > 1 and colour:
        possible = colour
    if not possible or (len(possible) > 1 and labels_shape is None):
        raise InputError(
            f"The axes of an image of shape {shape} are not clear; say them, such as axes='ZYX' for slices or "
            f"axes='CYX' for channels."
        )
    return possible[0]


def _spatial_shape(shape: Sequence[int], axes: str) -> tuple[int, ...]:
    return tuple(size for size, letter in zip(shape, axes, strict=True) if letter != "C")


def _channels(shape: Sequence[int], axes: str) -> int:
    return shape[axes.index("C")] if "C" in axes else 1


class Planes:
    """An image as a sequence of planes `(C, Y, X)`, read piece by piece.

    Parameters
    ----------
    array : anything with `shape`, `dtype` and slicing: numpy, dask, zarr. Nothing is read before it is asked for.
    axes : such as "YX", "YXC" or "TZCYX".
    channels : indices of the channels to use, in this order; all when None.
    prepare : what each plane `(C, H, W)` of these channels goes through when it is read. It sees whole planes, so a
        plane is then read whole and the last one is kept, however small the windows are.

    Attributes
    ----------
    height, width, channels : the planes' size.
    spatial_shape : the array's shape without C, in the array's order: the shape that labels have.

    Raises
    ------
    InputError
        Axes and shape disagree, the dtype is no number, a channel does not exist, or a side is 0.

    Examples
    --------
    >>> planes = Planes(np.zeros((2, 4, 5, 3)), "ZYXC")
    >>> len(planes), planes.channels, planes.read(0).shape
    (2, 3, (3, 4, 5))
    """

    def __init__(
        self,
        array: Any,
        axes: str,
        channels: Sequence[int] | None = None,
        prepare: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None = None,
    ) -> None:
        self._prepare = prepare
        self._prepared: tuple[int, npt.NDArray[Any]] | None = None
        self.axes = check_axes(axes, array.shape)
        self.array = array
        kind = np.dtype(array.dtype).kind
        if kind not in "biuf":
            raise InputError(f"Images must hold integers, floats or booleans. Got dtype {array.dtype}.")
        if 0 in array.shape:
            raise InputError(f"Images must have at least one pixel. Got shape {tuple(array.shape)}.")
        available = array.shape[self.axes.index("C")] if "C" in self.axes else 1
        self.selection = tuple(range(available)) if channels is None else tuple(channels)
        wrong = [c for c in self.selection if not 0 <= c < available]
        if wrong or not self.selection:
            raise InputError(
                f"`channels` must be numbers from 0 to {available - 1} for this image. Got {list(self.selection)}."
            )
        self.channels = len(self.selection)
        self.height, self.width = (array.shape[self.axes.index(letter)] for letter in "YX")
        self.spatial_axes = spatial_axes(self.axes)
        self.spatial_shape = _spatial_shape(array.shape, self.axes)
        self._walked = [letter for letter in self.spatial_axes if letter not in "YX"]
        self.indices: list[Index] = list(product(*(range(array.shape[self.axes.index(a)]) for a in self._walked)))

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, plane: int, rows: slice = slice(None), columns: slice = slice(None)) -> npt.NDArray[Any]:
        """A window of one plane, `(C, h, w)` in the image's dtype; a view where the source allows it.

        With `prepare`, what that makes of the plane.
        """
        if self._prepare is None:
            return self._read(plane, rows, columns)
        kept = self._prepared  # read once: others may be replacing it
        if kept is None or kept[0] != plane:
            kept = self._prepared = plane, self._prepare(self._read(plane, slice(None), slice(None)))
        return kept[1][:, rows, columns]

    def _read(self, plane: int, rows: slice, columns: slice) -> npt.NDArray[Any]:
        walked = dict(zip(self._walked, self.indices[plane], strict=True))
        key = {"Y": rows, "X": columns, "C": slice(None), **walked}
        window = np.asarray(self.array[tuple(key[letter] for letter in self.axes)])
        order = [letter for letter in self.axes if letter in "CYX"]
        if "C" not in order:
            window, order = window[np.newaxis], ["C", *order]
        window = window.transpose([order.index(letter) for letter in "CYX"])
        return window if self.selection == tuple(range(window.shape[0])) else window[list(self.selection)]

    def read_mirrored(self, plane: int, top: int, left: int, height: int, width: int) -> npt.NDArray[Any]:
        """A window `(C, height, width)` that may reach beyond the plane, which is continued by its mirror image."""
        inside = []
        beyond = [(0, 0)]
        for first, length, side in ((top, height, self.height), (left, width, self.width)):
            begin, end = max(first, 0), min(first + length, side)
            inside.append(slice(begin, end))
            beyond.append((begin - first, first + length - end))
        window = self.read(plane, *inside)
        return np.pad(window, beyond, mode="reflect") if np.any(beyond) else window

    def plane_of(self, array: Any, plane: int) -> npt.NDArray[Any]:
        """The `(Y, X)` plane of an array of shape `spatial_shape`, such as labels; a view of a numpy array."""
        walked = dict(zip(self._walked, self.indices[plane], strict=True))
        window = np.asarray(array[tuple(walked.get(letter, slice(None)) for letter in self.spatial_axes)])
        return window if self.axes.index("Y") < self.axes.index("X") else window.T
