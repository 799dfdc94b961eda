"""Objects from classes: each connected part gets a number, and those that touch at a waist are parted there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["instances"]


def instances(
    labels: npt.NDArray[Any], values: Sequence[int], *, depth: float = 1.0, spacing: Sequence[float] | None = None
) -> npt.NDArray[np.int32]:
    """Number the objects, class by class, by a watershed on the distance from their outlines.

    Two centres are two objects when the distance falls by at least `depth` pixels between them (h-maxima), so a bumpy
    outline alone parts nothing (Soille and Vincent 1990).

    Parameters
    ----------
    labels : integers `(Y, X)` or `(Z, Y, X)`.
    values : label values whose pixels are objects.
    depth : how much narrower a waist must be to part an object, in units of `spacing`.
    spacing : pixel sides along each axis; 1 when None.

    Returns
    -------
    array
        int32 in the shape of `labels`: 1 and up for objects, 0 elsewhere.

    Examples
    --------
    >>> instances(np.array([[1, 1, 0, 1, 0, 2]]), values=(1, 2)).tolist()
    [[1, 1, 0, 2, 0, 3]]
    """
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    found = np.zeros(labels.shape, np.int32)
    total = 0
    for value in values:
        # A frame of background, so that an object that fills the image has an outline too.
        inside = np.pad(labels == value, 1)
        if not inside.any():
            continue
        distance = ndimage.distance_transform_edt(inside, sampling=spacing)
        # Far below all objects, so that a small one, less high than `depth`, is a maximum of its own.
        landscape = np.where(inside, distance, -10 * depth - 1)
        lowered = reconstruction(landscape - depth, landscape, method="dilation")
        maxima = local_maxima(lowered)
        centres, _ = ndimage.label(maxima & inside, np.ones((3,) * inside.ndim))
        parts = watershed(-distance, centres, mask=inside)
        objects = parts[(slice(1, -1),) * inside.ndim]
        found[objects > 0] = objects[objects > 0] + total
        total = int(found.max(initial=total))
    return found
