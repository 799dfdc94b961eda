"""Which of two answers is better on strokes that neither has learnt from, and whether that is more than chance.

Strokes give each class as much paint as the others, and images do not. What counts is the mean IoU on images, so it is
estimated from what becomes of the strokes of each class, and from how much of the images each class covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .held_strokes import LEAST, Stroke
from .stroke_head import Opinion

__all__ = ["Comparison", "answers_on", "compare", "estimated_iou", "too_few"]

MARGIN = 0.01
"""By how much the estimated mean IoU must be higher at least for another answer to be taken."""
CERTAINTY = 0.95
"""Probability with which chance alone makes less of a difference than what is asked for."""
RAREST = 1e-3
"""Part of the images that every class is taken to cover at least."""


@dataclass(frozen=True)
class Comparison:
    """Estimated mean IoU of two answers.

    Attributes
    ----------
    before, after : of the answer that is there, and of the one that may replace it.
    needed : the difference from which on it is more than chance.
    strokes : how many were compared.
    """

    before: float
    after: float
    needed: float
    strokes: int

    @property
    def better(self) -> bool:
        """Whether the second is better by more than chance."""
        return self.after - self.before > self.needed


def too_few(strokes: Sequence[Stroke], classes: int) -> list[int]:
    """Indices of the classes that have too few strokes to tell how much is chance."""
    counts = np.bincount([stroke.index for stroke in strokes], minlength=classes)
    return np.flatnonzero(counts < LEAST).tolist()


def answers_on(strokes: Sequence[Stroke], opinion: Opinion, classes: int) -> npt.NDArray[np.float64]:
    """Parts of each stroke that are put into each class, `(strokes, K)`."""
    found = [opinion.pixels(stroke.plane, stroke.rows, stroke.columns).argmax(0) for stroke in strokes]
    return np.array([np.bincount(one, minlength=classes) / len(one) for one in found])


def estimated_iou(
    indices: npt.NDArray[np.int_], answers: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]
) -> float:
    """Mean IoU on images, from strokes.

    Parameters
    ----------
    indices, answers : true classes `(strokes,)`, and `(strokes, K)` from `answers_on`.
    shares : parts of the images that the classes cover, `(K,)`, sum 1.

    Examples
    --------
    A tenth of a common class is taken for a rare one, of which all is found; by hand 0.81 / 0.9 and 0.1 / 0.19.

    >>> parts = np.array([[0.9, 0.1], [0.0, 1.0]])
    >>> found = estimated_iou(np.array([0, 1]), parts, np.array([0.9, 0.1]))
    >>> round(found, 4) == round((0.81 / 0.9 + 0.1 / 0.19) / 2, 4)
    True
    """
    classes = len(shares)
    rows = np.array([answers[indices == index].mean(0) for index in range(classes)])
    confusion = rows * shares[:, None]
    right = np.diag(confusion)
    return float((right / (confusion.sum(0) + confusion.sum(1) - right)).mean())


def compare(
    strokes: Sequence[Stroke],
    before: npt.NDArray[np.float64],
    after: npt.NDArray[np.float64],
    shares: npt.NDArray[np.float64],
) -> Comparison:
    """Compare two answers by their estimated mean IoU.

    What is needed is a one-sided limit by Student's distribution, with the jackknife's variance over strokes within
    classes (Jones 1974, Jackknife estimation of functions of stratum means, Biometrika 61:343).

    Parameters
    ----------
    strokes : which, two of each class at least.
    before, after : what `answers_on` says of either answer.
    shares : parts of the images that the classes are thought to cover, `(K,)`.
    """
    from scipy import stats

    shares = np.maximum(shares, RAREST)
    shares = shares / shares.sum()
    indices = np.array([stroke.index for stroke in strokes])

    def gain(kept: npt.NDArray[np.bool_]) -> float:
        one, other = (estimated_iou(indices[kept], answers[kept], shares) for answers in (before, after))
        return other - one

    variance = 0.0
    for index in range(len(shares)):
        own = np.flatnonzero(indices == index)
        without = np.array([gain(np.arange(len(indices)) != number) for number in own])
        variance += (len(own) - 1) / len(own) * float(((without - without.mean()) ** 2).sum())
    limit = float(stats.t.ppf(CERTAINTY, len(indices) - len(shares)))
    one, other = (estimated_iou(indices, answers, shares) for answers in (before, after))
    return Comparison(one, other, max(MARGIN, limit * variance**0.5), len(strokes))
