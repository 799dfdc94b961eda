"""Results as map programs want them: a palette in the labels, one band for each class in the probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from ..data.classes import LabelClass
from ..io import read_image
from ..io.atomic import atomic
from .extra import need
from .raster import GeoInfo, opened
from .sidecar import PALETTE, hex_to_rgb

__all__ = ["paint", "stack_bands"]

ROWS = 512
"""That are read and written at once."""


def paint(path: str | Path, classes: Iterable[LabelClass]) -> bool:
    """Put the classes' colours into a GeoTIFF of labels, as its palette.

    Returns
    -------
    bool
        Whether it was done: a palette is for 8-bit values that are not negative.
    """
    table = {entry.value: (*hex_to_rgb(entry.color), 255) for entry in classes}
    with opened(Path(path)) as data:
        if data.dtypes != ("uint8",) or not all(0 <= value < PALETTE for value in table):
            return False
    with atomic(path) as temporary:
        shutil.copyfile(path, temporary)
        with opened(temporary, mode="r+") as data:
            data.write_colormap(1, {value: table.get(value, (0, 0, 0, 0)) for value in range(PALETTE)})
    return True


def stack_bands(
    path: str | Path, info: GeoInfo, names: Sequence[str], *, labels: str | Path | None = None, nodata: int = 0
) -> None:
    """Make the pages of a TIFF the named bands of one raster; map programs see only the first page otherwise.

    Parameters
    ----------
    path : a TIFF of floats with a page of `info`'s size for each of `names`.
    labels : a map of the same size; where it has the value `nodata` the bands become NaN, which is their nodata value.
    """
    affine, _, windows = need("affine", "rasterio", "rasterio.windows")
    source = read_image(path)
    axes = source.axes or "YX"
    with (
        ExitStack() as stack,
        atomic(path) as temporary,
        opened(
            temporary,
            mode="w",
            driver="GTiff",
            width=info.width,
            height=info.height,
            count=len(names),
            dtype=source.array.dtype,
            nodata=np.nan,
            crs=info.crs,
            transform=affine.Affine(*info.transform),
            compress="deflate",
            tiled=True,
            bigtiff="if_safer",
        ) as data,
    ):
        shown = None if labels is None else stack.enter_context(opened(Path(labels)))
        for top in range(0, info.height, ROWS):
            height = min(ROWS, info.height - top)
            key = tuple(slice(top, top + height) if letter == "Y" else slice(None) for letter in axes)
            strip = np.array(source.array[key])
            strip = np.moveaxis(strip, axes.index("C"), 0) if "C" in axes else strip[None]
            window = windows.Window(0, top, info.width, height)
            if shown is not None:
                strip[:, shown.read(1, window=window) == nodata] = np.nan
            data.write(strip, window=window)
        for number, name in enumerate(names, 1):
            data.set_band_description(number, name)
