"""Where a segmentation is unsure, so that a person looks there next."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["most_unsure"]


def most_unsure(
    doubt: npt.NDArray[np.float32], known: npt.NDArray[np.bool_] | None = None, size: int = 32
) -> tuple[int, ...] | None:
    """Where a person should look next: the middle of the window in which the doubt that nobody has cleared is largest.

    Parameters
    ----------
    doubt : `spatial`, as `inference.predict.uncertainty` gives it; windows lie in the last two axes, rows and columns.
    known : True where somebody has painted; its surroundings, up to half a window away, are left out too.
    size : side of the window in pixels.

    Returns
    -------
    tuple of int, or None
        One place for each axis; None where nothing is left that is unsure.
    """
    from scipy import ndimage

    flat = (1,) * (doubt.ndim - 2)
    mean = ndimage.uniform_filter(doubt, (*flat, size, size), mode="constant")
    if known is not None:
        near = ndimage.maximum_filter(known, (*flat, size, size)) if known.any() else known
        mean = np.where(near, 0, mean)
    place = np.unravel_index(int(mean.argmax()), mean.shape)
    return tuple(int(number) for number in place) if mean[place] > 0 else None
