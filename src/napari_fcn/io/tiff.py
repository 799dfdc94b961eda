"""TIFF, OME-TIFF, ImageJ stacks and GeoTIFF."""

from __future__ import annotations

import contextlib
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from ..errors import InputError
from .geotiff import is_placed
from .image_file import AXES, ImageFile, PixelSize, unit_name
from .tiff_pieces import LARGE, PiecewiseTiff
from .tiff_structure import check_structure

__all__ = ["read_tiff"]

# What tifffile remarks goes to whoever asked for logs, not onto the terminal: what matters becomes an error here.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_ALPHA = (1, 2)  # associated and unassociated
_MOSTLY = 0.5
_MISREAD = (SyntaxError, ValueError, TypeError, KeyError, IndexError, AttributeError, ZeroDivisionError)


def read_tiff(path: Path, *, labels: bool = False, lazy: bool = False) -> ImageFile:
    """Read the first series of a TIFF with what the file says about axes, channels, pixel size and nodata.

    Parameters
    ----------
    path : the file.
    labels : give the indices of a palette instead of its colours.
    lazy : open a large one without reading it, where its axes are clear and no sample has to be dropped.
    """
    check_structure(path)
    with tifffile.TiffFile(path) as tiff:
        if not tiff.series:
            raise InputError(f"{str(path)!r} is a TIFF without an image.")
        series = tiff.series[0]
        page = series.keyframe
        _check_types(path, tiff)
        _check_segments(path, series, path.stat().st_size)
        if lazy and not labels and (large := _in_pieces(path, series, tiff)) is not None:
            return ImageFile(
                path,
                large,
                large.axes,
                channel_names=_channel_names(tiff, page),
                pixel_size=_pixel_size(tiff, page),
                nodata=_nodata(page),
                placed=is_placed(page),
            )
        array, letters = series.asarray(), series.axes.replace("S", "c")
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None and not labels:
            array, letters = _coloured(array, page.colormap), letters + "c"
        notes: tuple[str, ...] = ()
        if "c" in letters and _marked_as_alpha(page):
            array, notes = _without_opacity(path, array, letters.index("c"), page.samplesperpixel)
        array, axes = _name_axes(array, letters)
        return ImageFile(
            path,
            array,
            axes,
            channel_names=_channel_names(tiff, page),
            pixel_size=_pixel_size(tiff, page),
            nodata=_nodata(page),
            placed=is_placed(page),
            notes=notes,
        )


def _marked_as_alpha(page: tifffile.TiffPage) -> bool:
    """Whether a picture says that its last sample is opacity. What says where it lies is a raster, and no picture."""
    return bool(page.extrasamples) and int(page.extrasamples[-1]) in _ALPHA and not is_placed(page)


def _without_opacity(
    path: Path, array: npt.NDArray[Any], axis: int, samples: int
) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    """The samples without the last one where that is opacity, and what to say about it.

    GDAL marks the fourth band of 8-bit rasters as alpha, near infrared too. Opacity is none or full nearly everywhere;
    what has other values in most pixels is a band.
    """
    last = array.take(samples - 1, axis=axis)
    full = np.iinfo(last.dtype).max if last.dtype.kind in "iu" else 1
    between = float(((last != 0) & (last != full)).mean())
    if between > _MOSTLY:
        return array, (
            f"{path.name}: band {samples} is marked as alpha and kept as a band, because {between:.0%} of its pixels "
            f"are neither transparent nor opaque.",
        )
    rest = array.take(range(samples - 1), axis=axis)
    if last.min() == last.max():
        return rest, ()
    return rest, (f"{path.name}: band {samples} is marked as alpha, how opaque pixels are, and left out.",)


def _in_pieces(path: Path, series: tifffile.TiffPageSeries, tiff: tifffile.TiffFile) -> PiecewiseTiff | None:
    """The series to be read by pieces, or None where it is small or has to be read as a whole."""
    page, letters = series.keyframe, series.axes
    if math.prod(series.shape) * series.dtype.itemsize < LARGE or ("S" in letters and "C" in letters):
        return None
    if page.photometric == tifffile.PHOTOMETRIC.PALETTE:
        return None
    if "S" in letters and _marked_as_alpha(page):
        return None
    _, axes = _name_axes(np.empty((0,) * len(letters), series.dtype), letters.replace("S", "c"))
    return None if axes is None else PiecewiseTiff(path, series.shape, series.dtype, axes)


def _check_types(path: Path, tiff: tifffile.TiffFile) -> None:
    """Raise when the bands of the first page do not all have one type."""
    bits, kinds = (tiff.pages.first.tags.valueof(code) for code in (258, 339))  # BitsPerSample, SampleFormat
    if any(isinstance(each, tuple) and len(set(each)) > 1 for each in (bits, kinds)):
        raise InputError(
            f"All bands must have one type, and those of {str(path)!r} have {bits} bits; convert it, for example with "
            f"gdal_translate -ot Float32."
        )


