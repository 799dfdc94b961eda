"""Patches: random windows to learn from, drawn so that rare classes are seen.

Every patch is a function of the seed and a key, so training can go on at any step, threads can draw ahead, and several
processes can share a batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .augmentation import Augmentation, draw_bend, draw_transform
from .examples import Examples, LabelledPlane
from .intensity import vary_intensity

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PatchSampler"]

RARE_SHARE = 1 / 3
"""Share of the patches that are centred on a class drawn evenly from all classes, as nnU-Net does."""
REMEMBERED = 200_000
"""Labelled positions that are remembered for each class."""


class PatchSampler:
    """Endless patches and their class indices, each a pure function of the seed and a key of whole numbers.

    Nothing is changed by drawing, so any number of threads may draw at once, in any order.

    Parameters
    ----------
    examples : planes, classes and normalisation.
    targets : what may be learnt from, a `(H, W)` int16 array for each plane, -1 elsewhere.
    patch_size, batch_size : side of a patch in pixels, and patches a batch; the latter may be changed at any time.
    augmentation : how patches are varied.
    seed : start of the random numbers.

    Attributes
    ----------
    counts : labelled pixels of each class, `(K,)` int64.
    """

    def __init__(
        self,
        examples: Examples,
        targets: Sequence[npt.NDArray[np.int16]],
        *,
        patch_size: int,
        batch_size: int,
        augmentation: Augmentation,
        seed: int,
    ) -> None:
        self.examples = examples
        self.targets = targets
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.counts = np.zeros(len(examples.classes), dtype=np.int64)
        self._places: list[npt.NDArray[np.int32]] = []
        random = np.random.default_rng(seed)
        for index in range(len(examples.classes)):
            places = self._find(index)
            self.counts[index] = len(places)
            if len(places) > REMEMBERED:
                places = places[random.choice(len(places), REMEMBERED, replace=False)]
            self._places.append(places)
        self._present = np.flatnonzero(self.counts)
        self._shares = self.counts / self.counts.sum()

    def _find(self, index: int) -> npt.NDArray[np.int32]:
        """Where a class is: `(M, 3)` of plane, row, column."""
        found = []
        for plane, target in enumerate(self.targets):
            rows, columns = np.nonzero(target == index)
            found.append(np.stack([np.full_like(rows, plane), rows, columns], axis=1).astype(np.int32))
        return np.concatenate(found)

    def draw(self, step: int, count: int | None = None, first: int = 0) -> tuple[Tensor, Tensor]:
        """Patches of one step's batch: those of the keys (step, first), (step, first + 1) and so on.

        A part of a batch is the same as that part of the whole batch.

        Parameters
        ----------
        step : number of the batch, from 0.
        count : how many patches, `batch_size` when not given.
        first : number of the first patch in the batch.

        Returns
        -------
        values : `(N, C, p, p)` float32.
        classes : `(N, p, p)` int64 class indices, -1 where unlabelled.
        """
        numbers = range(first, first + (self.batch_size if count is None else count))
        return _stacked(self.patch((step, number)) for number in numbers)

    def patch(self, key: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The patch of a key, any row of whole numbers from 0: values `(C, p, p)` float32, classes `(p, p)` int64."""
        random = self._random(key)
        plane, centre, matrix = self._place(random)
        return self._make(plane, centre, matrix, self.augmentation, random)

    def plain(self, key: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """The place of `patch(key)` without variation, for people to look at; shapes as there.

        The centre is the same, but for patches that would then reach beyond the image.
        """
        random = self._random(key)
        plane, centre, _ = self._place(random)
        return self._make(plane, centre, np.eye(2), Augmentation(), random)

    def variations(self, key: tuple[int, ...], count: int) -> tuple[Tensor, Tensor]:
        """The place of `patch(key)`, varied anew `count` times: values `(N, C, p, p)` float32, classes `(N, p, p)`."""
        plane, centre, _ = self._place(self._random(key))

        def vary(number: int) -> tuple[Tensor, Tensor]:
            random = self._random((*key, number))
            matrix = draw_transform(self.augmentation, random)
            return self._make(plane, centre, matrix, self.augmentation, random)

        return _stacked(vary(number) for number in range(count))

    def _random(self, key: tuple[int, ...]) -> np.random.Generator:
        """The random numbers of a key.

        The seed and the key's numbers in one list would make (5,) and (5, 0) the same; a spawn key tells them apart.
        """
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _place(self, random: np.random.Generator) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Number of a plane, a patch's centre (y, x) in it, and the map from the patch to the plane around it.

        A labelled pixel is chosen first, and then where in the patch it is to be.
        """
        if random.random() < RARE_SHARE:
            index = random.choice(self._present)
        else:
            index = random.choice(len(self._shares), p=self._shares)
        places = self._places[index]
        plane, row, column = (int(number) for number in places[random.integers(len(places))])
        matrix = draw_transform(self.augmentation, random)
        shift = random.uniform(-0.5, 0.5, size=2) * self.patch_size
        return plane, self._fit(plane, np.array([row, column]) + 0.5 + matrix @ shift, matrix), matrix

    def _fit(
        self, plane: int, centre: npt.NDArray[np.float64], matrix: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """The nearest centre from which a patch does not reach beyond the image; the image's own where there is none.

        An elastic deformation is left out here: it may bend some pixels out of the image, which are unlabelled then.
        """
        reach = np.abs(matrix).sum(axis=1) * self.patch_size / 2
        size = np.array(self.targets[plane].shape)
        return np.where(reach < size - reach, np.clip(centre, reach, np.maximum(reach, size - reach)), size / 2)

    def _make(
        self,
        plane: int,
        centre: npt.NDArray[np.float64],
        matrix: npt.NDArray[np.float64],
        augmentation: Augmentation,
        random: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """A patch about a centre, with deformation and intensities drawn."""
        bend = draw_bend(augmentation, self.patch_size, random)
        centre = self._fit(plane, centre, matrix)
        values, classes = self._cut(self.examples.planes[plane], self.targets[plane], centre, matrix, bend)
        normalization = self.examples.normalization
        return (
            vary_intensity(values, augmentation, random, deviation=normalization.gain, mean=normalization.offset),
            classes,
        )

    def _cut(
        self,
        plane: LabelledPlane,
        target: npt.NDArray[np.int16],
        centre: npt.NDArray[np.float64],
        matrix: npt.NDArray[np.float64],
        bend: npt.NDArray[np.float32] | None,
    ) -> tuple[Tensor, Tensor]:
        """The patch that `matrix`, and `bend` after it, map into the image around `centre`.

        Pixel centres are at whole numbers + 0.5. Right angles are copied, everything else is interpolated: values
        linearly, classes by the nearest.
        """
        import torch
        from torch.nn import functional

        if bend is None and np.allclose(np.abs(matrix), np.abs(matrix) > 0.5):
            return self._copy(plane, target, centre, matrix)
        steps = (np.arange(self.patch_size) + 0.5 - self.patch_size / 2).astype(np.float32)
        factors = matrix.astype(np.float32)
        rows, columns = (steps[:, None] * factors[axis, 0] + steps * factors[axis, 1] for axis in (0, 1))
        if bend is not None:
            rows, columns = rows + bend[0], columns + bend[1]
        ends = np.array([[rows.min(), columns.min()], [rows.max(), columns.max()]], dtype=np.float64) + centre
        # Half a pixel further, to the centres of the outermost pixels that take part.
        start = np.floor(ends[0] - 0.5).astype(int)
        stop = np.ceil(ends[1] + 0.5).astype(int)
        values, classes = self._window(plane, target, start, stop)
        height, width = stop - start
        rows += np.float32(centre[0] - start[0])
        columns += np.float32(centre[1] - start[1])
        pair = np.stack([columns * np.float32(2 / width) - 1, rows * np.float32(2 / height) - 1], axis=-1)
        grid = torch.from_numpy(pair)[None]
        source = torch.from_numpy(values)[None]
        labels = torch.from_numpy(classes.astype(np.float32))[None, None]
        patch = functional.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
        nearest = functional.grid_sample(labels, grid, mode="nearest", padding_mode="border", align_corners=False)
        return patch[0], nearest[0, 0].to(torch.int64)

    def _copy(
        self,
        plane: LabelledPlane,
        target: npt.NDArray[np.int16],
        centre: npt.NDArray[np.float64],
        matrix: npt.NDArray[np.float64],
    ) -> tuple[Tensor, Tensor]:
        """The patch under one of the eight symmetries."""
        import torch

        start = np.round(centre - self.patch_size / 2).astype(int)
        values, classes = self._window(plane, target, start, start + self.patch_size)
        if abs(matrix[0, 1]) > 0.5:
            values, classes = values.swapaxes(1, 2), classes.T
        signs = matrix.sum(axis=1) if abs(matrix[0, 0]) > 0.5 else matrix.sum(axis=0)
        rows, columns = (slice(None, None, 1 if sign > 0 else -1) for sign in signs)
        return (
            torch.from_numpy(np.ascontiguousarray(values[:, rows, columns])),
            torch.from_numpy(classes[rows, columns].astype(np.int64)),
        )

    def _window(
        self,
        plane: LabelledPlane,
        target: npt.NDArray[np.int16],
        start: npt.NDArray[np.int_],
        stop: npt.NDArray[np.int_],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]:
        """Standardised values `(C, h, w)` and classes `(h, w)`; beyond the image mirrored values, unlabelled."""
        inside = [slice(max(0, a), min(size, b)) for a, b, size in zip(start, stop, target.shape, strict=True)]
        rows, columns = inside
        # Channels may come last in memory; everything from here on is several times as fast when they come first.
        window = np.ascontiguousarray(plane.values[:, rows, columns])
        values, _ = self.examples.normalization.apply(window, plane.statistics)
        classes = target[rows, columns]
        pad = [(s.start - a, b - s.stop) for s, a, b in zip(inside, start, stop, strict=True)]
        if any(before or after for before, after in pad):
            values = np.pad(values, [(0, 0), *pad], mode="symmetric")
            classes = np.pad(classes, pad, constant_values=-1)
        return values, classes


def _stacked(pairs: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    import torch

    values, classes = zip(*pairs, strict=True)
    return torch.stack(values), torch.stack(classes)
