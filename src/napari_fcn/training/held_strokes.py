"""Holding strokes back: whole strokes of every class, to compare on what has learnt from the others.

Neighbouring pixels of a stroke are nearly the same; a comparison on some of them, after learning from the others, would
praise what knows them by heart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

__all__ = ["HeldBack", "Stroke", "hold_back", "strokes_of"]

GAP = 8
"""Pixels between the parts of a stroke that is divided, along its length; they belong to neither."""
END = 1 / 3
"""Part of a divided stroke, by its length, that is held back."""
ENOUGH = 3
"""Strokes that a class needs for a whole one to be held back: of two, one would be half of what is known."""
SEVERAL = 5
"""Strokes of a class from which on two of them are held back at least: of one alone nothing tells what is chance."""
FEWEST = 6
"""Pixels that a part of a divided stroke needs."""

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

    def part(self, chosen: npt.NDArray[np.bool_]) -> Stroke:
        """Those of its pixels that are chosen, `(M,)`."""
        return Stroke(self.plane, self.index, self.rows[chosen], self.columns[chosen])


@dataclass(frozen=True)
class HeldBack:
    """Strokes divided into those that are learnt from and those that are not.

    Attributes
    ----------
    learnt, held : a target `(H, W)` for each plane, -1 outside its share.
    strokes : those that are held back.
    missing : indices of the classes of which nothing can be held back.
    divided : indices of the classes with so few strokes that an end of one is held back.
    """

    learnt: list[npt.NDArray[np.int16]]
    held: list[npt.NDArray[np.int16]]
    strokes: tuple[Stroke, ...]
    missing: tuple[int, ...]
    divided: tuple[int, ...]


def strokes_of(targets: Targets, classes: int) -> list[Stroke]:
    """All strokes: of each class and plane the pixels that touch each other, also by a corner."""
    found = []
    for plane, target in enumerate(targets):
        for index in range(classes):
            numbered, count = ndimage.label(target == index, np.ones((3, 3)))
            for number, window in enumerate(ndimage.find_objects(numbered, count), 1):
                rows, columns = np.nonzero(numbered[window] == number)
                found.append(Stroke(plane, index, rows + window[0].start, columns + window[1].start))
    return found


def hold_back(targets: Targets, classes: int, fraction: float, random: np.random.Generator) -> HeldBack:
    """Hold whole strokes back, of every class about `fraction` of its pixels, at most half.

    One stroke at least is held back, and two where there are five or more.

    Of a class with one stroke or two the end of the larger one is held back, a third of its length, and a gap before it
    is left out. Where that leaves too little on either side, nothing of the class is held back.

    Parameters
    ----------
    targets : class indices `(H, W)` for each plane, -1 where nobody has judged.
    classes : how many there are.
    fraction : of each class's pixels.
    random : which strokes.

    Examples
    --------
    >>> target = np.full((8, 40), -1, np.int16)
    >>> target[1, :10] = target[1, 14:24] = target[1, 28:38] = 0
    >>> target[5, :36] = 1
    >>> back = hold_back([target], 2, 0.2, np.random.default_rng(0))
    >>> [(stroke.index, len(stroke)) for stroke in back.strokes], back.divided
    ([(0, 10), (1, 12)], (1,))
    """
    own: list[list[Stroke]] = [[] for _ in range(classes)]
    for stroke in strokes_of(targets, classes):
        own[stroke.index].append(stroke)
    learnt = [target.copy() for target in targets]
    held = [np.full_like(target, -1) for target in targets]
    chosen: list[Stroke] = []
    missing, divided = [], []
    for index, strokes in enumerate(own):
        if not strokes:
            continue
        taken = _choose(strokes, fraction, random)
        if not taken:
            largest = max(strokes, key=len)
            gap, end = _divide(largest, turned=bool(random.integers(2)))
            if min(len(end), len(largest) - len(gap) - len(end)) < FEWEST:
                missing.append(index)
                continue
            divided.append(index)
            learnt[gap.plane][gap.rows, gap.columns] = -1
            taken = [end]
        chosen += taken
    for stroke in chosen:
        learnt[stroke.plane][stroke.rows, stroke.columns] = -1
        held[stroke.plane][stroke.rows, stroke.columns] = stroke.index
    return HeldBack(learnt, held, tuple(chosen), tuple(missing), tuple(divided))


def _choose(strokes: Sequence[Stroke], fraction: float, random: np.random.Generator) -> list[Stroke]:
    """Whole strokes of one class; none where there are few, or where each is more than half of all pixels."""
    if len(strokes) < ENOUGH:
        return []
    total, taken = sum(map(len, strokes)), 0
    chosen: list[Stroke] = []
    for number in random.permutation(len(strokes)):
        stroke = strokes[number]
        if taken >= fraction * total and len(chosen) >= (2 if len(strokes) >= SEVERAL else 1):
            break
        if 2 * (taken + len(stroke)) <= total:
            chosen.append(stroke)
            taken += len(stroke)
    return chosen


def _divide(stroke: Stroke, *, turned: bool) -> tuple[Stroke, Stroke]:
    """Gap and end of a stroke, along the direction in which it is longest."""
    places = np.stack([stroke.rows, stroke.columns], 1).astype(float)
    places -= places.mean(0)
    direction = np.linalg.eigh(places.T @ places)[1][:, -1]
    along = places @ direction * (-1 if turned else 1)
    start = np.quantile(along, 1 - END, method="lower")
    return stroke.part((along > start - GAP) & (along <= start)), stroke.part(along > start)
