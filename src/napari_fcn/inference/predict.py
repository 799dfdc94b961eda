"""Segmenting a window of a plane by blended tiles.

The result for a pixel depends on the network, the image, its statistics and the tile grid, and not on the window that
is asked for: every tile that touches a pixel takes part, in the same order. A pixel is finished when no later tile
touches it; what is remembered of a row of tiles is only the rows that it shares with the next one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data.axes import Planes
from ..data.normalization import Normalization, Statistics
from .ahead import ahead
from .engine import Engine
from .tiles import TileGrid

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Region", "classify", "most_likely", "predict_window", "uncertainty"]

Forward = Callable[[npt.NDArray[np.float32]], "Tensor"]
"""Standardised windows `(N, C, h, w)` to class probabilities `(N, K, h, w)`, float32 on the CPU, to be changed."""

READ_AHEAD = 2
REMEMBERED = 3
"""Results of tiles of one value that are kept: of those at the left, in the middle and at the right of a row."""
Name = tuple[Any, ...]


@dataclass(frozen=True)
class Region:
    """A finished window of a plane.

    Attributes
    ----------
    plane, rows, columns : where it lies.
    probabilities : `(K, h, w)` float32, sum 1 over the classes; 0 for all classes where there is no data.
    missing : `(h, w)` bool where there is no data, or None.
    name : regions of the same name have the same probabilities; None where that is not known.
    """

    plane: int
    rows: slice
    columns: slice
    probabilities: npt.NDArray[np.float32]
    missing: npt.NDArray[np.bool_] | None
    name: Name | None = None


@dataclass(frozen=True)
class _Tile:
    """What was read for one tile: standardised values, or the value of all of its pixels where there is only one."""

    values: npt.NDArray[np.float32] | None
    missing: npt.NDArray[np.bool_] | None
    constant: tuple[Any, ...] | None


def predict_window(
    forward: Forward,
    image: Planes,
    plane: int,
    *,
    classes: int,
    normalization: Normalization,
    channel_statistics: Statistics,
    grid: TileGrid,
    rows: slice | None = None,
    columns: slice | None = None,
    batch: int = 1,
    streams: int = 1,
) -> Iterator[Region]:
    """Segment a window of one plane of `image`.

    Tiles in which every pixel is missing are not computed. Tiles in which all pixels have one value are computed once.

    Parameters
    ----------
    forward : the network.
    classes : K.
    image, plane : what to read, in a thread of its own, tile by tile.
    normalization, channel_statistics : how values are standardised; `normalization.fit(image)`.
    grid : tiles over the plane.
    rows, columns : the window, with start and stop; the whole plane when None.
    batch : tiles that go through the network together.
    streams : calls of `forward` that are made at the same time, each in a thread of its own.

    Yields
    ------
    Region
        Together the window, each pixel once: row of tiles by row of tiles, in it from left to right.
    """
    rows = slice(0, grid.height) if rows is None else rows
    columns = slice(0, grid.width) if columns is None else columns
    tile_rows, tile_columns = grid.touching(rows, columns)
    places = [(row, column) for row in tile_rows for column in tile_columns]
    read = partial(_read, image, plane, grid, normalization, channel_statistics)
    shared = _Shared(grid, tile_rows, tile_columns, classes)
    with (
        closing(ahead([partial(read, *place) for place in places], READ_AHEAD * batch)) as tiles,
        closing(_scores(forward, tiles, batch, streams)) as computed,
    ):
        for (row, column), (tile, scores) in zip(places, computed, strict=True):
            top, left = grid.rows[row], grid.columns[column]
            bottom = grid.rows[row + 1] if row + 1 in tile_rows else top + grid.tile_height
            right = grid.columns[column + 1] if column + 1 in tile_columns else left + grid.tile_width
            finished, name = shared.add(row, column, tile, scores, bottom - top, right - left)
            y = slice(max(top, rows.start), min(bottom, rows.stop))
            x = slice(max(left, columns.start), min(right, columns.stop))
            if y.start >= y.stop or x.start >= x.stop:
                continue
            inside = (slice(y.start - top, y.stop - top), slice(x.start - left, x.stop - left))
            values = finished[(slice(None), *inside)]
            gone = None if tile.missing is None else tile.missing[inside]
            if gone is not None:
                values[:, gone] = 0
            if name is not None:
                name = (*name, *((part.start, part.stop) for part in inside))
            yield Region(plane, y, x, values, gone, name)


def _read(
    image: Planes,
    plane: int,
    grid: TileGrid,
    normalization: Normalization,
    channel_statistics: Statistics,
    row: int,
    column: int,
) -> _Tile:
    top, left = grid.rows[row], grid.columns[column]
    window = image.read_mirrored(plane, top, left, grid.tile_height, grid.tile_width)
    value = window[:, 0, 0]
    if (window[:, -1, -1] == value).all() and (window == value[:, None, None]).all():
        window = window[:, :1, :1]
        values, missing = normalization.apply(window, channel_statistics)
        if missing is None:
            values = np.broadcast_to(values, (len(value), grid.tile_height, grid.tile_width))
            return _Tile(values, None, tuple(value.tolist()))
        return _Tile(None, np.ones((grid.tile_height, grid.tile_width), np.bool_), ("missing",))
    values, missing = normalization.apply(window, channel_statistics)
    if missing is not None and missing.all():
        return _Tile(None, missing, ("missing",))
    return _Tile(values, missing, None)


def _scores(
    forward: Forward, tiles: Iterator[_Tile], batch: int, streams: int
) -> Generator[tuple[_Tile, Tensor | None], None, None]:
    """Each tile with its probabilities `(K, h, w)`, None where nothing is to be known; computed ahead."""
    constants = _Constants(forward)

    def compute(group: list[_Tile]) -> list[tuple[_Tile, Tensor | None]]:
        new = [tile.values for tile in group if tile.values is not None and tile.constant is None]
        found = iter(forward(new[0][None] if len(new) == 1 else np.stack(new))) if new else iter(())
        return [(tile, next(found) if tile.constant is None else constants.scores(tile)) for tile in group]

    groups = iter(lambda: list(islice(tiles, batch)), [])
    with closing(ahead((partial(compute, group) for group in groups), streams, streams)) as computed:
        for group in computed:
            yield from group


class _Constants:
    """The probabilities of tiles of one value, which are computed once; not to be changed."""

    def __init__(self, forward: Forward) -> None:
        self._forward, self._lock = forward, Lock()
        self._known: OrderedDict[tuple[Any, ...], Tensor] = OrderedDict()

    def scores(self, tile: _Tile) -> Tensor | None:
        """`(K, h, w)`, or None where there is no data."""
        if tile.values is None or tile.constant is None:
            return None
        with self._lock:
            if tile.constant not in self._known:
                self._known[tile.constant] = self._forward(np.array(tile.values[None]))[0]
            self._known.move_to_end(tile.constant)
            while len(self._known) > 2:
                self._known.popitem(last=False)
            return self._known[tile.constant]


class _Shared:
    """What the tiles so far have said about pixels that later tiles touch too: rows below, and columns to the right.

    Where a tile of one value lies among others of which all is known, what it finishes is known too, by a name: then
    nothing is computed, so that the empty parts of an image cost next to nothing.
    """

    def __init__(self, grid: TileGrid, rows: range, columns: range, classes: int) -> None:
        self.grid, self.classes = grid, classes
        self.first = grid.columns[columns.start]
        width = grid.columns[columns[-1]] + grid.tile_width - self.first
        height = max((grid.tile_height + grid.rows[row] - grid.rows[row + 1] for row in rows[:-1]), default=0)
        self.below = np.zeros((classes, height, width), np.float32)
        self.right: Tensor | None = None
        self._right_name: Name | None = ()
        self._below_names: dict[int, Name | None] = {}
        self._known: OrderedDict[Name, tuple[npt.NDArray[np.float32], Tensor | None]] = OrderedDict()
        self._row_names = {row: hash(grid.row_weights[row].tobytes()) for row in rows}
        self._column_names = {column: hash(grid.column_weights[column].tobytes()) for column in columns}
        self._row_parts = {row: _shared_parts(grid.row_weights[row]) for row in rows}
        self._column_parts = {column: _shared_parts(grid.column_weights[column]) for column in columns}

    def add(
        self, row: int, column: int, tile: _Tile, scores: Tensor | None, height: int, width: int
    ) -> tuple[npt.NDArray[np.float32], Name | None]:
        """Add a tile's probabilities.

        Returns
        -------
        finished : `(K, height, width)` from the tile's corner, not to be changed.
        name : equal names mean equal values; None when nothing is known.
        """
        import torch

        right_before, below_before = self._right_name, self._below_names.get(column, ())
        self._right_name = self._below_names[column] = name = None
        constant = tile.constant
        if constant is not None:
            place = (constant, self._row_names[row], self._column_names[column], height, width)
            if self.right is None or self.right.shape[-1] <= width:
                self._right_name = ("right", *place)
            if right_before is not None and self.below.shape[1] <= height:
                self._below_names[column] = ("below", *place, right_before)
            if right_before is not None and below_before is not None:
                name = (*place, right_before, below_before)
        if name is not None and name in self._known:
            self._known.move_to_end(name)
            values, self.right = self._known[name]
        else:
            with torch.inference_mode():
                values = self._blend(row, column, tile, scores, width).numpy()
            if name is not None:
                self._known[name] = values, self.right
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            begin = self.grid.columns[column] - self.first
            values[:, : self.below.shape[1]] += self.below[..., begin : begin + width]
        rest = self.grid.tile_height - height
        after = self._below_names[column]
        if self.below.shape[1] and (after is None or after != below_before):
            begin = self.grid.columns[column] - self.first
            self.below[:, :rest, begin : begin + width] = values[:, height:]
            self.below[:, rest:, begin : begin + width] = 0
        return values[:, :height], name

    def _blend(self, row: int, column: int, tile: _Tile, scores: Tensor | None, width: int) -> Tensor:
        """The tile's share with that of the tiles to its left, in its finished columns; the others are kept."""
        import torch

        grid = self.grid
        if scores is None:
            scores = torch.zeros(self.classes, grid.tile_height, grid.tile_width)
        else:
            if tile.constant is not None:
                scores = scores.clone()  # it is wanted again
            for part, weights in self._column_parts[column]:
                scores[..., part] *= weights
            for part, weights in self._row_parts[row]:
                scores[:, part] *= weights[:, None]
        if self.right is not None:
            scores[..., : self.right.shape[-1]] += self.right
        self.right = scores[..., width:].clone() if width < grid.tile_width else None
        return scores[..., :width]


