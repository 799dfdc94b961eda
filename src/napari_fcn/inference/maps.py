"""Maps of numbers over a plane, computed by blended tiles: reconstructions, codes, scores of clusters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data.axes import Planes
from ..data.normalization import Normalization, Statistics
from .engine import Engine
from .predict import predict_window
from .tiles import TileGrid

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MapPart", "map_parts"]

BATCH_PIXELS = 2 * 512 * 512
"""Pixels that are computed at once."""


@dataclass(frozen=True)
class MapPart:
    """A finished window of a plane.

    Attributes
    ----------
    rows, columns : where it lies.
    values : `(K, h, w)` float32; 0 where there is no data.
    window : the image there, `(C, h, w)` in its own dtype.
    missing : `(h, w)` bool where there is no data, or None.
    """

    rows: slice
    columns: slice
    values: npt.NDArray[np.float32]
    window: npt.NDArray[Any]
    missing: npt.NDArray[np.bool_] | None


def map_parts(
    compute: Callable[[Tensor], Tensor],
    image: Planes,
    plane: int,
    *,
    count: int,
    normalization: Normalization,
    channel_statistics: Statistics,
    grid: TileGrid,
    engine: Engine,
) -> Iterator[MapPart]:
    """Compute maps over one plane of `image`, by the same tiles and blending as class probabilities.

    Parameters
    ----------
    compute : standardised tiles `(N, C, h, w)` on the engine's device to maps `(N, K, h, w)`; called without gradients.
    image, plane : what to read.
    count : K.
    normalization, channel_statistics : how values are standardised; `normalization.fit(image)`.
    grid : tiles over the plane.
    engine : device and precision.

    Yields
    ------
    MapPart
        Together the whole plane, each pixel once: row of tiles by row of tiles, in it from left to right.
    """
    import torch

    def forward(windows: npt.NDArray[np.float32]) -> Tensor:
        with torch.inference_mode(), engine.autocast():
            return compute(engine.put(torch.from_numpy(windows))).float().cpu()

    regions = predict_window(
        forward,
        image,
        plane,
        classes=count,
        normalization=normalization,
        channel_statistics=channel_statistics,
        grid=grid,
        batch=max(1, BATCH_PIXELS // (grid.tile_height * grid.tile_width)),
    )
    for region in regions:
        window = image.read(plane, region.rows, region.columns)
        yield MapPart(region.rows, region.columns, region.probabilities, window, region.missing)
