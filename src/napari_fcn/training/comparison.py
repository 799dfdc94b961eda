"""Which of two answers is better on strokes that neither has learnt from, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .held_strokes import Stroke
from .stroke_head import Opinion

__all__ = ["Comparison", "compare", "enough", "right_on"]

MARGIN = 0.01
"""By how much more of the held-back strokes, classes alike, must be right at least for another answer to be taken."""
CERTAINTY = 0.95
"""Probability with which chance alone makes less of a difference than what is asked for."""


@dataclass(frozen=True)
class Comparison:
    """How much of the held-back strokes two answers get right, in the mean over classes.

    Attributes
    ----------
    before, after : of the answer that is there, and of the one that may replace it, from 0 to 1.
    needed : the difference from which on it is more than chance; 1, which there cannot be, where strokes are too few.
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


def enough(strokes: Sequence[Stroke]) -> bool:
    """Whether there are more strokes than classes: else nothing tells how much a difference varies."""
    return len(strokes) > len({stroke.index for stroke in strokes})


def right_on(strokes: Sequence[Stroke], opinion: Opinion) -> npt.NDArray[np.float64]:
    """Part of each stroke that is put into its class, `(strokes,)`.

    Parameters
    ----------
    strokes : what is judged.
    opinion : class probabilities of the planes that they are in.
    """
    found = [opinion.pixels(stroke.plane, stroke.rows, stroke.columns).argmax(0) == stroke.index for stroke in strokes]
    return np.array([right.mean() for right in found], np.float64)


def compare(strokes: Sequence[Stroke], before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> Comparison:
    """Compare two answers, stroke by stroke, every class as heavy as the others.

    What is needed is a one-sided limit by Student's distribution for the mean over classes of paired differences, whose
    variance within classes is taken to be the same in all (Cochran 1977, Sampling techniques, section 5.4).

    Parameters
    ----------
    strokes : which, one at least.
    before, after : what `right_on` says of either answer.

    Examples
    --------
    >>> one, two = (Stroke(0, index, np.array([0]), np.array([0])) for index in (0, 1))
    >>> found = compare([one, one, two], np.array([0.5, 0.7, 0.8]), np.array([0.7, 0.9, 1.0]))
    >>> round(found.before, 3), round(found.after, 3), round(found.needed, 3), found.better
    (0.7, 0.9, 0.01, True)
    """
    from scipy import stats

    found, indices = np.unique([stroke.index for stroke in strokes], return_inverse=True)
    counts = np.bincount(indices)

    def mean(values: npt.NDArray[np.float64]) -> float:
        return float((np.bincount(indices, values) / counts).mean())

    difference = after - before
    free = len(strokes) - len(found)
    needed = 1.0
    if free:
        within = difference - (np.bincount(indices, difference) / counts)[indices]
        error = float(np.sqrt(within @ within / free * (1 / counts).sum())) / len(found)
        needed = min(1.0, max(MARGIN, float(stats.t.ppf(CERTAINTY, free)) * error))
    return Comparison(mean(before), mean(after), needed, len(strokes))
