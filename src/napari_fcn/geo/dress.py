"""Results as map programs want them: a palette in the labels, one band for each class in the probabilities."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import tifffile

from ..data.classes import LabelClass
from ..io.atomic import atomic
from .extra import need
from .raster import GeoInfo, opened
from .sidecar import PALETTE, hex_to_rgb

__all__ = ["paint", "stack_bands"]


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


def stack_bands(path: str | Path, info: GeoInfo, names: Sequence[str]) -> None:
    """Make the pages of a TIFF the named bands of one raster; map programs see only the first page otherwise.

    Parameters
    ----------
    path : a TIFF with a page of `info`'s size for each of `names`.
    """
    affine, _ = need("affine", "rasterio")
    with (
        tifffile.TiffFile(path) as tiff,
        atomic(path) as temporary,
        opened(
            temporary,
            mode="w",
            driver="GTiff",
            width=info.width,
            height=info.height,
            count=len(names),
            dtype=tiff.series[0].dtype,
            crs=info.crs,
            transform=affine.Affine(*info.transform),
            compress="deflate",
            tiled=True,
            bigtiff="if_safer",
        ) as data,
    ):
        for number, name in enumerate(names, 1):
            data.write(tiff.asarray(key=number - 1), number)
            data.set_band_description(number, name)
