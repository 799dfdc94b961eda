"""How far two outlines are apart: Hausdorff distances between the boundaries of a class in truth and prediction.

A boundary is the pixels of a class that have a side in common with a pixel of another class or with the edge of the
image. Directed distances go from each boundary pixel of one side to the nearest of the other, in both directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..errors import InputError

__all__ = ["BoundaryScores", "boundary_scores", "surface_distances"]

Mask = npt.NDArray[np.bool_]
Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BoundaryScores:
    """Distances between the boundaries of one class, in pixels or in the unit of the spacing.

    NaN for a class that is in neither truth nor prediction; infinite for one that is in only one of them.

    Attributes
    ----------
    hausdorff : the greatest directed distance.
    hausdorff95 : the greater of the 95th percentiles of the two directions, which a few stray pixels do not change.
    mean_distance : mean over the boundary pixels of both.
    """

    value: int
    name: str
    hausdorff: float
    hausdorff95: float
    mean_distance: float

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes; what is no number is None."""
        return {key: None if isinstance(v, float) and not np.isfinite(v) else v for key, v in asdict(self).items()}


def surface_distances(
    truth: Mask, prediction: Mask, spacing: float | Sequence[float] = 1.0
) -> tuple[Distances, Distances]:
    """Distances from each boundary pixel of the truth to the prediction's boundary, and the other way round.

    Parameters
    ----------
    truth, prediction : bool of the same shape, any number of axes.
    spacing : size of a pixel, one number or one for each axis.

    Returns
    -------
    Two rows of float64; both empty when one of the two has no pixel.

    Examples
    --------
    >>> truth, prediction = np.zeros((2, 9, 9), bool)
    >>> truth[4, 2], prediction[4, 5] = True, True
    >>> surface_distances(truth, prediction, spacing=0.5)
    (array([1.5]), array([1.5]))
    """
    if truth.shape != prediction.shape:
        raise InputError(f"Prediction and truth must have the same shape. Got {prediction.shape} and {truth.shape}.")
    if not (truth.any() and prediction.any()):
        return np.empty(0), np.empty(0)
    sampling = np.broadcast_to(np.asarray(spacing, float), truth.ndim)
    box = ndimage.find_objects((truth | prediction).astype(np.uint8))[0]
    # What lies outside the box is farther from either boundary than what lies in it.
    one, other = _boundary(truth[box]), _boundary(prediction[box])
    to_other: Distances = ndimage.distance_transform_edt(~other, sampling=sampling)[one]
    to_one: Distances = ndimage.distance_transform_edt(~one, sampling=sampling)[other]
    return to_other, to_one


def boundary_scores(
    truth: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    values: Sequence[int],
    *,
    spacing: float | Sequence[float] = 1.0,
    counted: Mask | None = None,
    names: Mapping[int, str] | None = None,
) -> tuple[BoundaryScores, ...]:
    """Boundary distances of each class.

    Parameters
    ----------
    truth, prediction : label values of the same shape, any number of axes: 2 or 3 that have a spacing.
    values : the classes.
    spacing : size of a pixel, one number or one for each axis.
    counted : bool; pixels outside belong to no class. None counts all.
    names : by label value.
    """
    result = []
    for value in values:
        masks = [labels == value if counted is None else (labels == value) & counted for labels in (truth, prediction)]
        name = (names or {}).get(value, str(value))
        there = [bool(mask.any()) for mask in masks]
        if not all(there):
            nothing = float("inf") if any(there) else float("nan")
            result.append(BoundaryScores(int(value), name, nothing, nothing, nothing))
            continue
        ways = surface_distances(masks[0], masks[1], spacing)
        greatest = max(float(way.max()) for way in ways)
        most = max(float(np.percentile(way, 95)) for way in ways)
        mean = float(np.concatenate(ways).mean())
        result.append(BoundaryScores(int(value), name, greatest, most, mean))
    return tuple(result)


def _boundary(mask: Mask) -> Mask:
    boundary: Mask = mask & ~ndimage.binary_erosion(mask)
    return boundary
