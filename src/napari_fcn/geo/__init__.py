"""Images with a place on Earth: bands by name, polygons, results that a map program shows with names and colours.

Needs the extra `geo` (rasterio, pyogrio, shapely), imported where it is used.
"""

from __future__ import annotations

from .bands import INDICES, BandStack, ReflectanceArray, as_reflectance, parse_bands, reflectance
from .raster import GeoInfo, RasterArray, open_levels, read_info, write_geotiff
from .regions import polygonize
from .sidecar import write_sidecars
from .vectors import VECTOR_SUFFIXES, Rasterized, rasterize

__all__ = [
    "INDICES",
    "VECTOR_SUFFIXES",
    "BandStack",
    "GeoInfo",
    "RasterArray",
    "Rasterized",
    "ReflectanceArray",
    "as_reflectance",
    "open_levels",
    "parse_bands",
    "polygonize",
    "rasterize",
    "read_info",
    "reflectance",
    "write_geotiff",
    "write_sidecars",
]
