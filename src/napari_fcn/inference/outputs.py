"""From strips of maps to what people look at: values in the image's units, colours, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from ..data.normalization import Statistics
    from .maps import MapStrip

__all__ = ["colors", "in_units", "labels"]


def in_units(strip: MapStrip, statistics: Statistics, output: str) -> npt.NDArray[Any]:
    """Standardised values `(C, h, W)` in the image's units, as the output wants them."""
    values = strip.values * statistics.std[:, None, None] + statistics.mean[:, None, None]
    if output == "denoised":
        dtype = strip.window.dtype
        if dtype.kind == "f":
            made = values.astype(dtype)
        elif dtype.kind == "b":
            made = values > 0.5
        else:
            limits = np.iinfo(dtype)
            made = np.clip(values.round(), limits.min, limits.max).astype(dtype)
        kept: npt.NDArray[Any] = made if strip.missing is None else np.where(strip.missing, strip.window, made)
        return kept
    result = values if output == "reconstruction" else strip.window.astype(np.float64) - values
    if strip.missing is not None:
        result = np.where(strip.missing, np.nan, result)
    return np.asarray(result, np.float32)


def colors(strip: MapStrip) -> npt.NDArray[np.float32]:
    """Colours in [0, 1], `(3, h, W)`; NaN where there is no data."""
    made: npt.NDArray[np.float32] = strip.values.clip(0, 1)
    if strip.missing is not None:
        made[:, strip.missing] = np.nan
    return made


def labels(strip: MapStrip) -> npt.NDArray[np.uint8]:
    """The highest score's number, from 1, `(h, W)`; 0 where there is no data."""
    numbers: npt.NDArray[np.uint8] = (strip.values.argmax(axis=0) + 1).astype(np.uint8)
    if strip.missing is not None:
        numbers[strip.missing] = 0
    return numbers
