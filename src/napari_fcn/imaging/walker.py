"""Outlines drawn anew along the edges of the image, by random walks (Grady 2006, IEEE TPAMI 28)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..options import option
from .filter import LabelFilter, Scene, filter_class

__all__ = ["RandomWalker", "RandomWalkerUncertain"]

BETA = "how strongly walks avoid edges of the image: more keeps closer to them"


@filter_class("random_walker", summary="draw outlines anew along the edges of the image")
@dataclass(frozen=True)
class RandomWalker(LabelFilter):
    """Pixels near an outline get the class that random walks from them meet first, away from the outlines."""

    takes = "labels+image"
    margin: float = option(3.0, "pixels on each side of an outline that are decided anew", kind="number", minimum=1)
    beta: float = option(130.0, BETA, kind="number", minimum=0.1, maximum=1e6, advanced=True)

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """Refined; a region that is too thin to have an inside keeps its middle line."""
        present = np.unique(labels if scene.kept is None else labels[~scene.kept])
        free = np.zeros(labels.shape, bool)
        for value in present:
            inside = labels == value
            if inside.all():
                return labels.copy()
            distance = ndimage.distance_transform_edt(inside)
            highest = ndimage.maximum_filter(distance, size=3)
            free |= inside & (distance <= self.margin) & ~((distance == highest) & inside)
        return _walk(labels, free, present, scene, self.beta)


@filter_class("random_walker_uncertain", summary="decide uncertain pixels anew along the edges of the image")
@dataclass(frozen=True)
class RandomWalkerUncertain(LabelFilter):
    """Pixels whose best probability is low get the class that random walks from them meet first."""

    takes = "labels+probabilities+image"
    certainty: float = option(
        0.8, "probability from which on a pixel is certain", kind="number", minimum=0.01, maximum=1
    )
    beta: float = option(130.0, BETA, kind="number", minimum=0.1, maximum=1e6, advanced=True)

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """Refined."""
        present = np.unique(labels if scene.kept is None else labels[~scene.kept])
        best = np.zeros(labels.shape, np.float32) if scene.probabilities is None else scene.probabilities.max(axis=0)
        return _walk(labels, best < self.certainty, present, scene, self.beta)


def _walk(
    labels: npt.NDArray[Any], free: npt.NDArray[np.bool_], present: npt.NDArray[Any], scene: Scene, beta: float
) -> npt.NDArray[Any]:
    """Labels in which the pixels in `free` are decided by walks to the others."""
    from skimage.segmentation import random_walker

    if scene.kept is not None:
        free = free & ~scene.kept
    seeds = np.zeros(labels.shape, np.int32)
    for index, value in enumerate(present, start=1):
        seeds[(labels == value) & ~free] = index
    if scene.kept is not None:
        seeds[scene.kept] = -1
    sown = np.unique(seeds[seeds > 0])
    if len(sown) < 2 or not free.any() or scene.image is None:
        return labels.copy()
    compact = np.zeros(len(present) + 1, np.int32)
    compact[sown] = np.arange(1, len(sown) + 1)
    walked = np.where(seeds > 0, compact[seeds.clip(0)], seeds)
    image = scene.image
    if (image == image[:, *[slice(1)] * labels.ndim]).all():
        return labels.copy()  # nothing to follow
    deviation = image.reshape(len(image), -1).std(axis=1).reshape(-1, *[1] * labels.ndim)
    guide = np.moveaxis(image / np.where(deviation > 0, deviation, 1), 0, -1).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about solvers that are not installed, and seeds that meet nobody
        answer = np.asarray(random_walker(guide, walked, beta=beta, mode="cg_j", tol=1e-3, channel_axis=-1))
    decided = free & (answer > 0)
    result = labels.copy()
    result[decided] = present[sown - 1][answer[decided].astype(np.int64) - 1]
    return result
