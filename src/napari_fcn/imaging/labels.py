"""Filters of labels. Every pixel that one class loses is given to the class around it, never simply to 0."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..options import option
from .filter import LabelFilter, Scene, filter_class
from .regions import find_regions, give_away, nearest_other, values_of

__all__ = ["Closing", "LargestComponent", "Opening", "RemoveSmallHoles", "RemoveSmallObjects", "Smooth"]

VALUES = "label values that are changed; all but 0 when not given"


@filter_class("remove_small_objects", summary="give small islands to the class around them")
@dataclass(frozen=True)
class RemoveSmallObjects(LabelFilter):
    """Regions smaller than `size` get the value that most of their border touches."""

    size: int = option(64, "pixels that an object must have to stay", kind="integer", minimum=2)
    values: tuple[int, ...] | None = option(None, VALUES, kind="integers", advanced=True)

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """Without small objects."""
        regions = find_regions(labels, scene)
        chosen = np.isin(regions.values, values_of(labels, self.values, scene))
        return give_away(labels, regions, chosen & (regions.sizes > 0) & (regions.sizes < self.size), scene)


@filter_class("remove_small_holes", summary="fill small holes with the class around them")
@dataclass(frozen=True)
class RemoveSmallHoles(LabelFilter):
    """Regions of one value that are smaller than `size` and do not reach the edge are filled."""

    size: int = option(64, "pixels that a hole must have to stay", kind="integer", minimum=2)
    value: int = option(0, "the label value of holes", kind="integer", advanced=True)

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """Without small holes."""
        regions = find_regions(labels, scene)
        holes = (regions.values == self.value) & (regions.sizes > 0) & (regions.sizes < self.size)
        for axis in range(labels.ndim):
            for end in (0, -1):
                holes[regions.numbers.take(end, axis=axis)] = False
        return give_away(labels, regions, holes, scene)


@filter_class("opening", summary="cut off what is thinner than a disc")
@dataclass(frozen=True)
class Opening(LabelFilter):
    """Where a disc inside a class does not reach, pixels get the value of the nearest pixel of another class."""

    radius: float = option(2.0, "radius of the disc in pixels", kind="number", minimum=1, maximum=200)
    values: tuple[int, ...] | None = option(None, VALUES, kind="integers", advanced=True)

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """Opened, all classes at once, so that their order does not matter."""
        lost = np.zeros(labels.shape, bool)
        values = values_of(labels, self.values, scene)
        for value in values:
            inside = labels == value
            core = _distance_inside(inside) > self.radius
            reached = ndimage.distance_transform_edt(~core) <= self.radius if core.any() else core
            lost |= inside & ~reached
        if scene.kept is not None:
            lost &= ~scene.kept
        result = labels.copy()
        for value in values:
            here = lost & (labels == value)
            sources = ~lost & (labels != value)
            if scene.kept is not None:
                sources &= ~scene.kept
            if here.any() and sources.any():
                result[here] = nearest_other(labels, here, sources)
        return result


@filter_class("closing", summary="close gaps that are thinner than a disc")
@dataclass(frozen=True)
class Closing(LabelFilter):
    """Gaps that a disc does not fit into become part of the nearest class; classes do not take from each other."""

    radius: float = option(2.0, "radius of the disc in pixels", kind="number", minimum=1, maximum=200)
    values: tuple[int, ...] | None = option(
        None, "label values that may grow; all but 0 when not given", kind="integers", advanced=True
    )

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """Closed: of two classes that could have a pixel, the nearer one."""
        values = values_of(labels, self.values, scene)
        open_to_all = ~np.isin(labels, values)
        if scene.kept is not None:
            open_to_all &= ~scene.kept
        result = labels.copy()
        nearest = np.full(labels.shape, np.inf, np.float32)
        margin = int(np.ceil(self.radius)) + 1
        inner = tuple(slice(margin, -margin) for _ in labels.shape)
        for value in values:
            outside = np.pad(labels != value, margin, constant_values=True)
            distance = ndimage.distance_transform_edt(outside)
            closed = ndimage.distance_transform_edt(distance <= self.radius) > self.radius
            gained = closed[inner] & open_to_all & (distance[inner] < nearest)
            result[gained] = value
            nearest[gained] = distance[inner][gained]
        return result


@filter_class("largest_component", summary="keep only the largest region of each class")
@dataclass(frozen=True)
class LargestComponent(LabelFilter):
    """All regions of a class but its largest get the value that most of their border touches."""

    values: tuple[int, ...] | None = option(None, VALUES, kind="integers")

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """With one region a class; of two of the same size, the first."""
        regions = find_regions(labels, scene)
        taken = np.zeros(len(regions.sizes), bool)
        for value in values_of(labels, self.values, scene):
            same = np.flatnonzero((regions.values == value) & (regions.sizes > 0))
            taken[same] = True
            taken[same[regions.sizes[same].argmax()]] = False
        return give_away(labels, regions, taken, scene)


@filter_class("smooth", summary="smooth outlines: each pixel gets the most common class around it")
@dataclass(frozen=True)
class Smooth(LabelFilter):
    """The most common value in a disc; of two classes this is the median."""

    radius: int = option(2, "radius of the disc in pixels", kind="integer", minimum=1, maximum=50)

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """The most common values; where several are as common, a pixel keeps its own if it is among them."""
        disc = _ball(self.radius, labels.ndim)
        most = np.zeros(labels.shape, np.float32)
        result = labels.copy()
        voters = None if scene.kept is None else ~scene.kept
        for value in np.unique(labels if voters is None else labels[voters]):
            votes = labels == value if voters is None else (labels == value) & voters
            count = _count(votes, disc) + np.float32(0.5) * votes
            better = count > most
            result[better] = value
            most[better] = count[better]
        if scene.kept is not None:
            result[scene.kept] = labels[scene.kept]
        return result


def _distance_inside(inside: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """Distance to the nearest pixel outside; what lies beyond the edge counts as inside."""
    if inside.all():
        return np.full(inside.shape, np.inf)
    distance: npt.NDArray[np.float64] = ndimage.distance_transform_edt(inside)
    return distance


def _ball(radius: int, dimensions: int) -> npt.NDArray[np.float32]:
    axes = np.ogrid[(slice(-radius, radius + 1),) * dimensions]
    squares = np.sum(np.broadcast_arrays(*[axis**2 for axis in axes]), axis=0)
    return np.asarray(squares <= radius**2, np.float32)


def _count(votes: npt.NDArray[np.bool_], disc: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """How many votes lie in the disc around each pixel; beyond the edges they are mirrored."""
    counts: npt.NDArray[np.float32]
    if disc.sum() < _MANY:
        counts = ndimage.correlate(votes.astype(np.float32), disc, mode="reflect")
        return counts
    from scipy.signal import oaconvolve

    padded = np.pad(votes.astype(np.float32), disc.shape[0] // 2, mode="symmetric")
    counts = np.rint(oaconvolve(padded, disc, mode="valid"))
    return counts


_MANY = 80
"""From so many pixels in a disc on, the Fourier transform is quicker."""
