"""Segmenting a plane by blended tiles, strip by strip.

The result for a pixel depends on the network, the image, its statistics and the tile grid. A strip of the plane is
finished when no later tile touches it; only one row of tiles is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data.axes import Planes
from ..data.normalization import Normalization, Statistics
from .engine import Engine
from .tiles import TileGrid, blending_profile

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Strip", "predict_strips"]

BATCH_PIXELS = 4 * 512 * 512
"""Pixels that go through the network at once."""


@dataclass(frozen=True)
class Strip:
    """Finished rows of a plane.

    Attributes
    ----------
    rows : which pixel rows.
    probabilities : `(K, h, W)` float32, sum 1 over the classes; 0 for all classes where there is no data.
    missing : `(h, W)` bool where there is no data, or None.
    """

    rows: slice
    probabilities: npt.NDArray[np.float32]
    missing: npt.NDArray[np.bool_] | None


def predict_strips(
    network: nn.Module,
    image: Planes,
    plane: int,
    *,
    normalization: Normalization,
    channel_statistics: Statistics,
    grid: TileGrid,
    engine: Engine,
) -> Iterator[Strip]:
    """Segment one plane of `image`.

    Parameters
    ----------
    network : on the engine's device, in evaluation mode.
    image, plane : what to read; each row of tiles is read once.
    normalization, channel_statistics : how values are standardised; `normalization.fit(image)`.
    grid : tiles over the plane.
    engine : device and precision.

    Yields
    ------
    Strip
        From the top, together the whole plane.
    """
    weights = np.outer(blending_profile(grid.tile)[: grid.tile_height], blending_profile(grid.tile)[: grid.tile_width])
    sums = np.zeros((0, grid.tile_height, grid.width), np.float32)
    total = np.zeros((grid.tile_height, grid.width), np.float32)
    before = 0
    for top, end in grid.strips():
        window = image.read(plane, rows=slice(top, top + grid.tile_height))
        values, missing = normalization.apply(window, channel_statistics)
        _shift(sums, top - before)
        _shift(total, top - before)
        before = top
        for left, probabilities in _predict_tiles(network, values, grid, engine, missing):
            columns = slice(left, left + grid.tile_width)
            if not len(sums):
                sums = np.zeros((probabilities.shape[0], grid.tile_height, grid.width), np.float32)
            sums[:, :, columns] += weights * probabilities
            total[:, columns] += weights
        done = end - top
        gone = None if missing is None else missing[:done]
        result = sums[:, :done] / total[:done]
        if gone is not None:
            result[:, gone] = 0
        yield Strip(slice(top, end), result, gone)


def _shift(rows: npt.NDArray[np.float32], count: int) -> None:
    """Move the last two axes' rows up by `count` and clear what comes in at the bottom."""
    kept = rows.shape[-2] - count
    rows[..., :kept, :] = rows[..., count:, :].copy()
    rows[..., kept:, :] = 0


def _predict_tiles(
    network: nn.Module,
    values: npt.NDArray[np.float32],
    grid: TileGrid,
    engine: Engine,
    missing: npt.NDArray[np.bool_] | None,
) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
    """The tiles of one row: their first column and their probabilities `(K, h, w)`, in batches through the network."""
    import torch

    size = max(1, BATCH_PIXELS // (grid.tile_height * grid.tile_width))
    for start in range(0, len(grid.columns), size):
        lefts = grid.columns[start : start + size]
        batch = np.stack([values[:, :, left : left + grid.tile_width] for left in lefts])
        with torch.inference_mode(), engine.autocast():
            logits = network(engine.put(torch.from_numpy(batch)))
            probabilities = logits.float().softmax(dim=1).cpu().numpy()
        yield from zip(lefts, probabilities, strict=True)


def most_likely(strip: Strip) -> npt.NDArray[np.int16]:
    """Class indices `(h, W)` of a strip, -1 where there is no data."""
    indices: npt.NDArray[np.int16] = strip.probabilities.argmax(axis=0).astype(np.int16)
    if strip.missing is not None:
        indices[strip.missing] = -1
    return indices


def classify(
    network: nn.Module, windows: npt.NDArray[np.float32], engine: Engine, batch_size: int = 8
) -> Iterator[npt.NDArray[Any]]:
    """Class indices `(h, w)` of standardised windows `(N, C, h, w)`, one after the other."""
    import torch

    for start in range(0, len(windows), batch_size):
        with torch.inference_mode(), engine.autocast():
            logits = network(engine.put(torch.from_numpy(windows[start : start + batch_size])))
            yield from logits.argmax(dim=1).cpu().numpy()
