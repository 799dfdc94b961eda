"""Scoring on pixels that training never sees."""

from __future__ import annotations

import math
import time
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

__all__ = ["Validation", "of_true_classes"]

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
        kept = windows[:: max(1, -(-len(windows) * WINDOW**2 // MOST_PIXELS))]
        self.windows = [(window.read(examples), window.truth) for window in kept]
        self.empty = not self.windows

    def limit(self, network: nn.Module, engine: Engine, seconds: float) -> str | None:
        """Leave windows out, evenly, so that scoring takes about `seconds`.

        One window at least stays of every class that was held out. Returns a sentence when some were left out.
        """
        if self.empty:
            return None
        values, truth = self.windows[0]
        with evaluating(network):
            for _ in range(2):  # the first forward passes are slower: they are not the measure
                begin = time.perf_counter()
                list(classify(network, values[None], engine))
        pixels = seconds / (time.perf_counter() - begin) * truth.size
        everything = sum(truth.size for _, truth in self.windows)
        if everything <= pixels:
            return None
        count = max(1, int(len(self.windows) * pixels / everything))
        chosen = set(np.linspace(0, len(self.windows) - 1, count, dtype=int).tolist())
        for index in range(len(self.classes)):
            holding = [number for number, (_, truth) in enumerate(self.windows) if (truth == index).any()]
            if holding and not chosen & set(holding):
                chosen.add(holding[len(holding) // 2])
        sentence = (
            f"Progress is measured on {len(chosen)} of {len(self.windows)} held-out windows, to leave time to learn."
        )
        self.windows = [self.windows[number] for number in sorted(chosen)]
        return sentence

    def score(self, network: nn.Module, engine: Engine) -> Scores:
        """Scores of the network on the held-out pixels, pooled.

        A class of which nothing was held out has no score of its own (NaN) and is not in the means; pixels that are
        taken for it still count against their true class.
        """
        classes = len(self.classes)
        total = np.zeros((classes, classes), np.int64)
        with evaluating(network):
            for windows, truths in self._batches():
                for prediction, truth in zip(classify(network, windows, engine), truths, strict=True):
                    total += confusion_matrix(truth, prediction, values=range(classes))
        return of_true_classes(Scores.from_confusion(total, self.classes.values, self.classes.names))

    def majority(self, index: int) -> Scores:
        """Scores of calling every held-out pixel the class of this index: what a network must beat."""
        classes = len(self.classes)
        total = np.zeros((classes, classes), np.int64)
        for _, truth in self.windows:
            total[:, index] += np.bincount(truth[truth >= 0], minlength=classes)
        return of_true_classes(Scores.from_confusion(total, self.classes.values, self.classes.names))

    def _batches(self) -> Iterator[tuple[npt.NDArray[np.float32], list[npt.NDArray[np.int16]]]]:
        """Windows of one size together."""
        for shape in dict.fromkeys(truth.shape for _, truth in self.windows):
            group = [(values, truth) for values, truth in self.windows if truth.shape == shape]
            yield np.stack([values for values, _ in group]), [truth for _, truth in group]


def of_true_classes(scores: Scores) -> Scores:
    """The scores, where classes that were not held out have none of their own and are not in the means."""
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