def _shared_parts(weights: npt.NDArray[np.float32]) -> list[tuple[slice, Tensor]]:
    """Where along a side a tile shares pixels with others, and its weights there; elsewhere they are 1."""
    import torch

    edges = np.flatnonzero(np.diff(weights != 1, prepend=False, append=False)).tolist()
    parts = [slice(*pair) for pair in zip(edges[::2], edges[1::2], strict=True)]
    return [(part, torch.from_numpy(weights[part])) for part in parts]


def most_likely(region: Region) -> npt.NDArray[np.int16]:
    """Class indices `(h, w)` of a region, the first of equal ones, -1 where there is no data."""
    import torch

    scores = torch.from_numpy(region.probabilities)
    best = scores[0].clone()
    found = torch.zeros(best.shape, dtype=torch.int16)
    for number in range(1, len(scores)):  # a fifth of the time of `argmax`, which walks from class to class
        found.masked_fill_(scores[number] > best, number)
        torch.maximum(best, scores[number], out=best)
    indices: npt.NDArray[np.int16] = found.numpy()
    if region.missing is not None:
        indices[region.missing] = -1
    return indices


def uncertainty(probabilities: npt.NDArray[np.float32], kind: str = "entropy") -> npt.NDArray[np.float32]:
    """How unsure the network is of each pixel, 0 to 1.

    Parameters
    ----------
    probabilities : `(K, ...)`.
    kind : "entropy", of the classes' probabilities, divided by that of K equal ones (Shannon 1948); or "margin", 1 less
        the lead of the most likely class over the next (Scheffer, Decomain, Wrobel 2001).

    Returns
    -------
    array
        `(...)` float32; 0 where all probabilities are 0, which means no data.

    Examples
    --------
    >>> p = np.array([[1, 0.5, 0.75], [0, 0.5, 0.25]], np.float32)
    >>> uncertainty(p).round(2), uncertainty(p, "margin")
    (array([0.  , 1.  , 0.81], dtype=float32), array([0. , 1. , 0.5], dtype=float32))
    """
    import torch

    values = torch.from_numpy(np.ascontiguousarray(probabilities))
    if kind == "margin":
        best = values.topk(2, dim=0).values
        result = (1 - (best[0] - best[1])) * (best[0] > 0)
    else:
        result = torch.special.entr(values).sum(dim=0) / np.log(len(values))
    found: npt.NDArray[np.float32] = result.clamp_(0, 1).abs_().numpy()
    return found


def classify(
    network: nn.Module, windows: npt.NDArray[np.float32], engine: Engine, batch_size: int = 8
) -> Iterator[npt.NDArray[Any]]:
    """Class indices `(h, w)` of standardised windows `(N, C, h, w)`, one after the other."""
    import torch

    for start in range(0, len(windows), batch_size):
        with torch.inference_mode(), engine.autocast():
            logits = network(engine.put(torch.from_numpy(windows[start : start + batch_size])))
            yield from logits.argmax(dim=1).cpu().numpy()
