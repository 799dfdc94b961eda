"""A deterministic hand that paints strokes, and the images that it paints on and that others are scored on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import napari_fcn as fcn  # before torch: it sets what torch's libraries read when they are loaded
from napari_fcn.io import read_image, read_labels

FRACTION, BRUSH, LENGTH = 0.0075, 5, 60
TESTED, SIDE = 6, 768
"""Test images that are scored, and their largest side: pixel classifiers take seconds for each."""

Array = np.ndarray[Any, Any]
Answer = Callable[[Array], Array]


class Strokes:
    """A hand that paints labels `(H, W)`, 0 where it does not, class + 1 where it does."""

    def __init__(self, truth: Array, seed: int) -> None:
        self.truth = truth
        self.random = np.random.default_rng(seed)
        self.painted = np.zeros(truth.shape, np.uint8)
        rows, columns = np.mgrid[-(BRUSH // 2) : BRUSH // 2 + 1, -(BRUSH // 2) : BRUSH // 2 + 1]
        disc = rows**2 + columns**2 <= (BRUSH / 2) ** 2
        self._disc = rows[disc], columns[disc]

    def all_classes(self) -> Array:
        """The same allowance for every class that is there."""
        from scipy import ndimage

        classes = np.unique(self.truth)
        allowance = FRACTION * self.truth.size / len(classes)
        for value in classes:
            inside = self.truth == value
            depth = np.minimum(ndimage.distance_transform_edt(inside), BRUSH / 2 + 0.5)
            done = 0.0
            for _ in range(400):
                free = np.where(inside & (self.painted == 0), depth, 0)
                if done >= min(allowance, inside.sum()) or free.max() <= 0:
                    break
                starts = np.flatnonzero(free >= min(free.max(), BRUSH / 2))
                start = np.unravel_index(self.random.choice(starts), self.truth.shape)
                done += self.stroke((int(start[0]), int(start[1])), allowance - done)
        return self.painted

    def stroke(self, start: tuple[int, int], allowance: float = np.inf) -> int:
        """Paint the class at `start` along a winding line that stays inside it; returns the number of new pixels."""
        inside = self.truth == self.truth[start]
        place, angle = np.array(start, float), self.random.uniform(0, 2 * np.pi)
        before = np.count_nonzero(self.painted)
        for _ in range(LENGTH):
            rows, columns = (np.rint(part).astype(int) + own for part, own in zip(place, self._disc, strict=True))
            there = (rows >= 0) & (columns >= 0) & (rows < inside.shape[0]) & (columns < inside.shape[1])
            rows, columns = rows[there], columns[there]
            own = inside[rows, columns]
            self.painted[rows[own], columns[own]] = self.truth[start] + 1
            if np.count_nonzero(self.painted) - before >= allowance:
                break
            for turn in range(8):
                turned = angle + self.random.normal(0, 0.3 + 0.2 * turn)
                ahead = place + np.array([np.sin(turned), np.cos(turned)])
                row, column = np.rint(ahead).astype(int)
                if 0 <= row < inside.shape[0] and 0 <= column < inside.shape[1] and inside[row, column]:
                    place, angle = ahead, turned
                    break
            else:
                break
        return int(np.count_nonzero(self.painted) - before)


class Data:
    """Images to paint on, in a fixed order, and images to be scored on, all with the same number of channels.

    Attributes
    ----------
    train, test, others : pairs of an image `(Y, X, C)` and its classes `(Y, X)`: to paint on, to be scored on, and
        those that are neither, on which something can be chosen.
    normalization : the setting that the command line and the widgets take for such files.
    """

    def __init__(self, folder: Path) -> None:
        splits = json.loads((folder / "split.json").read_text())
        first = read_image(next((folder / "images").glob(f"{splits['train'][0]}.*")))
        self.normalization = "auto-dataset" if first.placed else "auto"
        train = [self._read(folder, stem) for stem in splits["train"]]
        self.channels = min(image.shape[2] for image, _ in train)
        fitting = [pair for pair in train if pair[0].shape[2] == self.channels]
        # Somebody who paints chooses images that show every class.
        ordered = sorted(fitting, key=lambda pair: -len(np.unique(pair[1])))
        self.train, self.others = ordered[:4], ordered[4:]
        test = [self._read(folder, stem) for stem in splits.get("test") or splits["val"]]
        self.test = [(i[:SIDE, :SIDE], t[:SIDE, :SIDE]) for i, t in test if i.shape[2] == self.channels][:TESTED]

    @staticmethod
    def _read(folder: Path, stem: str) -> tuple[Array, Array]:
        image = np.asarray(read_image(next((folder / "images").glob(f"{stem}.*"))).array)
        truth = read_labels(next((folder / "masks").glob(f"{stem}.*")))
        return (image if image.ndim == 3 else image[..., None])[..., :3], truth.astype(np.int64)

    def painted(self, count: int, seed: int) -> tuple[list[Array], list[Array], list[Array]]:
        """Images, strokes on them, and the truth."""
        chosen = [self.train[(seed + number) % len(self.train)] for number in range(count)]
        strokes = [Strokes(truth, 10 * seed + number).all_classes() for number, (_, truth) in enumerate(chosen)]
        return [image for image, _ in chosen], strokes, [truth + 1 for _, truth in chosen]

    def score(self, answer: Answer) -> float:
        """Mean IoU of what `answer` makes of the test images, in labels of the strokes."""
        found = [np.asarray(answer(image)) for image, _ in self.test]
        return float(fcn.evaluate(found, [truth + 1 for _, truth in self.test], zero="unlabelled").mean_iou)
