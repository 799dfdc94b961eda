"""From parts of maps to what people look at: values in the image's units, colours, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..data.normalization import Statistics
    from .maps import MapPart

__all__ = ["colors", "in_units", "labels"]


def in_units(part: MapPart, statistics: Statistics, output: str) -> npt.NDArray[Any]:
    """Standardised values `(C, h, w)` in the image's units, as the output wants them."""
    values = part.values * statistics.std[:, None, None] + statistics.mean[:, None, None]
    if output == "denoised":
        dtype = part.window.dtype
        if dtype.kind == "f":
            made = values.astype(dtype)
        elif dtype.kind == "b":
            made = values > 0.5
        else:
            limits = np.iinfo(dtype)
            made = np.clip(values.round(), limits.min, limits.max).astype(dtype)
        kept: npt.NDArray[Any] = made if part.missing is None else np.where(part.missing, part.window, made)
        return kept
    result = values if output == "reconstruction" else part.window.astype(np.float64) - values
    if part.missing is not None:
        result = np.where(part.missing, np.nan, result)
    return np.asarray(result, np.float32)


def colors(part: MapPart) -> npt.NDArray[np.float32]:
    """Colours in [0, 1], `(3, h, w)`; NaN where there is no data."""
    made: npt.NDArray[np.float32] = part.values.clip(0, 1)
    if part.missing is not None:
        made[:, part.missing] = np.nan
    return made


def labels(part: MapPart) -> npt.NDArray[np.uint8]:
    """The highest score's number, from 1, `(h, w)`; 0 where there is no data."""
    numbers: npt.NDArray[np.uint8] = (part.values.argmax(axis=0) + 1).astype(np.uint8)
    if part.missing is not None:
        numbers[part.missing] = 0
    return numbers
