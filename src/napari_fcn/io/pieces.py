"""Results that are written piece by piece: labels, probabilities and uncertainty of images larger than the memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["ArraySink", "Frame", "Sink"]


class Frame:
    """Where the planes of an image lie in an array of results.

    Parameters
    ----------
    shape : of the results, without leading classes.
    axes : letters of `TZYX` in the array's order.

    Attributes
    ----------
    height, width : of a plane.
    planes : index of each plane along the axes that are no Y and X, in their order.
    """

    def __init__(self, shape: Sequence[int], axes: str) -> None:
        self.shape, self.axes = tuple(shape), axes
        self.height, self.width = (self.shape[axes.index(letter)] for letter in "YX")
        self.walked = [letter for letter in axes if letter not in "YX"]
        self.planes = list(np.ndindex(*(self.shape[axes.index(letter)] for letter in self.walked)))

    def key(self, plane: int, rows: slice, columns: slice) -> tuple[Any, ...]:
        """The index of a window of a plane."""
        index = {"Y": rows, "X": columns, **dict(zip(self.walked, self.planes[plane], strict=True))}
        return tuple(index[letter] for letter in self.axes)

    def turned(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Values `(..., h, w)` in the order that Y and X have in the array."""
        return values if self.axes.index("Y") < self.axes.index("X") else values.swapaxes(-1, -2)

    def chunks(self, side: int) -> tuple[int, ...]:
        """Chunks of at most `side` x `side` pixels of one plane."""
        return tuple(min(size, side) if a in "YX" else 1 for size, a in zip(self.shape, self.axes, strict=True))


class Sink(Protocol):
    """What takes results in pieces.

    Pieces of a plane come row of tiles by row of tiles, each pixel once.
    """

    def write(self, plane: int, rows: slice, columns: slice, values: npt.NDArray[Any]) -> None:
        """Take a window of a plane, `(h, w)` or `(K, h, w)`."""

    def finish(self) -> None:
        """Everything was written: put it in its place."""

    def abort(self) -> None:
        """It will not be complete."""


class ArraySink:
    """Results into an array that is there already: numpy, or anything that takes slices, such as a zarr array.

    Parameters
    ----------
    array : `(*shape)`, or `(K, *shape)` for probabilities.
    frame : how planes lie in it.
    """

    def __init__(self, array: Any, frame: Frame) -> None:
        self.array, self.frame = array, frame

    def write(self, plane: int, rows: slice, columns: slice, values: npt.NDArray[Any]) -> None:
        """Take a window of a plane."""
        leading = (slice(None),) * (values.ndim - 2)
        self.array[(*leading, *self.frame.key(plane, rows, columns))] = self.frame.turned(values)

    def finish(self) -> None:
        """Nothing is left to do."""

    def abort(self) -> None:
        """The array keeps what was written."""
