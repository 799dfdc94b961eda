"""The place on Earth that a GeoTIFF states, carried over to a result as it stands there."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import tifffile

__all__ = ["geo_tags", "has_georeference", "is_placed", "stated_nodata"]

# Pixel scale, tie points, transformation, and the directory of keys with its numbers and texts (OGC GeoTIFF 1.1, 7.1).
_TAGS = {33550: "d", 33922: "d", 34264: "d", 34735: "H", 34736: "d", 34737: "s"}
_NODATA = 42113
Tag = tuple[int, Any, int, Any, bool]


def has_georeference(path: Path) -> bool:
    """Whether a file is a TIFF with a place on Earth."""
    if path.suffix.lower() not in (".tif", ".tiff") or not path.is_file():
        return False
    try:
        with tifffile.TiffFile(path) as tiff:
            return is_placed(tiff.pages.first)
    except (tifffile.TiffFileError, OSError, ValueError, IndexError):
        return False


def is_placed(page: Any) -> bool:
    """Whether tifffile's page says where its pixels lie, in a reference system that it names or not."""
    return any(code in page.tags for code in (33550, 34264, 34735))


def stated_nodata(path: Path) -> int | None:
    """The whole number that marks missing pixels in a TIFF of labels; None where it states none."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return None
    with (
        contextlib.suppress(tifffile.TiffFileError, OSError, ValueError, TypeError, IndexError),
        tifffile.TiffFile(path) as tiff,
    ):
        value = float(str(tiff.pages.first.tags.valueof(_NODATA)).strip(" \0"))
        return int(value) if value.is_integer() else None
    return None


def geo_tags(path: Path, nodata: float | None = None) -> list[Tag]:
    """The tags of a GeoTIFF that say where its pixels lie, for `tifffile.imwrite(extratags=...)`.

    They are copied as they are, so that every reference system and every transformation survives.

    Parameters
    ----------
    path : the GeoTIFF.
    nodata : the value that marks missing pixels in the result; None states none.
    """
    found: list[Tag] = []
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages.first.tags
        for code, kind in _TAGS.items():
            if code not in tags:
                continue
            value = tags[code].value
            if kind == "s":
                found.append((code, "s", 0, str(value), True))
            else:
                found.append((code, kind, len(value), tuple(value), True))
    if nodata is not None:
        found.append((_NODATA, "s", 0, f"{nodata:g}", True))
    return found
