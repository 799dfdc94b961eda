"""Patches: random windows to learn from, drawn so that rare classes are seen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from .augmentation import Augmentation, draw_transform, vary_intensity
from .examples import Examples, LabelledPlane

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PatchSampler"]

RARE_SHARE = 1 / 3
"""Share of the patches that are centred on a class drawn evenly from all classes, as nnU-Net does."""
REMEMBERED = 200_000
"""Labelled positions that are remembered for each class."""


class PatchSampler:
    """Endless batches of patches and their class indices.

    Parameters
    ----------
    examples : planes, classes and normalisation.
    targets : what may be learnt from, a `(H, W)` int16 array for each plane, -1 elsewhere.
    patch_size, batch_size : side of a patch in pixels, and patches a batch.
    augmentation : how patches are varied.
    seed : start of the random numbers.
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
        import torch

        self.examples = examples
        self.targets = targets
        self.patch_size = patch_size
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.random = np.random.default_rng(seed)
        self.noise = torch.Generator().manual_seed(seed)
        self.counts = np.zeros(len(examples.classes), dtype=np.int64)
        self._places: list[npt.NDArray[np.int32]] = []
        for index in range(len(examples.classes)):
            places = self._find(index)
            self.counts[index] = len(places)
            if len(places) > REMEMBERED:
                places = places[self.random.choice(len(places), REMEMBERED, replace=False)]
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

    def draw(self) -> tuple[Tensor, Tensor]:
        """One batch: patches `(N, C, p, p)` float32 and class indices `(N, p, p)` int64 with -1 where unlabelled."""
        import torch

        pairs = [self._patch() for _ in range(self.batch_size)]
        patches = torch.stack([values for values, _ in pairs])
        targets = torch.stack([target for _, target in pairs])
        deviation = self.examples.normalization.gain
        return vary_intensity(patches, self.augmentation, deviation, self.noise), targets

    def _patch(self) -> tuple[Tensor, Tensor]:
        if self.random.random() < RARE_SHARE:
            index = self.random.choice(self._present)
        else:
            index = self.random.choice(len(self._shares), p=self._shares)
        places = self._places[index]
        plane, row, column = places[self.random.integers(len(places))]
        matrix = draw_transform(self.augmentation, self.random)
        reach = np.abs(matrix).sum(axis=1) * self.patch_size / 2
        shift = self.random.uniform(-0.5, 0.5, size=2) * self.patch_size
        centre = np.array([row, column]) + matrix @ shift
        target = self.targets[plane]
        for axis, size in enumerate(target.shape):
            low, high = reach[axis], size - reach[axis]
            centre[axis] = np.clip(centre[axis], low, high) if low < high else size / 2
        return self._cut(self.examples.planes[plane], target, centre, matrix, reach)

    def _cut(
        self,
        plane: LabelledPlane,
        target: npt.NDArray[np.int16],
        centre: npt.NDArray[np.float64],
        matrix: npt.NDArray[np.float64],
        reach: npt.NDArray[np.float64],
    ) -> tuple[Tensor, Tensor]:
        """The patch that `matrix` maps into the image around `centre`.

        Pixel centres are at whole numbers + 0.5. Right angles are copied, everything else is interpolated: values
        linearly, classes by the nearest.
        """
        import torch
        from torch.nn import functional

        start = np.floor(centre - reach).astype(int)
        stop = np.ceil(centre + reach).astype(int)
        straight = bool(np.isclose(np.abs(matrix), np.round(np.abs(matrix))).all())
        if straight:
            start = np.round(centre - self.patch_size / 2).astype(int)
            stop = start + self.patch_size
        values, classes = self._window(plane, target, start, stop)
        if straight:
            if abs(matrix[0, 1]) > 0.5:
                values, classes = values.swapaxes(1, 2), classes.T
            signs = matrix.sum(axis=1) if abs(matrix[0, 0]) > 0.5 else matrix.sum(axis=0)
            rows, columns = (slice(None, None, 1 if sign > 0 else -1) for sign in signs)
            return (
                torch.from_numpy(np.ascontiguousarray(values[:, rows, columns])),
                torch.from_numpy(classes[rows, columns].astype(np.int64)),
            )
        steps = np.arange(self.patch_size) + 0.5 - self.patch_size / 2
        offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1)
        positions = offsets @ matrix.T + (centre - start)
        size = stop - start
        grid = torch.from_numpy((2 * positions / size - 1)[None, ..., ::-1].astype(np.float32))
        source = torch.from_numpy(np.ascontiguousarray(values))[None]
        labels = torch.from_numpy(classes.astype(np.float32))[None, None]
        patch = functional.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
        indices = functional.grid_sample(labels, grid, mode="nearest", padding_mode="border", align_corners=False)
        return patch[0], indices[0, 0].to(torch.int64)

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
        values, _ = self.examples.normalization.apply(plane.values[:, rows, columns], plane.statistics)
        classes = target[rows, columns]
        pad = [(s.start - a, b - s.stop) for s, a, b in zip(inside, start, stop, strict=True)]
        if any(before or after for before, after in pad):
            values = np.pad(values, [(0, 0), *pad], mode="symmetric")
            classes = np.pad(classes, pad, constant_values=-1)
        return values, classes
