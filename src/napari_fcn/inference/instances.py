"""Objects from classes: each connected part gets a number, and those that touch at a waist are parted there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..imaging.objects import parted

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
    found = np.zeros(labels.shape, np.int32)
    total = 0
    for value in values:
        inside = labels == value
        if inside.any():
            objects = parted(inside, depth, spacing)
            found[inside] = objects[inside] + total
            total = int(found.max(initial=total))
    return found