def _check_segments(path: Path, series: tifffile.TiffPageSeries, size: int) -> None:
    """Raise when a strip or tile lies beyond the end of the file, or a plane is not there at all.

    Decoders leave such pixels black and say nothing.
    """
    if series.dataoffset is not None:
        missing = series.dataoffset + math.prod(series.shape) * series.dtype.itemsize - size
        if missing > 0:
            raise InputError(f"{str(path)!r} is cut short: {missing} bytes are missing.")
        return
    for number, page in enumerate(series.pages):
        if page is None:
            raise InputError(f"{str(path)!r} lacks plane {number + 1} of {len(series.pages)}.")
        offsets = np.asarray(page.dataoffsets, dtype=np.int64)
        counts = np.asarray(page.databytecounts, dtype=np.int64)
        expected = math.prod(series.keyframe.chunked)
        if len(offsets) < expected or len(counts) < len(offsets) or ((counts > 0) & (offsets + counts > size)).any():
            raise InputError(f"{str(path)!r} is cut short: a part of plane {number + 1} is missing.")


def _coloured(array: npt.NDArray[Any], colormap: npt.NDArray[np.uint16]) -> npt.NDArray[np.uint8]:
    colours = (colormap.T >> 8).astype(np.uint8) if colormap.max() > 255 else colormap.T.astype(np.uint8)
    coloured: npt.NDArray[np.uint8] = colours[array]
    return coloured


def _name_axes(array: npt.NDArray[Any], letters: str) -> tuple[npt.NDArray[Any], str | None]:
    """Turn tifffile's letters into `TZCYX`; None when one of them means nothing that is known.

    'c' are the samples of a pixel. Where there are channels of samples too, they become one axis.
    """
    if "c" in letters and "C" in letters:
        at = letters.index("c")
        array = np.moveaxis(array, letters.index("C"), at - 1 if letters.index("C") < at else at)
        rest = letters.replace("C", "")
        at = rest.index("c")
        array = array.reshape(*array.shape[:at], -1, *array.shape[at + 2 :])
        letters = rest
    letters = letters.replace("c", "C")
    unknown = [letter for letter in letters if letter not in AXES]
    if len(unknown) == 1 and "C" in letters and "Z" not in letters:  # pages of colour pictures
        letters = letters.replace(unknown[0], "Z")
    known = set(letters) <= set(AXES) and len(set(letters)) == len(letters) and {"Y", "X"} <= set(letters)
    return array, letters if known else None


def _nodata(page: tifffile.TiffPage) -> float | None:
    text = page.tags.valueof(42113)  # GDAL_NODATA
    with contextlib.suppress(ValueError, TypeError):
        return float(str(text).strip(" \0"))
    return None


def _channel_names(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> tuple[str, ...] | None:
    """Names from OME metadata, or the band descriptions of GDAL."""
    with contextlib.suppress(*_MISREAD):
        if tiff.is_ome:
            channels = _as_list(_ome_pixels(tiff)["Channel"])
            return tuple(str(channel["Name"]) for channel in channels)
        text = page.tags.valueof(42112)  # GDAL_METADATA
        if text:
            items = _as_list(tifffile.xml2dict(text)["GDALMetadata"]["Item"])
            bands = {int(i["sample"]): str(i["value"]) for i in items if i.get("role") == "description"}
            if bands and sorted(bands) == list(range(len(bands))):
                return tuple(bands[number] for number in range(len(bands)))
    return None


def _pixel_size(tiff: tifffile.TiffFile, page: tifffile.TiffPage) -> PixelSize | None:
    """Size from OME metadata, a georeference or ImageJ; the resolution of a plain TIFF is that of a printer."""
    with contextlib.suppress(*_MISREAD):
        if tiff.is_ome:
            pixels = _ome_pixels(tiff)
            unit = unit_name(str(pixels.get("PhysicalSizeXUnit", "µm")))
            depth = pixels.get("PhysicalSizeZ")
            return _checked(
                pixels["PhysicalSizeY"], pixels["PhysicalSizeX"], unit, None if depth is None else float(depth)
            )
        if tiff.is_geotiff:
            return _ground_size(page.geotiff_tags)
        if tiff.is_imagej:
            facts = tiff.imagej_metadata or {}
            unit = unit_name(str(facts["unit"]).replace("\\u00B5", "µ"))
            if unit in ("", "pixel", "pixels"):
                return None
            (x_pixels, x_length), (y_pixels, y_length) = (
                page.tags[name].value for name in ("XResolution", "YResolution")
            )
            spacing = facts.get("spacing")
            return _checked(y_length / y_pixels, x_length / x_pixels, unit, None if spacing is None else float(spacing))
    return None


def _ground_size(tags: dict[str, Any] | None) -> PixelSize | None:
    if not tags:
        return None
    x, y = tags["ModelPixelScale"][:2]
    if int(tags["GTModelTypeGeoKey"]) == 2:  # geographic: latitude and longitude
        return _checked(y, x, "degree")
    linear = {9001: "meter", 9002: "foot", 9003: "us_survey_foot"}
    return _checked(y, x, linear[int(tags.get("ProjLinearUnitsGeoKey", 9001))])


def _checked(y: Any, x: Any, unit: str, z: float | None = None) -> PixelSize | None:
    size = PixelSize(float(y), float(x), unit, z if z and z > 0 else None)
    return size if all(math.isfinite(each) and each > 0 for each in (size.y, size.x)) else None


def _ome_pixels(tiff: tifffile.TiffFile) -> dict[str, Any]:
    image = _as_list(tifffile.xml2dict(tiff.ome_metadata or "")["OME"]["Image"])[0]
    pixels: dict[str, Any] = image["Pixels"]
    return pixels


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
