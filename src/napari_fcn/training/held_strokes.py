"""Holding strokes back: whole strokes of every class, to compare on what has learnt from the others.

Neighbouring pixels of a stroke are nearly the same; a comparison on some of them, after learning from the others, would
praise what knows them by heart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["FEWEST", "HeldBack", "Stroke", "hold_back", "strokes_of"]

FEWEST = 5
"""Strokes that a class needs for any of it to be held back."""
LEAST = 2
"""Strokes of each class that are held back at least: of one alone nothing tells how much is chance."""
LARGE, BLOCK = 8192, 96
"""From so many pixels on it is no stroke but an area, which is cut into blocks of this side."""

Targets = Sequence[npt.NDArray[np.int16]]


@dataclass(frozen=True)
class Stroke:
    """Painted pixels of one class that hang together.

    Attributes
    ----------
    plane, index : where it is, and its class.
    rows, columns : of its pixels, `(M,)` each.
    """

    plane: int
    index: int
    rows: npt.NDArray[np.intp]
    columns: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.rows)

    def pieces(self) -> Iterator[Stroke]:
        """Itself; of an area its part in each block."""
        if len(self) < LARGE:
            yield self
            return
        blocks = np.stack([self.rows // BLOCK, self.columns // BLOCK], 1)
        _, numbers = np.unique(blocks, axis=0, return_inverse=True)
        for number in range(numbers.max() + 1):
            own = numbers.ravel() == number
            yield Stroke(self.plane, self.index, self.rows[own], self.columns[own])


@dataclass(frozen=True)
class HeldBack:
    """Strokes divided into those that are learnt from and those that are not.

    Attributes
    ----------
    learnt, held : a target `(H, W)` for each plane, -1 outside its share.
    strokes : those that are held back.
    """

    learnt: list[npt.NDArray[np.int16]]
    held: list[npt.NDArray[np.int16]]
    strokes: tuple[Stroke, ...]


def strokes_of(targets: Targets, classes: int) -> list[Stroke]:
    """All strokes: of each class and plane the pixels that touch each other, also by a corner; areas in blocks."""
    found: list[Stroke] = []
    for plane, target in enumerate(targets):
        for index in range(classes):
            numbered, count = ndimage.label(target == index, np.ones((3, 3)))
            for number, window in enumerate(ndimage.find_objects(numbered, count), 1):
                rows, columns = np.nonzero(numbered[window] == number)
                found += Stroke(plane, index, rows + window[0].start, columns + window[1].start).pieces()
    return found


def hold_back(targets: Targets, classes: int, fraction: float, random: np.random.Generator) -> HeldBack:
    """Hold whole strokes back, of every class about `fraction` of its pixels: two strokes at least, at most half.

    Of a class with fewer than five strokes nothing is held back.

    Parameters
    ----------
    targets : class indices `(H, W)` for each plane, -1 where nobody has judged.
    classes : how many there are.
    fraction : of each class's pixels.
    random : which strokes.

    Examples
    --------
    >>> target = np.full((20, 10), -1, np.int16)
    >>> target[::2] = 0
    >>> [len(stroke) for stroke in hold_back([target], 1, 0.15, np.random.default_rng(0)).strokes]
    [10, 10]
    """
    own: list[list[Stroke]] = [[] for _ in range(classes)]
    for stroke in strokes_of(targets, classes):
        own[stroke.index].append(stroke)
    learnt = [target.copy() for target in targets]
    held = [np.full_like(target, -1) for target in targets]
    chosen = [stroke for strokes in own for stroke in _choose(strokes, fraction, random)]
    for stroke in chosen:
        learnt[stroke.plane][stroke.rows, stroke.columns] = -1
        held[stroke.plane][stroke.rows, stroke.columns] = stroke.index
    return HeldBack(learnt, held, tuple(chosen))


def _choose(strokes: Sequence[Stroke], fraction: float, random: np.random.Generator) -> list[Stroke]:
    """Strokes of one class to be held back; none where there are few."""
    if len(strokes) < FEWEST:
        return []
    total, taken = sum(map(len, strokes)), 0
    chosen: list[Stroke] = []
    for number in random.permutation(len(strokes)):
        stroke = strokes[number]
        if taken >= fraction * total and len(chosen) >= LEAST:
            break
        if 2 * (taken + len(stroke)) <= total:
            chosen.append(stroke)
            taken += len(stroke)
    return chosen
