"""Connected regions of labels of any size, found strip by strip: in memory are a strip and what is known of regions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["ConnectedRegions", "find_regions", "rows_at_once"]

STRIP_BYTES = 150_000_000
"""That a strip may take with all that is computed of it."""
ROWS = 256
"""As many as a row of blocks in the files that are written here."""
WORK = 40
"""Bytes that are computed of a pixel, beside the probabilities."""


@dataclass(frozen=True, eq=False)
class ConnectedRegions:
    """What is known of each region; the first is number 1, in the order in which rows meet them.

    Attributes
    ----------
    classes : `(R,)` the place of its value among those that were asked for.
    pixels : `(R,)` their numbers of pixels.
    probability : `(R,)` mean probability of the region's class; 0 where no probabilities were given.
    """

    classes: npt.NDArray[np.int64]
    pixels: npt.NDArray[np.int64]
    probability: npt.NDArray[np.float64]
    _labels: Any
    _values: tuple[int, ...]
    _rows: int
    _final: npt.NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.classes)

    def strips(self) -> Iterator[tuple[int, npt.NDArray[np.int32]]]:
        """The first row of each strip, and its pixels' regions `(h, W)`; 0 where no region is."""
        known = 0
        for top, _, numbers, count in _strips(self._labels, self._values, self._rows):
            yield top, np.concatenate([[0], self._final[known : known + count]]).astype(np.int32)[numbers]
            known += count


def find_regions(
    labels: Any, values: Sequence[int], probabilities: Any = None, *, rows: int | None = None
) -> ConnectedRegions:
    """Regions of pixels of one value that meet at edges.

    Parameters
    ----------
    labels : `(H, W)`, sliced by rows.
    values : of the regions; pixels of others are in none.
    probabilities : `(K, H, W)`, K in the order of `values`, sliced by rows.
    rows : of a strip; chosen by memory when None. The result is the same for any number.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = rows or rows_at_once(labels.shape[1], 0 if probabilities is None else 4 * len(values))
    parts: dict[str, list[npt.NDArray[Any]]] = {name: [] for name in ("class", "pixels", "sums", "pairs")}
    known, above = 0, None
    for top, classes, numbers, count in _strips(labels, values, rows):
        inside = numbers > 0
        members = numbers[inside] - 1
        parts["pixels"].append(np.bincount(members, minlength=count))
        kinds = np.zeros(count, np.int64)
        kinds[members] = classes[inside] - 1
        parts["class"].append(kinds)
        if probabilities is not None:
            strip = np.asarray(probabilities[:, top : top + len(numbers)])
            own = np.take_along_axis(strip, np.maximum(classes.astype(np.intp) - 1, 0)[None], axis=0)[0]
            parts["sums"].append(np.bincount(members, weights=own[inside], minlength=count))
        if above is not None:  # the same class on both sides of a line between strips is one region
            meet = (above[0] == classes[0]) & (classes[0] > 0)
            parts["pairs"].append(np.stack([above[1][meet], numbers[0][meet].astype(np.int64) - 1 + known]))
        above = classes[-1].copy(), numbers[-1].astype(np.int64) - 1 + known
        known += count
    if not known:
        nothing = np.zeros(0, np.int64)
        return ConnectedRegions(nothing, nothing, np.zeros(0), labels, tuple(values), rows, np.zeros(0, np.int32))
    one, other = np.concatenate([np.zeros((2, 0), np.int64), *parts["pairs"]], axis=1)
    graph = coo_array((np.ones(len(one), bool), (one, other)), shape=(known, known))
    count, group = connected_components(graph, directed=False)
    # By the first part that a region has: the same order whatever the strips are.
    first = np.unique(group, return_index=True)[1]
    rank = np.empty(count, np.int32)
    rank[np.argsort(first)] = np.arange(count)
    final = rank[group]
    pixels = np.bincount(final, np.concatenate(parts["pixels"]), minlength=count).astype(np.int64)
    sums = np.bincount(final, np.concatenate(parts["sums"]), minlength=count) if parts["sums"] else np.zeros(count)
    kinds = np.empty(count, np.int64)
    kinds[final] = np.concatenate(parts["class"])
    return ConnectedRegions(kinds, pixels, sums / pixels, labels, tuple(values), rows, final + np.int32(1))


def rows_at_once(width: int, more: int) -> int:
    """Rows of a strip of `width` pixels, each with `more` bytes of probabilities: a whole row of blocks if it fits."""
    rows = ROWS
    while rows > 1 and rows * width * (WORK + more) > STRIP_BYTES:
        rows //= 2
    return rows


def _strips(
    labels: Any, values: Sequence[int], rows: int
) -> Iterator[tuple[int, npt.NDArray[np.uint16], npt.NDArray[np.int32], int]]:
    """First row, classes (1 for the first of `values`, 0 for none), regions within the strip, their number."""
    from skimage.measure import label

    known = np.asarray(values)
    order = np.argsort(known)
    for top in range(0, labels.shape[0], rows):
        strip = np.asarray(labels[top : top + rows])
        place = np.minimum(np.searchsorted(known, strip, sorter=order), len(known) - 1).astype(np.uint16)
        found = order.astype(np.uint16)[place]
        classes = np.where(known[found] == strip, found + np.uint16(1), np.uint16(0))
        numbers, count = label(classes, background=0, connectivity=1, return_num=True)
        yield top, classes, numbers.astype(np.int32, copy=False), int(count)
