"""Which of two answers is better on strokes that neither has learnt from, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .held_strokes import Stroke
from .stroke_head import Opinion

__all__ = ["Comparison", "compare", "right_on"]

MARGIN = 0.01
"""By how much more of the held-back strokes, classes alike, must be right for another answer to be taken."""


@dataclass(frozen=True)
class Comparison:
    """How much of the held-back strokes two answers get right, in the mean over classes.

    Attributes
    ----------
    before, after : of the answer that is there, and of the one that may replace it, from 0 to 1.
    error : standard error of their difference, over strokes.
    strokes : how many were compared.
    """

    before: float
    after: float
    error: float
    strokes: int

    @property
    def better(self) -> bool:
        """Whether the second is better by more than chance: than a margin, and than the standard error."""
        return self.after - self.before > max(MARGIN, self.error)


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

    The error is that of a weighted mean of paired differences, strokes taken as independent (Cochran 1977, Sampling
    techniques, section 2.11, for weights that are the same).

    Parameters
    ----------
    strokes : which, one at least.
    before, after : what `right_on` says of either answer.

    Examples
    --------
    >>> one, two = (Stroke(0, index, np.array([0]), np.array([0])) for index in (0, 1))
    >>> found = compare([one, one, two], np.array([0.5, 0.7, 0.8]), np.array([0.7, 0.9, 1.0]))
    >>> round(found.before, 3), round(found.after, 3), round(found.error, 3), found.better
    (0.7, 0.9, 0.0, True)
    """
    indices = np.array([stroke.index for stroke in strokes])
    counts = np.bincount(indices)
    weights = 1 / (counts[indices] * np.count_nonzero(counts))
    difference = after - before
    mean = float(weights @ difference)
    count = len(strokes)
    spread = float((weights**2 @ (difference - mean) ** 2) * count / max(1, count - 1)) ** 0.5
    return Comparison(float(weights @ before), float(weights @ after), spread, count)
