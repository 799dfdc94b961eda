"""Polygons to labels on an image's grid."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..registry import nearest
from .extra import need
from .raster import GeoInfo, short

__all__ = ["VECTOR_SUFFIXES", "Rasterized", "rasterize"]

VECTOR_SUFFIXES = (".gpkg", ".geojson", ".json", ".shp")
USUAL_NAMES = ("class", "class_name", "classname", "label", "landcover", "land_cover", "category", "type", "name", "id")
MOST_CLASSES = 65535
UNCLEAR = ("Unknown", "GeometryCollection")
"""Kinds of layers that may hold polygons too."""


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
    shapes, columns, crs, chosen = _read(Path(path))
    name = _column(path, attribute, columns)
    values, names = _classes(path, name, columns[name])
    shapes, notes = _repaired(path, shapes)
    shapes, beyond = _brought(path, shapes, crs, info)
    (affine,) = need("affine")
    numbers = features.rasterize(
        ((shapely.geometry.mapping(shape), n) for n, shape in enumerate(shapes, 1) if not shape.is_empty),
        out_shape=(info.height, info.width),
        transform=affine.Affine(*info.transform),
        fill=0,
        dtype=np.int32,
    )
    dtype = np.uint8 if max(values) < 256 else np.uint16
    labels = np.concatenate([[0], values]).astype(dtype)[numbers]
    if not labels.any() and not may_be_empty:
        raise InputError(
            f"No polygon of {str(path)!r} covers the centre of a pixel of the image; is it the right place?"
        )
    left_out = _left_out(path, shapes, numbers, info, outside=not may_be_empty)
    return Rasterized(labels, names, (*chosen, *notes, *beyond, *left_out))


def _left_out(
    path: str | Path, shapes: npt.NDArray[Any], numbers: npt.NDArray[np.int32], info: GeoInfo, *, outside: bool
) -> tuple[str, ...]:
    """Sentences about polygons that have got no pixel: too small, covered by others, or somewhere else."""
    (shapely,) = need("shapely")
    none = np.bincount(numbers.ravel(), minlength=len(shapes) + 1)[1:] == 0
    none &= ~shapely.is_empty(shapes)
    a, b, c, d, e, f = info.transform
    corners = [(0, 0), (info.width, 0), (info.width, info.height), (0, info.height)]
    frame = shapely.Polygon([(a * x + b * y + c, d * x + e * y + f) for x, y in corners])
    away = none & ~shapely.intersects(shapes, frame)
    small = none & ~away
    notes = []
    if small.any():
        notes.append(_said(small, path, "without effect: too small for a pixel's centre, or under later ones"))
    if away.any() and outside:
        notes.append(_said(away, path, "without effect: outside the image"))
    return tuple(notes)


def _read(path: Path) -> tuple[npt.NDArray[Any], dict[str, npt.NDArray[Any]], str | None, tuple[str, ...]]:
    """Shapes, columns and reference system of the first layer with polygons, and a sentence where there are others."""
    shapely, pyogrio, raw, errors = need("shapely", "pyogrio", "pyogrio.raw", "pyogrio.errors")
    if not path.is_file():
        raise InputError(f"There is no file of polygons {str(path)!r}.")
    try:
        layers = pyogrio.list_layers(path)
        named = [name for name, kind in layers if kind and ("Polygon" in kind or kind in UNCLEAR)]
        known = named or [name for name, _ in layers]
        if not known:
            raise InputError(f"{str(path)!r} holds no layer of polygons.")
        meta, _, geometry, fields = raw.read(path, layer=known[0])
        shapes = np.array([], object) if geometry is None else shapely.force_2d(shapely.from_wkb(geometry))
    except (errors.DataSourceError, errors.DataLayerError, shapely.errors.ShapelyError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{str(path)!r} is damaged or no file of polygons ({short(error)}).") from error
    kinds = {shape.geom_type for shape in shapes if shape is not None}
    if not kinds & {"Polygon", "MultiPolygon"}:
        what = f"Got {', '.join(sorted(kinds))}" if kinds else "It is empty"
        raise InputError(f"{str(path)!r} must hold polygons. {what}.")
    chosen = (f"{path.name} has {len(named)} layers with polygons; {named[0]!r}, the first, is taken.",)
    return shapes, dict(zip(meta["fields"], fields, strict=True)), meta["crs"], chosen if len(named) > 1 else ()


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
        f"Which attribute of {str(path)!r} is the class? Say it after a colon, as in FILE:ATTRIBUTE; "
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
    """The polygons with crossing outlines made valid, and those without area empty.

    Lines that are left of spikes and slivers are dropped: drawn, they would be pixels of the class.
    """
    (shapely,) = need("shapely")
    empty = shapely.Polygon()
    shapes = np.array([empty if shape is None else _areal(shape) for shape in shapes], object)
    crossing = ~shapely.is_valid(shapes)
    notes = []
    if crossing.any():
        shapes[crossing] = shapely.make_valid(shapes[crossing], method="structure", keep_collapsed=False)
    flat = shapely.area(shapes) <= 0
    crossing &= ~flat
    if crossing.any():
        notes.append(_said(crossing, path, "repaired: crossing outlines"))
    if flat.all():
        raise InputError(f"No polygon of {str(path)!r} has an area.")
    if flat.any():
        notes.append(_said(flat, path, "left out: no area"))
        shapes[flat] = empty
    return shapes, tuple(notes)


def _areal(shape: Any) -> Any:
    """Of a collection only the polygons."""
    if shape.geom_type != "GeometryCollection":
        return shape
    (shapely,) = need("shapely")
    parts = [_areal(part) for part in shape.geoms]
    return shapely.union_all([part for part in parts if part.geom_type in ("Polygon", "MultiPolygon")])


def _said(which: npt.NDArray[np.bool_], path: str | Path, what: str) -> str:
    """A sentence about the polygons of a file for which something is true."""
    count = int(which.sum())
    return f"{count} polygon{'s' * (count != 1)} of {Path(path).name} {'was' if count == 1 else 'were'} {what}."


def _brought(
    path: str | Path, shapes: npt.NDArray[Any], crs: str | None, info: GeoInfo
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """The polygons in the image's reference system, empty where they have no place in it, which is said."""
    (shapely, crs_module, warp) = need("shapely", "rasterio.crs", "rasterio.warp")
    if info.crs is None and crs is None:
        return shapes, ()
    if info.crs is None or crs is None:
        which = "image" if info.crs is None else "file of polygons"
        raise InputError(
            f"The {which} states no coordinate reference system, so {str(path)!r} cannot be placed on the image; "
            f"give it one, for example with gdal_edit.py -a_srs or in QGIS."
        )
    source, target = (crs_module.CRS.from_user_input(each) for each in (crs, info.crs))
    if source == target:
        return shapes, ()

    def there(corners: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.stack(warp.transform(source, target, *corners.T), axis=-1)

    try:
        found = shapely.transform(shapes, there)
    except Exception:  # noqa: BLE001 - GDAL's errors have no public class; some corners have no place there
        found = np.array([shapely.Polygon()] * len(shapes), object)
        for number, shape in enumerate(shapes):
            with contextlib.suppress(Exception):
                found[number] = shapely.transform(shape, there)
    nowhere = ~np.isfinite(shapely.bounds(found)).all(axis=1) & ~shapely.is_empty(shapes)
    if not nowhere.any():
        return found, ()
    found[nowhere] = shapely.Polygon()
    return found, (_said(nowhere, path, "left out: no place in the image's coordinates"),)
