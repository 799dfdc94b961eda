"""How many objects were found: predicted and true objects matched by their overlap.

As in StarDist (Weigert et al. 2020) and Cellpose (Stringer et al. 2021), average precision at a threshold is
TP / (TP + FP + FN), not the area under a curve: without confidences there is no curve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse
from scipy.optimize import linear_sum_assignment

from ..errors import InputError

__all__ = ["THRESHOLDS", "ObjectScores", "match_objects", "object_scores", "regions_of"]

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""0.5 to 0.95, over which mean average precision is usually taken."""


@dataclass(frozen=True)
class ObjectScores:
    """Objects that were found at one threshold of IoU.

    NaN where a quotient has nothing to divide by, such as without any object.

    Attributes
    ----------
    threshold : the least IoU of a predicted and a true object that are a match.
    found, false, missed : true positives, false positives and false negatives.
    precision, recall, f1 : found / (found + false), found / (found + missed), and their harmonic mean.
    average_precision : found / (found + false + missed).
    mean_iou : of the matches.
    """

    threshold: float
    found: int
    false: int
    missed: int
    precision: float
    recall: float
    f1: float
    average_precision: float
    mean_iou: float

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes; what is not defined is None."""
        return {key: None if isinstance(v, float) and np.isnan(v) else v for key, v in asdict(self).items()}


def regions_of(labels: npt.NDArray[Any], value: int, counted: npt.NDArray[np.bool_] | None = None) -> npt.NDArray[Any]:
    """Connected regions of one class as numbered objects; pixels that touch by a corner are connected."""
    inside = labels == value if counted is None else (labels == value) & counted
    numbered: npt.NDArray[Any] = ndimage.label(inside, np.ones((3,) * labels.ndim))[0]
    return numbered


def match_objects(
    truth: npt.NDArray[Any], prediction: npt.NDArray[Any], threshold: float = 0.5
) -> list[tuple[int, int, float]]:
    """Pairs of a true and a predicted object that overlap by at least `threshold`.

    As many pairs as can be made, each object in at most one, and of these the ones with the greatest sum of IoU.

    Parameters
    ----------
    truth, prediction : numbered objects, integers of the same shape; 0 is no object.

    Returns
    -------
    list of (true number, predicted number, IoU)
    """
    true_numbers, predicted_numbers, table = _overlaps(truth, prediction)
    rows, columns, shares = _candidates(table, threshold)
    return [
        (int(true_numbers[row]), int(predicted_numbers[column]), share)
        for row, column, share in _assign(rows, columns, shares, table.shape)
    ]


def object_scores(
    truth: npt.NDArray[Any], prediction: npt.NDArray[Any], thresholds: Sequence[float] = (0.5,)
) -> tuple[ObjectScores, ...]:
    """Scores at each threshold.

    Parameters
    ----------
    truth, prediction : numbered objects, integers of the same shape; 0 is no object.
    thresholds : least IoUs of a match, greater than 0 and at most 1.

    Raises
    ------
    InputError
        Shapes differ, arrays are no integers, or a threshold is out of range.

    Examples
    --------
    >>> truth = np.array([1, 1, 1, 0, 2, 2])
    >>> score, = object_scores(truth, np.array([5, 5, 5, 5, 0, 7]))
    >>> score.found, score.f1
    (2, 1.0)
    """
    wrong = [threshold for threshold in thresholds if not 0 < threshold <= 1]
    if wrong:
        raise InputError(f"Thresholds of IoU must be greater than 0 and at most 1. Got {wrong[0]:g}.")
    _, _, table = _overlaps(truth, prediction)
    result = []
    for threshold in thresholds:
        shares = [share for _, _, share in _assign(*_candidates(table, threshold), table.shape)]
        found = len(shares)
        missed, false = table.shape[0] - 1 - found, table.shape[1] - 1 - found
        result.append(
            ObjectScores(
                threshold=float(threshold),
                found=found,
                false=false,
                missed=missed,
                precision=_quotient(found, found + false),
                recall=_quotient(found, found + missed),
                f1=_quotient(2 * found, 2 * found + false + missed),
                average_precision=_quotient(found, found + false + missed),
                mean_iou=float(np.mean(shares)) if shares else float("nan"),
            )
        )
    return tuple(result)


def _overlaps(truth: npt.NDArray[Any], prediction: npt.NDArray[Any]) -> tuple[Any, Any, sparse.csr_array]:
    """The numbers of both sides, 0 first, and how many pixels each pair shares, `(T + 1, P + 1)`."""
    if truth.shape != prediction.shape:
        raise InputError(f"Prediction and truth must have the same shape. Got {prediction.shape} and {truth.shape}.")
    if truth.dtype.kind not in "biu" or prediction.dtype.kind not in "biu":
        raise InputError(f"Objects must be whole numbers. Got {truth.dtype} and {prediction.dtype}.")
    sides = []
    for labels in (truth, prediction):
        numbers, indices = np.unique(labels, return_inverse=True)
        zero = np.flatnonzero(numbers == 0)
        if len(zero):
            order = np.concatenate([zero, np.delete(np.arange(len(numbers)), zero)])
            places = np.empty(len(numbers), np.intp)
            places[order] = np.arange(len(numbers))
            numbers, indices = numbers[order], places[indices]
        else:
            numbers, indices = np.concatenate([[0], numbers]), indices + 1
        sides.append((numbers, indices.ravel()))
    (true_numbers, true), (predicted_numbers, predicted) = sides
    shape = (len(true_numbers), len(predicted_numbers))
    table = sparse.coo_array((np.ones(true.size, np.int64), (true, predicted)), shape=shape).tocsr()
    return true_numbers, predicted_numbers, table


def _candidates(table: sparse.csr_array, threshold: float) -> tuple[Any, Any, Any]:
    """Pairs of objects, as indices, whose IoU reaches the threshold, and their IoU."""
    areas, others = table.sum(axis=1), table.sum(axis=0)
    pairs = table.tocoo()
    rows, columns = pairs.coords
    union = areas[rows] + others[columns] - pairs.data
    shares = pairs.data / union
    good = (rows > 0) & (columns > 0) & (shares >= threshold)
    return rows[good], columns[good], shares[good]


def _assign(rows: Any, columns: Any, shares: Any, shape: tuple[int, int]) -> list[tuple[int, int, float]]:
    """The best one-to-one choice of the candidates, solved for each group of objects that compete."""
    if not len(rows):
        return []
    graph = sparse.coo_array((np.ones(len(rows)), (rows, shape[0] + columns)), shape=(sum(shape), sum(shape)))
    groups = sparse.csgraph.connected_components(graph, directed=False)[1][rows]
    order = np.argsort(groups, kind="stable")
    chosen: list[tuple[int, int, float]] = []
    for members in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        true, true_index = np.unique(rows[members], return_inverse=True)
        predicted, predicted_index = np.unique(columns[members], return_inverse=True)
        values = np.zeros((len(true), len(predicted)))
        # A pair more is worth more than any IoU.
        values[true_index, predicted_index] = 1 + shares[members] / (2 * min(values.shape))
        for row, column in zip(*linear_sum_assignment(-values), strict=True):
            if values[row, column]:
                share = (values[row, column] - 1) * 2 * min(values.shape)
                chosen.append((int(true[row]), int(predicted[column]), float(share)))
    return sorted(chosen)


def _quotient(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
