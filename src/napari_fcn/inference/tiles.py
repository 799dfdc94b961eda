"""Where tiles lie. Geometry only: it depends on the image's size, the tile's and the overlap, and on nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

__all__ = ["TileGrid", "blending_profile", "starts"]


def starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """First pixels of the tiles along one side.

    As few tiles as the overlap allows, spread evenly from edge to edge, so that neighbours overlap by at least
    `overlap`; a single tile from 0 when the side is no longer than a tile.

    Examples
    --------
    >>> starts(1000, 512, 64), starts(300, 512, 64)
    ((0, 244, 488), (0,))
    """
    if length <= tile:
        return (0,)
    count = -(-(length - overlap) // (tile - overlap))
    return tuple(round(i * (length - tile) / (count - 1)) for i in range(count))


def blending_profile(tile: int) -> npt.NDArray[np.float32]:
    """Weights of a tile's pixels along one side, `(tile,)` float32: a Gaussian of deviation tile / 8, never quite 0.

    A tile's weight is the outer product of the profile with itself, as in nnU-Net (Isensee et al. 2021).
    """
    position = (np.arange(tile) + 0.5 - tile / 2) / (tile / 8)
    profile: npt.NDArray[np.float32] = np.maximum(np.exp(-0.5 * position**2), 1e-3).astype(np.float32)
    return profile


@dataclass(frozen=True)
class TileGrid:
    """Overlapping tiles that cover a plane.

    Attributes
    ----------
    height, width : the plane's size.
    tile, overlap : side and least overlap of the tiles in pixels, both of them whole.

    Examples
    --------
    >>> grid = TileGrid(600, 300, tile=512, overlap=64)
    >>> grid.rows, grid.columns, grid.tile_height, grid.tile_width
    ((0, 88), (0,), 512, 300)
    """

    height: int
    width: int
    tile: int
    overlap: int

    @property
    def tile_height(self) -> int:
        """Height of the tiles: the plane's when that is less than a tile."""
        return min(self.tile, self.height)

    @property
    def tile_width(self) -> int:
        """Width of the tiles: the plane's when that is less than a tile."""
        return min(self.tile, self.width)

    @cached_property
    def rows(self) -> tuple[int, ...]:
        """First pixel rows of the rows of tiles."""
        return starts(self.height, self.tile, self.overlap)

    @cached_property
    def columns(self) -> tuple[int, ...]:
        """First pixel columns of the columns of tiles."""
        return starts(self.width, self.tile, self.overlap)

    def strips(self) -> Iterator[tuple[int, int]]:
        """For each row of tiles its first pixel row, and the end of the rows that no later tile touches."""
        yield from zip(self.rows, [*self.rows[1:], self.height], strict=True)
