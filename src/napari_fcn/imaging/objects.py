"""From classes to numbered objects."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..options import option
from .filter import LabelFilter, Scene, filter_class
from .regions import values_of

__all__ = ["Watershed", "instances", "numbered", "parted"]


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
        masks = (labels == value for value in values_of(labels, self.values, scene))
        if scene.kept is not None:
            masks = (mask & ~scene.kept for mask in masks)
        return _numbered(labels.shape, masks, self.depth, size=self.size)


def instances(
    labels: npt.NDArray[Any], values: Sequence[int], *, depth: float = 1.0, spacing: Sequence[float] | None = None
) -> npt.NDArray[np.int32]:
    """Number the objects, class by class, as `Watershed` does, in planes or volumes.

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
    return _numbered(labels.shape, (labels == value for value in values), depth, spacing=spacing)


def _numbered(
    shape: tuple[int, ...],
    masks: Iterable[npt.NDArray[np.bool_]],
    depth: float,
    *,
    spacing: Sequence[float] | None = None,
    size: int = 1,
) -> npt.NDArray[np.int32]:
    """The objects of masks that share no pixel, numbered from mask to mask; those below `size` pixels are left out."""
    result = np.zeros(shape, np.int32)
    total = 0
    for inside in masks:
        if not inside.any():
            continue
        objects = parted(inside, depth, spacing)
        stays = np.bincount(objects.ravel()) >= size
        stays[0] = False
        result += np.where(stays, total + np.cumsum(stays), 0).astype(np.int32)[objects]
        total += int(stays.sum())
    return result


def numbered(
    labels: npt.NDArray[Any], axes: str, values: Sequence[int], *, spacing: Sequence[float]
) -> npt.NDArray[np.int32]:
    """`instances` of each volume as a whole and of each frame by itself; a waist counts from one pixel on.

    Parameters
    ----------
    labels, axes : integers, and their axes, a string over T, Z, Y and X.
    values : as for `instances`.
    spacing : sides of a pixel along each axis; that of T is not used.

    Returns
    -------
    array
        int32 in the shape of `labels`; numbers begin anew in each frame.

    Examples
    --------
    >>> numbered(np.array([[[1, 0, 1]], [[0, 1, 1]]]), "TYX", [1], spacing=(1, 1, 1)).tolist()
    [[[1, 0, 2]], [[0, 1, 1]]]
    """
    found = np.zeros(labels.shape, np.int32)
    sides = [side for axis, side in zip(axes, spacing, strict=True) if axis != "T"]
    frames = range(labels.shape[axes.index("T")]) if "T" in axes else [None]
    for frame in frames:
        key = tuple(frame if axis == "T" else slice(None) for axis in axes)
        found[key] = instances(labels[key], values, depth=min(sides), spacing=sides)
    return found


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
