"""Pixels without data: filled while filters work, so that they do not bleed, and missing again afterwards."""

from __future__ import annotations

from typing import Any, TypeVar, cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["distinct", "filled", "missing"]

Array = TypeVar("Array", bound=npt.NDArray[Any])


def missing(image: npt.NDArray[Any], nodata: float | None) -> npt.NDArray[np.bool_] | None:
    """Where `(C, *spatial)` has no data: not finite in any channel, or `nodata` in all; None if nothing is missing."""
    mask: npt.NDArray[np.bool_] = np.zeros(image.shape[1:], bool)
    if image.dtype.kind == "f":
        mask |= ~np.isfinite(image).all(axis=0)
    if nodata is not None and not np.isnan(nodata):
        mask |= (image == nodata).all(axis=0)
    return mask if mask.any() else None


def filled(values: Array, gone: npt.NDArray[np.bool_]) -> Array:
    """A copy of `(C, *spatial)` in which missing pixels have the values of the nearest one that has data."""
    nearest = ndimage.distance_transform_edt(gone, return_distances=False, return_indices=True)
    return cast("Array", values[(slice(None), *nearest)])


def distinct(values: Array, nodata: float | None) -> Array:
    """The values `(C, *spatial)`, changed in place by the least step where data came out as `nodata` everywhere."""
    if nodata is None or np.isnan(nodata):
        return values
    same = np.equal(values, nodata).all(axis=0)
    if same.any():
        if values.dtype.kind == "f":
            values[:, same] = np.nextafter(values.dtype.type(nodata), values.dtype.type(np.inf))
        else:
            values[:, same] = nodata + 1 if nodata < np.iinfo(values.dtype).max else nodata - 1
    return values
