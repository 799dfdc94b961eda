"""Regions of labels: connected pixels of one value, and whose they become when they are taken away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .filter import Scene

__all__ = ["Regions", "find_regions", "give_away", "nearest_other", "values_of"]

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Regions:
    """Connected pixels of one value.

    Attributes
    ----------
    numbers : in the shape of the labels, from 1; 0 where pixels belong to none.
    sizes : `(R + 1,)` pixels of each; of 0, nothing.
    values : `(R + 1,)` the label value of each.
    """

    numbers: npt.NDArray[np.integer[Any]]
    sizes: npt.NDArray[np.int64]
    values: npt.NDArray[Any]


def values_of(labels: npt.NDArray[Any], chosen: tuple[int, ...] | None, scene: Scene) -> npt.NDArray[Any]:
    """The values in the labels that a filter works on: the chosen ones, or all but 0."""
    present = np.unique(labels if scene.kept is None else labels[~scene.kept])
    return present[np.isin(present, list(chosen)) if chosen is not None else present != 0]


def find_regions(labels: npt.NDArray[Any], scene: Scene) -> Regions:
    """All regions of all values, 0 too; neighbours are pixels that share a side. Kept pixels belong to none."""
    from skimage.measure import label

    # One pass for all values; skimage leaves out one value, so that they are counted from 1.
    _present, indices = np.unique(labels, return_inverse=True)
    places = indices.reshape(labels.shape).astype(np.int32) + 1
    if scene.kept is not None:
        places[scene.kept] = 0
    numbers = label(places, background=0, connectivity=1)
    sizes = np.bincount(numbers.ravel())
    sizes[0] = 0
    values = np.zeros(len(sizes), labels.dtype)
    values[numbers.ravel()] = labels.ravel()
    return Regions(numbers, sizes, values)


def give_away(labels: npt.NDArray[Any], regions: Regions, taken: Mask, scene: Scene) -> npt.NDArray[Any]:
    """Labels in which each region that is `taken` `(R + 1,)` has the value that most of its border touches.

    Taken regions that touch become one first. Of two values with the same share of the border, the lower one; a region
    that touches nothing but kept pixels and the edge stays.
    """
    gone: Mask = taken[regions.numbers]
    if not gone.any():
        return labels.copy()
    patches, count = ndimage.label(gone)
    present, indices = np.unique(labels, return_inverse=True)
    indices = indices.reshape(labels.shape)
    free = ~gone if scene.kept is None else ~gone & ~scene.kept
    pairs = []
    for axis in range(labels.ndim):
        ahead, behind = [slice(None)] * labels.ndim, [slice(None)] * labels.ndim
        ahead[axis], behind[axis] = slice(1, None), slice(None, -1)
        for here, there in ((tuple(ahead), tuple(behind)), (tuple(behind), tuple(ahead))):
            border = gone[here] & free[there]
            pairs.append(patches[here][border].astype(np.int64) * len(present) + indices[there][border])
    keys, shares = np.unique(np.concatenate(pairs), return_counts=True)
    owners, winners = keys // len(present), keys % len(present)
    order = np.lexsort((winners, -shares, owners))
    first = np.unique(owners[order], return_index=True)[1]
    best = np.full(count + 1, -1)
    best[owners[order][first]] = winners[order][first]
    result = labels.copy()
    answered = gone & (best[patches] >= 0)
    result[answered] = present[best[patches[answered]]]
    return result


def nearest_other(labels: npt.NDArray[Any], lost: Mask, sources: Mask) -> npt.NDArray[Any]:
    """The values of the nearest pixels in `sources`, for the pixels in `lost`, as one row."""
    nearest = ndimage.distance_transform_edt(~sources, return_distances=False, return_indices=True)
    values: npt.NDArray[Any] = labels[tuple(axis[lost] for axis in nearest)]
    return values
