"""From classes to numbered objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..options import option
from .filter import LabelFilter, Scene, filter_class
from .regions import values_of

__all__ = ["Watershed", "parted"]


@filter_class("watershed", summary="number the objects, and part those that touch at their waists")
@dataclass(frozen=True)
class Watershed(LabelFilter):
    """Objects from 1 up, 0 elsewhere: watershed on the distance from the outline (Soille and Vincent 1990).

    Two centres are two objects when the distance falls by at least `depth` between them (h-maxima), so that a bumpy
    outline alone parts nothing.
    """

    numbers: ClassVar[bool] = True
    depth: float = option(
        1.0, "how much narrower a waist must be to part an object, in pixels", kind="number", minimum=0.1, maximum=500
    )
    size: int = option(1, "pixels that an object must have to be numbered", kind="integer", minimum=1)
    values: tuple[int, ...] | None = option(
        None, "label values of objects; all but 0 when not given", kind="integers", advanced=True
    )

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """Numbered objects, int32, class by class; kept pixels become 0, which no object is."""
        result = np.zeros(labels.shape, np.int32)
        total = 0
        for value in values_of(labels, self.values, scene):
            inside = labels == value
            if scene.kept is not None:
                inside &= ~scene.kept
            objects = parted(inside, self.depth)
            sizes = np.bincount(objects.ravel())
            stays = sizes >= self.size
            stays[0] = False
            renumbered = np.where(stays, total + np.cumsum(stays), 0).astype(np.int32)
            result += renumbered[objects]
            total += int(stays.sum())
        return result


def parted(
    inside: npt.NDArray[np.bool_], depth: float = 1.0, spacing: Sequence[float] | None = None
) -> npt.NDArray[np.int32]:
    """Number the connected parts of a mask from 1 up, and part them at their waists, see `Watershed`.

    Parameters
    ----------
    inside : `(Y, X)` or `(Z, Y, X)`; the image's edge is no outline.
    depth : how much narrower a waist must be, in units of `spacing`.
    spacing : pixel sides along each axis; 1 when None.
    """
    from skimage.morphology import local_maxima, reconstruction
    from skimage.segmentation import watershed

    if inside.all():
        return np.ones(inside.shape, np.int32)
    distance = ndimage.distance_transform_edt(inside, sampling=spacing)
    # Far below all objects, so that a small one, less high than `depth`, is a maximum of its own.
    landscape = np.where(inside, distance, -10 * depth - 1)
    lowered = reconstruction(landscape - depth, landscape, method="dilation")
    centres, _ = ndimage.label(local_maxima(lowered) & inside, np.ones((3,) * inside.ndim))
    found: npt.NDArray[np.int32] = watershed(-distance, centres, mask=inside)
    return found
