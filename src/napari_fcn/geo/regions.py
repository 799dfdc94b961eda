"""Labels to polygons: the connected regions of each class, with outlines that neighbours share."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import OutputError
from ..io.atomic import atomic
from .connected import ConnectedRegions, find_regions
from .extra import need
from .raster import GeoInfo, opened

__all__ = ["check_polygon_path", "polygonize"]

_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON"}
CACHE_MEGABYTES = 64
"""That GDAL may keep of the file of regions; its own choice is a twentieth of the machine's memory."""
MOST_CHANGE = 0.01
"""By which part of its area simplification may change a region."""


def polygonize(
    labels: Any,
    info: GeoInfo,
    path: str | Path,
    *,
    names: Mapping[int, str],
    probabilities: Any = None,
    simplify: float | None = None,
    overwrite: bool = False,
) -> int:
    """Write the connected regions of each class as polygons.

    Columns are `class` (the label value), `name`, `area`, `area_unit`, and with `probabilities` the region's mean of
    its class's probability. The area is that of the region's pixels, in square map units; where these are degrees, in
    square metres. Holes are kept, and outlines that regions share stay shared when they are simplified. Small regions,
    whose area would change by more than 1 %, keep their steps. Labels and probabilities are read in strips of rows;
    what grows with the image is the polygons.

    Parameters
    ----------
    labels : `(H, W)` label values; an array, or what gives one when its rows are sliced.
    info : the grid.
    path : ends in .gpkg or .geojson.
    names : of the values that become polygons; other values, such as nodata, are left out.
    probabilities : `(K, H, W)`, K in the order of `names`; as `labels`.
    simplify : about how far an outline may move, in map units; three quarters of a pixel when None, 0 keeps every step.

    Returns
    -------
    int
        The number of polygons.

    Raises
    ------
    OutputError
        The suffix is another, or the file cannot be written.
    """
    shapely, raw = need("shapely", "pyogrio.raw")
    target = Path(path)
    check_polygon_path(target)
    found = find_regions(labels, list(names), probabilities)
    shapes, number = _outlines(found, info)
    rest, shapes, number = shapes[number == 0], shapes[number > 0], number[number > 0] - 1
    order = np.lexsort([number, found.classes[number]])
    shapes, number = shapes[order], number[order]
    values = np.array(list(names))[found.classes[number]]
    areas, unit = _areas(shapes, found.pixels[number], info)
    tolerance = 0.75 * info.pixel_area**0.5 if simplify is None else simplify
    if tolerance and len(shapes):
        shapes = _simplified(np.concatenate([shapes, rest]), tolerance)[: len(shapes)]
    columns: dict[str, npt.NDArray[Any]] = {
        "class": values.astype(np.int32),
        "name": np.array([names[int(value)] for value in values], object),
        "area": areas,
        "area_unit": np.array([unit] * len(values), object),
    }
    if probabilities is not None:
        columns["probability"] = found.probability[number]
    with atomic(target, overwrite=overwrite) as temporary:
        raw.write(
            temporary,
            shapely.to_wkb(shapes),
            list(columns.values()),
            list(columns),
            crs=info.crs,
            geometry_type="Polygon",
            driver=_DRIVERS[target.suffix.lower()],
            layer="regions",
        )
    return len(shapes)


def check_polygon_path(path: Path) -> None:
    """Raise `OutputError` when polygons cannot be written to a file of this name."""
    if path.suffix.lower() not in _DRIVERS:
        raise OutputError(f"Polygons are written to a .gpkg or .geojson file. Got {str(path)!r}.")


def _outlines(found: ConnectedRegions, info: GeoInfo) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Outlines of all regions and of the places between them, and the number of each, 0 for those between.

    The regions' numbers go through a file, because GDAL follows outlines row by row where it reads a file.
    """
    shapely, rasterio, features, windows = need("shapely", "rasterio", "rasterio.features", "rasterio.windows")
    profile = {
        "driver": "GTiff", "width": info.width, "height": info.height, "count": 1, "dtype": "int32",
        "compress": "lzw", "bigtiff": "if_safer",
    }  # fmt: skip
    shapes, numbers = [], []
    with tempfile.TemporaryDirectory(prefix="napari-fcn-") as folder, rasterio.Env(GDAL_CACHEMAX=CACHE_MEGABYTES):
        path = Path(folder) / "regions.tif"
        with opened(path, mode="w", **profile) as data:
            for top, strip in found.strips():
                data.write(strip, 1, window=windows.Window(0, top, info.width, len(strip)))
        with opened(path) as data:
            for shape, number in features.shapes(rasterio.band(data, 1)):
                shapes.append(shapely.geometry.shape(shape))
                numbers.append(int(number))
    a, b, c, d, e, f = info.transform

    def placed(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        x, y = corners.T
        return np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)

    return shapely.transform(np.array(shapes, object), placed), np.array(numbers, np.int64)


def _simplified(shapes: npt.NDArray[Any], tolerance: float) -> npt.NDArray[Any]:
    """Regions that cover the whole image, with simpler outlines (Visvalingam and Whyatt 1993) but nearly their areas.

    A corner of a staircase has the area of half a pixel, and goes when that is less than the tolerance's square. Round
    regions lose at every corner: those that would change too much keep their outlines, and these are then borders of
    what is simplified again, so that neighbours still meet.
    """
    (shapely,) = need("shapely")
    result, areas = shapes.copy(), shapely.area(shapes)
    free = areas > 0
    while free.any():
        simpler = shapely.coverage_simplify(shapes[free], tolerance, simplify_boundary=False)
        change = np.abs(shapely.area(simpler) - areas[free])
        good = (change <= MOST_CHANGE * areas[free]) & shapely.is_valid(simpler)
        if good.all():
            result[free] = simpler
            break
        free[np.flatnonzero(free)[~good]] = False
    return result


def _areas(shapes: npt.NDArray[Any], pixels: npt.NDArray[Any], info: GeoInfo) -> tuple[npt.NDArray[np.float64], str]:
    """Areas of regions in square map units, or in square metres where map units are degrees."""
    crs_module, warp, shapely = need("rasterio.crs", "rasterio.warp", "shapely")
    crs = None if info.crs is None else crs_module.CRS.from_wkt(info.crs)
    if crs is None or not crs.is_geographic:
        unit = "pixels" if crs is None else f"square {crs.linear_units}"
        return pixels * info.pixel_area, unit
    if not len(shapes):
        return np.zeros(0), "square metre"

    # Steps follow meridians and parallels, which an equal-area cylinder keeps as straight lines: areas are exact.
    def flat(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.stack(warp.transform(crs, "EPSG:6933", *corners.T), axis=-1)

    return shapely.area(shapely.transform(shapes, flat)), "square metre"
