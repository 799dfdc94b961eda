"""Labels to polygons: the connected regions of each class, with outlines that neighbours share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import OutputError
from ..io.atomic import atomic
from .extra import need
from .raster import GeoInfo

__all__ = ["check_polygon_path", "polygonize"]

_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON"}
MOST_CHANGE = 0.01
"""By which part of its area simplification may change a region."""


def polygonize(
    labels: npt.NDArray[Any],
    info: GeoInfo,
    path: str | Path,
    *,
    names: Mapping[int, str],
    probabilities: npt.NDArray[Any] | None = None,
    simplify: float | None = None,
    overwrite: bool = False,
) -> int:
    """Write the connected regions of each class as polygons.

    Columns are `class` (the label value), `name`, `area`, `area_unit`, and with `probabilities` the region's mean of
    its class's probability. The area is that of the region's pixels, in square map units; where these are degrees, in
    square metres. Holes are kept, and outlines that regions share stay shared when they are simplified. Small regions,
    whose area would change by more than 1 %, keep their steps.

    Parameters
    ----------
    labels : `(H, W)` label values.
    info : the grid.
    path : ends in .gpkg or .geojson.
    names : of the values that become polygons; other values, such as nodata, are left out.
    probabilities : `(K, H, W)`, K in the order of `names`.
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
    found = list(_regions(labels, info, list(names), probabilities))
    shapes = _shapes(found)
    areas, unit = _areas(shapes, np.array([each["pixels"] for each in found]), info)
    tolerance = 0.75 * info.pixel_area**0.5 if simplify is None else simplify
    if tolerance and len(shapes):
        elsewhere = ~np.isin(labels, list(names))
        rest = _shapes(list(_regions(np.where(elsewhere, 1, 0), info, [1], None)))
        shapes = _simplified(np.concatenate([shapes, rest]), tolerance)[: len(shapes)]
    columns: dict[str, npt.NDArray[Any]] = {
        "class": np.array([each["value"] for each in found], np.int32),
        "name": np.array([names[each["value"]] for each in found], object),
        "area": areas,
        "area_unit": np.array([unit] * len(found), object),
    }
    if probabilities is not None:
        columns["probability"] = np.array([each["probability"] for each in found], np.float64)
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
    return len(found)


def check_polygon_path(path: Path) -> None:
    """Raise `OutputError` when polygons cannot be written to a file of this name."""
    if path.suffix.lower() not in _DRIVERS:
        raise OutputError(f"Polygons are written to a .gpkg or .geojson file. Got {str(path)!r}.")


def _shapes(found: list[dict[str, Any]]) -> npt.NDArray[Any]:
    (shapely,) = need("shapely")
    return np.array([shapely.geometry.shape(each["shape"]) for each in found], object)


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


def _regions(
    labels: npt.NDArray[Any], info: GeoInfo, values: list[int], probabilities: npt.NDArray[Any] | None
) -> Iterator[dict[str, Any]]:
    """The connected regions of each class: outline, value, pixels and mean probability."""
    from scipy import ndimage

    features, affine = need("rasterio.features", "affine")
    transform = affine.Affine(*info.transform)
    for index, value in enumerate(values):
        inside = labels == value
        regions, count = ndimage.label(inside)
        if not count:
            continue
        pixels = np.bincount(regions.ravel(), minlength=count + 1)
        mean = np.zeros(count + 1)
        if probabilities is not None:
            mean = np.bincount(regions.ravel(), weights=probabilities[index].ravel(), minlength=count + 1)
            mean = mean / np.maximum(pixels, 1)
        for shape, number in features.shapes(regions.astype(np.int32), mask=inside, transform=transform):
            yield {
                "shape": shape,
                "value": value,
                "pixels": int(pixels[int(number)]),
                "probability": float(mean[int(number)]),
            }


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
    flat = warp.transform_geom(crs, "EPSG:6933", [shapely.geometry.mapping(each) for each in shapes])
    return shapely.area(np.array([shapely.geometry.shape(each) for each in flat], object)), "square metre"
