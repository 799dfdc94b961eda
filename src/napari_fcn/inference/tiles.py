"""Where tiles lie. Geometry only: it depends on the image's size, the tile's and the overlap, and on nothing else."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["BLENDINGS", "TileGrid", "blending_profile", "fitting_tile", "starts"]

MULTIPLE = 32
"""Tiles that are chosen here have sides that are multiples of this, as most networks want, and begin at such places."""

BLENDINGS = {
    "gaussian": "a tile counts most in its middle, by a Gaussian of an eighth of its side (Isensee et al. 2021)",
    "constant": "a tile counts the same everywhere",
}


def starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """First pixels of the tiles along one side.

    As few tiles as the overlap allows, at equal steps but for the last one, which may be shorter; neighbours overlap by
    at least `overlap`. A single tile from 0 when the side is no longer than a tile.

    Steps are multiples of 32 where the overlap leaves room for that, and the last tile then reaches up to 31 pixels
    beyond the end. A network that halves its images sees the same pixels together only where it is moved by multiples
    of its stride: tiles that begin elsewhere say other things than the whole image, all over.

    Examples
    --------
    >>> starts(1000, 512, 64), starts(300, 512, 64)
    ((0, 256, 512), (0,))
    """
    if length <= tile:
        return (0,)
    count = -(-(length - overlap) // (tile - overlap))
    last = length - tile
    step = -(-last // (count - 1))
    even = _next_multiple(step)
    if even <= tile - overlap:
        step, last = even, _next_multiple(last)
    return tuple(min(i * step, last) for i in range(count))


def _next_multiple(number: int) -> int:
    return -(-number // MULTIPLE) * MULTIPLE


def fitting_tile(length: int, largest: int, overlap: int) -> int:
    """The side of tiles that cover `length` with little more than `overlap` pixels in common, and few pixels in all.

    As few tiles as possible, or one or two more of them where sides of whole multiples then fit better.

    Parameters
    ----------
    length : of the image's side.
    largest : what the memory allows, at least twice the overlap.

    Examples
    --------
    >>> fitting_tile(4096, 1100, 64), fitting_tile(4096, 928, 64), fitting_tile(300, 1024, 64)
    (1088, 736, 320)
    """
    fewest = 1 if length <= largest else -(-(length - overlap) // (largest - overlap))
    sides = {}
    for count in range(fewest, fewest + (3 if fewest > 1 else 1)):
        exact = -(-(length + (count - 1) * overlap) // count)
        sides[count] = min(_next_multiple(exact), max(largest, MULTIPLE))
    return sides[min(sides, key=lambda count: (count * sides[count], count))]


def blending_profile(tile: int, blending: str = "gaussian", overlap: int | None = None) -> npt.NDArray[np.float64]:
    """Weights of a tile's pixels along one side, `(tile,)` float64, never quite 0.

    A tile's weight is the outer product of the profiles of its sides. The Gaussian has a deviation of an eighth of the
    side, as in nnU-Net (Isensee et al. 2021); where the overlap is less than an eighth of the tile it is narrower, so
    that a tile has 3 % of the weight where its neighbour ends, as tiles of 512 with an overlap of 64 do.

    Parameters
    ----------
    tile : side in pixels.
    blending : a name in `BLENDINGS`.
    overlap : with the neighbours, in pixels; None for a side without neighbours.
    """
    if blending == "constant" or overlap == 0:
        return np.ones(tile)
    if blending != "gaussian":
        raise InputError(f"`blending` must be one of {', '.join(BLENDINGS)}. Got {blending!r}.")
    deviation = tile / 8 if overlap is None else min(tile / 8, math.sqrt((tile - overlap) * overlap / 7))
    position = (np.arange(tile) + 0.5 - tile / 2) / deviation
    profile: npt.NDArray[np.float64] = np.maximum(np.exp(-0.5 * position**2), 1e-30)
    return profile


@dataclass(frozen=True)
class TileGrid:
    """Overlapping tiles that cover a plane.

    Attributes
    ----------
    height, width : the plane's size.
    tile, overlap : side and least overlap of the tiles in pixels, both of them whole.
    tile_columns : the tiles' width where it is not `tile`.
    border : pixels by which the plane is continued, mirrored, beyond its edges.
    blending : a name in `BLENDINGS`.

    Examples
    --------
    >>> grid = TileGrid(600, 300, tile=512, overlap=64)
    >>> grid.rows, grid.columns, grid.tile_height, grid.tile_width
    ((0, 96), (0,), 512, 300)
    """

    height: int
    width: int
    tile: int
    overlap: int
    tile_columns: int | None = None
    border: int = 0
    blending: str = "gaussian"

    @property
    def tile_height(self) -> int:
        """Height of the tiles: the plane's when that is less than a tile."""
        return min(self.tile, self.height + 2 * self.border)

    @property
    def tile_width(self) -> int:
        """Width of the tiles: the plane's when that is less than a tile."""
        return min(self.tile_columns or self.tile, self.width + 2 * self.border)

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """First pixel rows of the rows of tiles; in the mirrored border negative, and the last may end beyond it."""
        found = starts(self.height + 2 * self.border, self.tile_height, self.overlap)
        return tuple(row - self.border for row in found)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """First pixel columns of the columns of tiles; negative in the mirrored border."""
        found = starts(self.width + 2 * self.border, self.tile_width, self.overlap)
        return tuple(column - self.border for column in found)

    @cached_property
    def row_weights(self) -> tuple[npt.NDArray[np.float32], ...]:
        """For each row of tiles the weights of its pixel rows, `(tile_height,)`; of each pixel row they sum to 1."""
        return _shares(self.rows, self.tile_height, self.blending)

    @cached_property
    def column_weights(self) -> tuple[npt.NDArray[np.float32], ...]:
        """For each column of tiles the weights of its pixel columns; of each pixel column they sum to 1."""
        return _shares(self.columns, self.tile_width, self.blending)

    def touching(self, rows: slice, columns: slice) -> tuple[range, range]:
        """Indices of the rows and of the columns of tiles that have a pixel in a window of the plane."""
        return _touching(self.rows, self.tile_height, rows), _touching(self.columns, self.tile_width, columns)

    def strips(self) -> Iterator[tuple[int, int]]:
        """For each row of tiles its first pixel row, and the end of the rows that no later tile touches."""
        tops = [max(0, row) for row in self.rows]
        yield from zip(tops, [*tops[1:], self.height], strict=True)


def _shares(first: tuple[int, ...], tile: int, blending: str) -> tuple[npt.NDArray[np.float32], ...]:
    """The tiles' profiles, each divided by the sum of all of them at its place."""
    overlap = first[0] + tile - first[1] if len(first) > 1 else None
    profile = blending_profile(tile, blending, overlap)
    total = np.zeros(first[-1] - first[0] + tile)
    for start in first:
        total[start - first[0] :][:tile] += profile
    return tuple((profile / total[start - first[0] :][:tile]).astype(np.float32) for start in first)


def _touching(first: tuple[int, ...], tile: int, window: slice) -> range:
    begin = next(index for index, start in enumerate(first) if start + tile > window.start)
    end = next((index for index, start in enumerate(first) if start >= window.stop), len(first))
    return range(begin, end)
