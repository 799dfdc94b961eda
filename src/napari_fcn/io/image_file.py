"""What a file holds, in the words of this package: pixels, axes, names, sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError

__all__ = ["AXES", "ImageFile", "PixelSize", "complete", "unit_name"]

AXES = "TZCYX"

_UNITS = {
    "µm": "micrometer",
    "μm": "micrometer",
    "um": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "micrometre": "micrometer",
    "nm": "nanometer",
    "nanometre": "nanometer",
    "å": "angstrom",
    "mm": "millimeter",
    "millimetre": "millimeter",
    "cm": "centimeter",
    "centimetre": "centimeter",
    "m": "meter",
    "metre": "meter",
    "in": "inch",
}


def unit_name(text: str) -> str:
    r"""One name for a unit that files write in many ways.

    Examples
    --------
    >>> unit_name("\u00b5m"), unit_name("Micron"), unit_name("degree")
    ('micrometer', 'micrometer', 'degree')
    """
    plain = text.strip().lower()
    return _UNITS.get(plain, plain)


@dataclass(frozen=True)
class PixelSize:
    """Size of a pixel along Y, X and, in a stack, Z, in `unit`: "micrometer", "meter", "degree" ..."""

    y: float
    x: float
    unit: str
    z: float | None = None


@dataclass(frozen=True, eq=False)
class ImageFile:
    """What a file holds.

    Attributes
    ----------
    path : where it was read from.
    array : the pixels, a numpy array; of a Zarr a `StoredArray` that reads what it is sliced for.
    axes : one letter of `TZCYX` for each axis of `array`, or None when the file does not say and it is not obvious.
    channel_names : names of the channels, or None.
    pixel_size : or None when the file does not say.
    nodata : value that marks missing pixels (GeoTIFF), or None.
    placed : whether it says where on Earth its pixels lie.
    notes : sentences about what was made of the file that its owner might not expect.
    """

    path: Path
    array: Any
    axes: str | None
    channel_names: tuple[str, ...] | None = None
    pixel_size: PixelSize | None = None
    nodata: float | None = None
    placed: bool = False
    notes: tuple[str, ...] = ()


def complete(file: ImageFile) -> ImageFile:
    """Check that `file` holds an image, squeeze axes of size 1 (not lazily read ones), and add axes that are obvious.

    Raises
    ------
    InputError
        When there are no pixels, fewer than two axes, more than five, or no numbers.
    """
    array, axes = file.array, file.axes
    if np.dtype(array.dtype).kind not in "biuf":
        raise InputError(f"{str(file.path)!r} holds {array.dtype} values, where an image has whole or decimal numbers.")
    if 0 in array.shape:
        raise InputError(f"{str(file.path)!r} has shape {array.shape}, which means no pixels.")
    if isinstance(array, np.ndarray):
        array = np.asarray(array, dtype=array.dtype.newbyteorder("="))
        array, axes = _squeeze(array, axes)
    if not 2 <= array.ndim <= len(AXES):
        raise InputError(f"{str(file.path)!r} has shape {array.shape}, where an image has 2 to {len(AXES)} axes.")
    if axes is None:
        axes = _obvious(array.shape, array.dtype)
    names = file.channel_names
    channels = array.shape[axes.index("C")] if axes and "C" in axes else 1
    return replace(file, array=array, axes=axes, channel_names=names if names and len(names) == channels else None)


def _squeeze(array: np.ndarray, axes: str | None) -> tuple[np.ndarray, str | None]:
    """Drop axes of size 1 that are not Y or X, as long as two remain."""
    if axes is None:
        while array.ndim > 2 and 1 in array.shape:
            array = array.squeeze(array.shape.index(1))
        return array, None
    keep = [i for i, (letter, size) in enumerate(zip(axes, array.shape, strict=True)) if size > 1 or letter in "YX"]
    return array.reshape([array.shape[i] for i in keep]), "".join(axes[i] for i in keep)


def _obvious(shape: tuple[int, ...], dtype: Any) -> str | None:
    """Axes where nobody would read them otherwise: a plane, or a picture in colour."""
    if len(shape) == 2:
        return "YX"
    if len(shape) == 3 and shape[-1] in (3, 4) and np.dtype(dtype) in (np.uint8, np.uint16):
        return "YXC"
    return None
