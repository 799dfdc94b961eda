"""Polygons to labels on an image's grid, and labels to polygons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, OutputError
from ..io.atomic import atomic
from ..registry import nearest
from .extra import need
from .raster import GeoInfo

__all__ = ["VECTOR_SUFFIXES", "Rasterized", "polygonize", "rasterize"]

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp")
_DRIVERS = {".gpkg": "GPKG", ".geojson": "GeoJSON", ".json": "GeoJSON"}
USUAL_NAMES = ("class", "class_name", "classname", "label", "landcover", "land_cover", "category", "type", "name", "id")
MOST_CLASSES = 65535


@dataclass(frozen=True)
class Rasterized:
    """Labels that were made of polygons.

    Attributes
    ----------
    labels : `(H, W)`, 0 where no polygon lies: unlabelled.
    names : of the label values, where the attribute was a text.
    notes : a sentence for each thing that was repaired or left out.
    """

    labels: npt.NDArray[Any]
    names: dict[int, str]
    notes: tuple[str, ...]


def rasterize(
    path: str | Path, info: GeoInfo, attribute: str | None = None, *, may_be_empty: bool = False
) -> Rasterized:
    """Labels from polygons: each pixel whose centre lies in a polygon gets its class; of several, the last one's.

    Polygons in another reference system are brought into the image's; crossing outlines are repaired.

    Parameters
    ----------
    path : GeoPackage, GeoJSON or Shapefile.
    info : the image's grid.
    attribute : the column with the class: whole numbers from 1, which become the label values, or texts, which become
        1, 2, 3 ... in alphabetical order. When None, the only column, or one with a usual name such as "class".
    may_be_empty : the image need not have a polygon: one file may belong to several images.

    Raises
    ------
    InputError
        The file cannot be read, has no such column, no usable polygon, or none on the image.
    """
    shapely, features = need("shapely", "rasterio.features")
    shapes, columns, crs = _read(Path(path))
    name = _column(path, attribute, columns)
    values, names = _classes(path, name, columns[name])
    shapes, notes = _repaired(path, shapes)
    shapes = _brought(path, shapes, crs, info)
    usable = [(shape, int(value)) for shape, value in zip(shapes, values, strict=True) if not shape.is_empty]
    (affine,) = need("affine")
    dtype = np.uint8 if max(values) < 256 else np.uint16
    labels = features.rasterize(
        ((shapely.geometry.mapping(shape), value) for shape, value in usable),
        out_shape=(info.height, info.width),
        transform=affine.Affine(*info.transform),
        fill=0,
        dtype=dtype,
    )
    if not labels.any() and not may_be_empty:
        raise InputError(
            f"No polygon of {str(path)!r} covers the centre of a pixel of the image; is it the right place?"
        )
    return Rasterized(labels, names, notes)


def _read(path: Path) -> tuple[npt.NDArray[Any], dict[str, npt.NDArray[Any]], str | None]:
    shapely, pyogrio, raw, errors = need("shapely", "pyogrio", "pyogrio.raw", "pyogrio.errors")
    if not path.is_file():
        raise InputError(f"There is no file of polygons {str(path)!r}.")
    try:
        layers = pyogrio.list_layers(path)
        if len(layers) == 0:
            raise InputError(f"{str(path)!r} holds no layer of polygons.")
        meta, _, geometry, fields = raw.read(path, layer=layers[0][0])
    except (errors.DataSourceError, errors.DataLayerError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} is damaged or no file of polygons ({str(error).rstrip('.')}).") from error
    shapes = shapely.force_2d(shapely.from_wkb(geometry)) if geometry is not None else np.array([], object)
    kinds = {shape.geom_type for shape in shapes if shape is not None}
    if not kinds & {"Polygon", "MultiPolygon"}:
        what = f"Got {', '.join(sorted(kinds))}" if kinds else "It is empty"
        raise InputError(f"{str(path)!r} must hold polygons. {what}.")
    return shapes, dict(zip(meta["fields"], fields, strict=True)), meta["crs"]


def _column(path: str | Path, given: str | None, columns: Mapping[str, Any]) -> str:
    known = list(columns)
    if given is not None:
        if given in known:
            return given
        close = nearest(given, known)
        hint = f"the nearest is {close!r}" if close else f"known are {', '.join(known) or 'none'}"
        raise InputError(f"{str(path)!r} has no attribute {given!r}; {hint}.")
    if len(known) == 1:
        return known[0]
    usual = {name.lower(): name for name in known}
    for name in USUAL_NAMES:
        if name in usual:
            return usual[name]
    raise InputError(
        f"Which attribute of {str(path)!r} is the class? Say it with --class-attribute; "
        f"it has {', '.join(known) or 'none'}."
    )


def _classes(path: str | Path, name: str, column: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    if column.dtype.kind in "iuf":
        whole = np.nan_to_num(column.astype(np.float64), nan=-1)
        if (whole != np.round(whole)).any() or whole.min() < 1 or whole.max() > MOST_CLASSES:
            raise InputError(
                f"The attribute {name!r} of {str(path)!r} must hold whole numbers from 1 to {MOST_CLASSES} or texts; "
                f"0 would mean unlabelled. Got {column.min()} to {column.max()}."
            )
        return whole.astype(np.int64), {}
    texts = np.array(["" if value is None else str(value) for value in column])
    if (texts == "").any():
        raise InputError(f"{int((texts == '').sum())} polygons of {str(path)!r} have no {name!r}; give them one.")
    known = sorted(set(texts.tolist()))
    numbers = {text: number for number, text in enumerate(known, 1)}
    return np.array([numbers[text] for text in texts]), {number: text for text, number in numbers.items()}


def _repaired(path: str | Path, shapes: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """The polygons with crossing outlines made valid, and those without area empty."""
    (shapely,) = need("shapely")
    empty = shapely.Polygon()
    shapes = np.array([empty if shape is None else shape for shape in shapes], object)
    crossing = ~shapely.is_valid(shapes)
    notes = []
    if crossing.any():
        shapes[crossing] = shapely.make_valid(shapes[crossing])
    flat = shapely.area(shapes) <= 0
    crossing &= ~flat
    if crossing.any():
        notes.append(f"{int(crossing.sum())} polygons of {Path(path).name} cross themselves and were repaired.")
    if flat.all():
        raise InputError(f"No polygon of {str(path)!r} has an area.")
    if flat.any():
        notes.append(f"{int(flat.sum())} shapes of {Path(path).name} have no area and were left out.")
        shapes[flat] = empty
    return shapes, tuple(notes)


def _brought(path: str | Path, shapes: npt.NDArray[Any], crs: str | None, info: GeoInfo) -> npt.NDArray[Any]:
    """The polygons in the image's reference system."""
    (shapely, crs_module, warp, errors) = need("shapely", "rasterio.crs", "rasterio.warp", "rasterio.errors")
    if info.crs is None and crs is None:
        return shapes
    if info.crs is None or crs is None:
        which = "image" if info.crs is None else "file of polygons"
        raise InputError(
            f"The {which} states no coordinate reference system, so {str(path)!r} cannot be placed on the image; "
            f"give it one, for example with gdal_edit.py -a_srs or in QGIS."
        )
    source, target = (crs_module.CRS.from_user_input(each) for each in (crs, info.crs))
    if source == target:
        return shapes
    try:
        moved = warp.transform_geom(source, target, [shapely.geometry.mapping(each) for each in shapes])
    except errors.RasterioError as error:
        raise InputError(f"{str(path)!r} cannot be brought into the image's coordinates ({error}).") from error
    return np.array([shapely.geometry.shape(each) for each in moved], object)


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
    square metres. Holes are kept, and outlines that regions share stay shared when they are simplified.

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
    shapes = np.array([shapely.geometry.shape(each["shape"]) for each in found], object)
    areas, unit = _areas(shapes, np.array([each["pixels"] for each in found]), info)
    # A corner of a staircase has the area of half a pixel, and goes when that is less than the tolerance's square.
    tolerance = 0.75 * info.pixel_area**0.5 if simplify is None else simplify
    if tolerance and len(shapes):
        simpler = shapely.coverage_simplify(shapes, tolerance)
        shapes = np.where(shapely.is_valid(simpler) & (shapely.area(simpler) > 0), simpler, shapes)
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
