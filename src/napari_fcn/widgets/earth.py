"""The place on Earth that a layer's metadata say, for layers that are made of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..config import presuming

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["KEY", "place_on_earth", "with_normalization"]

#: Where the metadata of layers from GeoTIFF files say it; see `napari_fcn.geo`.
KEY = "geo"


def with_normalization(settings: dict[str, Any], images: Iterable[Layer]) -> dict[str, Any]:
    """Settings that presume that values mean the same in all images, where all have a place on Earth."""
    places = [place_on_earth(image).get(KEY, {}) for image in images]
    return presuming(settings, all(place.get("crs") for place in places))


def place_on_earth(layer: Layer, rows: slice | None = None, columns: slice | None = None) -> dict[str, Any]:
    """Metadata for a layer over `layer`, or over some of its rows and columns; none where it does not say its place.

    Names of bands and the value of missing pixels stay behind: they are the image's.
    """
    known = layer.metadata.get(KEY)
    if not isinstance(known, dict) or "transform" not in known:
        return {}
    row, height = (0, known["height"]) if rows is None else (rows.start, rows.stop - rows.start)
    column, width = (0, known["width"]) if columns is None else (columns.start, columns.stop - columns.start)
    a, b, c, d, e, f = known["transform"]
    corner = (a, b, c + a * column + b * row, d, e, f + d * column + e * row)
    return {KEY: {**known, "transform": corner, "height": height, "width": width, "bands": (), "nodata": None}}
