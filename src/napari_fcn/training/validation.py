"""Scoring on pixels that training never sees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..data.examples import Examples
from ..inference.engine import Engine, evaluating
from ..inference.predict import classify
from ..metrics import Scores, confusion_matrix, mean

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Validation"]

WINDOW = 256
"""Side of the windows that are scored: about a held-out block with its surroundings."""
MARGIN = 32
"""Held-out pixels nearer than this to a window's edge are seen in the next one, unless the image ends there."""
MOST_PIXELS = 3_000_000
"""Windows beyond this many pixels are left out, evenly, so that scoring takes a second or so."""


@dataclass(frozen=True)
class _Window:
    """A window of a plane, with the classes `(h, w)` that count in it and -1 elsewhere."""

    plane: int
    top: int
    left: int
    truth: npt.NDArray[np.int16]

    def read(self, examples: Examples) -> npt.NDArray[np.float32]:
        """Standardised values `(C, h, w)`."""
        height, width = self.truth.shape
        plane = examples.planes[self.plane]
        values = plane.values[:, self.top : self.top + height, self.left : self.left + width]
        return examples.normalization.apply(values, plane.statistics)[0]


class Validation:
    """Windows around the held-out pixels, ready for the network.

    Parameters
    ----------
    examples : planes, classes and normalisation.
    targets : for each plane the held-out classes `(H, W)`, -1 elsewhere.

    Attributes
    ----------
    empty : whether nothing was held out.
    """

    def __init__(self, examples: Examples, targets: Sequence[npt.NDArray[np.int16]]) -> None:
        self.classes = examples.classes
        windows = [window for plane, target in enumerate(targets) for window in _windows(plane, target)]
        groups: dict[tuple[int, ...], list[_Window]] = {}
        for window in windows[:: max(1, -(-len(windows) * WINDOW**2 // MOST_PIXELS))]:
            groups.setdefault(window.truth.shape, []).append(window)
        self.groups = [
            (np.stack([window.read(examples) for window in group]), [window.truth for window in group])
            for group in groups.values()
        ]
        self.empty = not self.groups

    def score(self, network: nn.Module, engine: Engine) -> Scores:
        """Scores of the network on all held-out pixels, pooled.

        A class of which nothing was held out has no score of its own (NaN) and is not in the means; pixels that are
        taken for it still count against their true class.
        """
        classes = len(self.classes)
        total = np.zeros((classes, classes), np.int64)
        with evaluating(network):
            for windows, truths in self.groups:
                for prediction, truth in zip(classify(network, windows, engine), truths, strict=True):
                    total += confusion_matrix(truth, prediction, values=range(classes))
        return _of_true_classes(Scores.from_confusion(total, self.classes.values, self.classes.names))


def _of_true_classes(scores: Scores) -> Scores:
    rows = [row if row.pixels else replace(row, iou=math.nan, dice=math.nan) for row in scores.classes]
    return replace(
        scores,
        mean_iou=mean(np.array([row.iou for row in rows])),
        mean_dice=mean(np.array([row.dice for row in rows])),
        classes=tuple(rows),
    )


def _windows(plane: int, target: npt.NDArray[np.int16]) -> Iterator[_Window]:
    """Windows that together show every held-out pixel once, each with some surroundings."""
    left_over = target.copy()
    height, width = (min(WINDOW, size) for size in target.shape)
    rows, columns = np.nonzero(left_over >= 0)
    while rows.size:
        top, own_rows = _place(int(rows[0]), height, target.shape[0])
        left, own_columns = _place(int(columns[rows < own_rows.stop].min()), width, target.shape[1])
        own = own_rows, own_columns
        truth = np.full_like(target, -1)
        truth[own] = left_over[own]
        left_over[own] = -1
        yield _Window(plane, top, left, truth[top : top + height, left : left + width])
        remaining = left_over[rows, columns] >= 0
        rows, columns = rows[remaining], columns[remaining]


def _place(first: int, side: int, size: int) -> tuple[int, slice]:
    """Where a window starts that has `first` inside its margin, and what lies inside: up to the image's own edges."""
    start = int(np.clip(first - MARGIN, 0, size - side))
    stop = start + side
    return start, slice(start + (MARGIN if start else 0), stop - (MARGIN if stop < size else 0))
