"""Bands by name, and spectral indices as further channels.

========  =============================  =======================================
index     formula                        source
========  =============================  =======================================
`NDVI`    (nir - red) / (nir + red)      Rouse et al. 1974, NASA SP-351
`NDWI`    (green - nir) / (green + nir)  McFeeters 1996, Int J Remote Sensing 17
`MNDWI`   (green - swir1) / (... + ...)  Xu 2006, Int J Remote Sensing 27
`NDBI`    (swir1 - nir) / (swir1 + nir)  Zha et al. 2003, Int J Remote Sensing 24
========  =============================  =======================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import parse_reflectance
from ..errors import InputError
from ..registry import nearest

__all__ = ["INDICES", "Band", "BandStack", "ReflectanceArray", "as_reflectance", "parse_bands", "reflectance"]

INDICES = {
    "NDVI": ("nir", "red"),
    "NDWI": ("green", "nir"),
    "MNDWI": ("green", "swir1"),
    "NDBI": ("swir1", "nir"),
}
"""Of each index the two bands x and y in (x - y) / (x + y)."""


@dataclass(frozen=True)
class Band:
    """A channel that is wanted: a band of the file, or an index of two of them.

    Attributes
    ----------
    name : as the user says it.
    sources : numbers of bands in the file, from 0: one, or two of an index.
    """

    name: str
    sources: tuple[int, ...]


def parse_bands(text: str, names: Sequence[str], count: int) -> tuple[Band, ...]:
    """The channels that a text asks for.

    Parameters
    ----------
    text : names separated by commas, such as "blue,green,red,nir,NDVI"; NAME=NUMBER gives a band of the file a name
        where the file has none, counted from 1: "red=3,nir=4,NDVI".
    names : what the file calls its bands; may be empty.
    count : bands in the file.

    Raises
    ------
    InputError
        A name is unknown, a number is beyond the file's bands, or an index lacks a band.

    Examples
    --------
    >>> [band.sources for band in parse_bands("nir=4,red=3,NDVI", (), 8)]
    [(3,), (2,), (3, 2)]
    """
    known = {name.lower(): number for number, name in enumerate(names) if name}
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError("`bands` must be names of bands, separated by commas. Got an empty text.")
    for part in parts:
        name, given, number = part.partition("=")
        if given:
            if not number.strip().isdecimal() or not 1 <= int(number) <= count:
                raise InputError(f"`bands`: {part!r} must name one of the bands 1 to {count} of the image.")
            known[name.strip().lower()] = int(number) - 1
    found = []
    for part in parts:
        name = part.partition("=")[0].strip()
        wanted = (name.lower(),) if name.upper() not in INDICES else INDICES[name.upper()]
        for each in wanted:
            if each not in known:
                raise InputError(_unknown(name, each, list(known), count))
        found.append(Band(name, tuple(known[each] for each in wanted)))
    return tuple(found)


def _unknown(name: str, missing: str, known: list[str], count: int) -> str:
    what = f"the band {missing!r}" if name.lower() == missing else f"the band {missing!r}, which {name} needs,"
    close = nearest(missing, [*known, *(INDICES if name.lower() == missing else ())])
    hint = f"the nearest is {close!r}; or" if close else f"known are {', '.join([*known, *INDICES])};"
    return f"`bands`: {what} is none of the image; {hint} say which of its {count} bands it is, such as {missing}=3."


class BandStack:
    """An image with channels chosen by name, in another order, and indices among them; computed when it is sliced.

    Parameters
    ----------
    array : the image, with an axis C unless it has one band.
    axes : its axes.
    bands : from `parse_bands`.
    nodata : value of missing pixels, where an index becomes NaN.

    Attributes
    ----------
    axes : those of the image, with C.
    reflectance : of the image, where its values are made reflectance.
    dtype : the image's; float32 with indices (float64 for images of 32-bit integers and more).
    """

    def __init__(self, array: Any, axes: str, bands: Sequence[Band], nodata: float | None = None) -> None:
        self.array, self.bands, self.nodata = array, tuple(bands), nodata
        self.reflectance: str | None = getattr(array, "reflectance", None)
        self.source_axes = axes
        self.axes = axes if "C" in axes else f"C{axes}"
        self.at = self.axes.index("C")
        sizes = dict(zip(axes, array.shape, strict=True)) | {"C": len(self.bands)}
        self.shape = tuple(sizes[letter] for letter in self.axes)
        self.ndim = len(self.shape)
        kind = np.dtype(array.dtype)
        mixed = any(len(band.sources) > 1 for band in bands)
        self.dtype = np.result_type(kind, np.float32) if mixed else kind

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        keys = key if isinstance(key, tuple) else (key,)
        if any(each is Ellipsis for each in keys):
            place = next(n for n, each in enumerate(keys) if each is Ellipsis)
            keys = keys[:place] + (slice(None),) * (self.ndim - len(keys) + 1) + keys[place + 1 :]
        keys += (slice(None),) * (self.ndim - len(keys))
        rest = [each for axis, each in enumerate(keys) if axis != self.at]
        chosen = np.arange(len(self.bands))[keys[self.at]]
        parts = [self._channel(self.bands[int(number)], rest) for number in np.atleast_1d(chosen)]
        if np.ndim(chosen) == 0:
            return parts[0]
        before = sum(not isinstance(each, (int, np.integer)) for each in keys[: self.at])
        return np.stack(parts, axis=before)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)

    def _channel(self, band: Band, rest: list[Any]) -> npt.NDArray[Any]:
        values = [self._source(number, rest) for number in band.sources]
        if len(values) == 1:
            return values[0].astype(self.dtype, copy=False)
        gone = np.zeros(values[0].shape, bool)
        if self.nodata is not None:
            gone = (values[0] == self.nodata) | (values[1] == self.nodata)
        x, y = (value.astype(self.dtype) for value in values)
        total = x + y
        with np.errstate(divide="ignore", invalid="ignore"):
            index = np.where(total == 0, 0, (x - y) / total)
        index[gone] = np.nan
        return index.astype(self.dtype, copy=False)

    def _source(self, number: int, rest: list[Any]) -> npt.NDArray[Any]:
        keys = list(rest)
        if "C" in self.source_axes:
            keys.insert(self.source_axes.index("C"), number)
        return np.asarray(self.array[tuple(keys)])


def reflectance(
    array: npt.NDArray[Any], scale: float, offset: float = 0.0, nodata: float | None = None
) -> npt.NDArray[np.float32]:
    """Whole numbers as reflectance: `scale * value + offset`, float32, NaN where the value is `nodata`.

    Sentinel-2 level 2A has scale 0.0001 (and offset -0.1 since processing baseline 04.00); Landsat collection 2 surface
    reflectance 0.0000275 and -0.2.

    Examples
    --------
    >>> reflectance(np.array([0, 2, 4], np.uint16), 0.25, -0.5, nodata=0).tolist()
    [nan, 0.0, 0.5]
    """
    values: npt.NDArray[np.float32] = (array * scale + offset).astype(np.float32)
    if nodata is not None:
        values[array == nodata] = np.nan
    return values


class ReflectanceArray:
    """An image whose whole numbers are reflectance, computed when it is sliced; see `reflectance`.

    Parameters
    ----------
    array : anything with `shape`, `dtype` and slicing.
    text : "SCALE" or "SCALE,OFFSET".
    nodata : the value of missing pixels, which become NaN.

    Raises
    ------
    InputError
        The text is something else.
    """

    dtype = np.dtype(np.float32)

    def __init__(self, array: Any, text: str, nodata: float | None = None) -> None:
        self.array, self.reflectance, self.nodata = array, text, nodata
        self.scale, self.offset = parse_reflectance(text)
        self.shape = tuple(array.shape)
        self.ndim = len(self.shape)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        return reflectance(np.asarray(self.array[key]), self.scale, self.offset, self.nodata)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)


def as_reflectance(array: Any, text: str | None, nodata: float | None = None) -> Any:
    """The image itself, or its reflectance where a text asks for it and it is not that already."""
    return array if text is None or getattr(array, "reflectance", None) else ReflectanceArray(array, text, nodata)
