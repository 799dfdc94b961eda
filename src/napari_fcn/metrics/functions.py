"""Scores as pure functions of a confusion matrix (rows truth, columns prediction).

Per class they are float64 `(K,)`: NaN for a class that is in neither truth nor prediction, and 0 where a quotient has
nothing to divide by because the class is in one of the two only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .confusion import Matrix

__all__ = ["Score", "dice", "iou", "mean", "pixel_accuracy", "precision", "recall"]

Score = npt.NDArray[np.float64]


def iou(confusion: Matrix) -> Score:
    """Intersection over union (Jaccard index) of each class.

    Examples
    --------
    >>> iou(np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]])).tolist()
    [0.75, 0.5, nan]
    """
    hits, truth, predicted = _parts(confusion)
    return _quotient(hits, truth + predicted - hits, truth + predicted)


def dice(confusion: Matrix) -> Score:
    """Dice coefficient (F1 score) of each class."""
    hits, truth, predicted = _parts(confusion)
    return _quotient(2 * hits, truth + predicted, truth + predicted)


def precision(confusion: Matrix) -> Score:
    """The part of each predicted class that is right."""
    hits, truth, predicted = _parts(confusion)
    return _quotient(hits, predicted, truth + predicted)


def recall(confusion: Matrix) -> Score:
    """The part of each true class that was found."""
    hits, truth, predicted = _parts(confusion)
    return _quotient(hits, truth, truth + predicted)


def pixel_accuracy(confusion: Matrix) -> float:
    """The part of all pixels that is right; NaN without pixels."""
    total = int(confusion.sum())
    return int(confusion.trace()) / total if total else float("nan")


def mean(scores: Score) -> float:
    """Mean over the classes that are there; NaN when none is."""
    present = scores[~np.isnan(scores)]
    return float(present.mean()) if present.size else float("nan")


def _parts(confusion: Matrix) -> tuple[Matrix, Matrix, Matrix]:
    return confusion.diagonal(), confusion.sum(axis=1), confusion.sum(axis=0)


def _quotient(part: Matrix, whole: Matrix, present: Matrix) -> Score:
    scores = np.zeros(len(part))
    np.divide(part, whole, out=scores, where=whole > 0)
    scores[present == 0] = np.nan
    return scores
