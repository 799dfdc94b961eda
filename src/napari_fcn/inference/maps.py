"""Maps of numbers over a plane, computed by blended tiles, strip by strip: reconstructions, codes, scores of clusters.

As in `predict`, the result for a pixel depends on what computes it, the image, its statistics and the tile grid, and
only one row of tiles is in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data.axes import Planes
from ..data.normalization import Normalization, Statistics
from .engine import Engine
from .tiles import TileGrid, blending_profile

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MapStrip", "map_strips"]

BATCH_PIXELS = 2 * 512 * 512
"""Pixels that are computed at once."""


@dataclass(frozen=True)
class MapStrip:
    """Finished rows of a plane.

    Attributes
    ----------
    rows : which pixel rows.
    values : `(K, h, W)` float32.
    window : the image there, `(C, h, W)` in its own dtype.
    missing : `(h, W)` bool where there is no data, or None.
    """

    rows: slice
    values: npt.NDArray[np.float32]
    window: npt.NDArray[Any]
    missing: npt.NDArray[np.bool_] | None


def map_strips(
    compute: Callable[[Tensor], Tensor],
    image: Planes,
    plane: int,
    *,
    normalization: Normalization,
    channel_statistics: Statistics,
    grid: TileGrid,
    engine: Engine,
) -> Iterator[MapStrip]:
    """Compute maps over one plane of `image`.

    Parameters
    ----------
    compute : standardised tiles `(N, C, h, w)` on the engine's device to maps `(N, K, h, w)`; called without gradients.
    image, plane : what to read; each row of tiles is read once.
    normalization, channel_statistics : how values are standardised; `normalization.fit(image)`.
    grid : tiles over the plane.
    engine : device and precision.

    Yields
    ------
    MapStrip
        From the top, together the whole plane.
    """
    import torch

    profile = blending_profile(grid.tile)
    weights = np.outer(profile[: grid.tile_height], profile[: grid.tile_width])
    total = np.zeros((grid.tile_height, grid.width), np.float32)
    sums: npt.NDArray[np.float32] | None = None
    size = max(1, BATCH_PIXELS // (grid.tile_height * grid.tile_width))
    before = 0
    for top, end in grid.strips():
        window = image.read(plane, rows=slice(top, top + grid.tile_height))
        values, missing = normalization.apply(window, channel_statistics)
        for rows in (total, sums):
            if rows is not None:
                _move_up(rows, top - before)
        before = top
        for start in range(0, len(grid.columns), size):
            lefts = grid.columns[start : start + size]
            tiles = np.stack([values[:, :, left : left + grid.tile_width] for left in lefts])
            with torch.inference_mode(), engine.autocast():
                maps = compute(engine.put(torch.from_numpy(tiles))).float().cpu().numpy()
            if sums is None:
                sums = np.zeros((maps.shape[1], grid.tile_height, grid.width), np.float32)
            for left, tile in zip(lefts, maps, strict=True):
                columns = slice(left, left + grid.tile_width)
                sums[:, :, columns] += weights * tile
                total[:, columns] += weights
        if sums is None:
            raise RuntimeError("A grid has one column at least.")
        done = end - top
        gone = None if missing is None else missing[:done]
        yield MapStrip(slice(top, end), sums[:, :done] / total[:done], window[:, :done], gone)


def _move_up(rows: npt.NDArray[np.float32], count: int) -> None:
    """Move the last two axes' rows up by `count` and clear what comes in at the bottom."""
    kept = rows.shape[-2] - count
    rows[..., :kept, :] = rows[..., count:, :].copy()
    rows[..., kept:, :] = 0
