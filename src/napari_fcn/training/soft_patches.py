"""Patches that carry, besides the labels of strokes, what somebody else says of every pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data.augmentation import Augmentation, draw_bend, draw_transform
from ..data.examples import LabelledPlane
from ..data.intensity import vary_intensity
from ..data.patches import PatchSampler
from ..inference.engine import Engine
from .batches import Batch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Said", "SoftBatch", "SoftBatches", "SoftSampler"]

Said = Callable[[int, slice, slice], npt.NDArray[np.floating]]

ANYWHERE = 0.5
"""Share of the patches that lie anywhere, whether something is painted there or not."""


@dataclass(frozen=True)
class SoftBatch(Batch):
    """A batch with class probabilities of every pixel.

    Attributes
    ----------
    probabilities : `(N, K, p, p)` float32; they sum to 1.
    """

    probabilities: Tensor


class SoftSampler(PatchSampler):
    """A sampler whose patches have the channels of the image first and class probabilities after them.

    What moves a pixel moves its probabilities too; what varies intensities leaves them as they are.

    Attributes
    ----------
    said : gives class probabilities `(K, h, w)` of a window of a plane, by its number, rows and columns; None while
        there is nobody to ask, and then patches have the image's channels alone.
    """

    said: Said | None = None

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        areas = np.array([target.size for target in self.targets], float)
        self._areas = areas / areas.sum()
        self._numbers = {id(plane): number for number, plane in enumerate(self.examples.planes)}

    def plain(self, key: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """See `PatchSampler`; the image's channels alone."""
        values, classes = super().plain(key)
        return values[: self.examples.channels], classes

    def variations(self, key: tuple[int, ...], count: int) -> tuple[Tensor, Tensor]:
        """See `PatchSampler`; the image's channels alone."""
        values, classes = super().variations(key, count)
        return values[:, : self.examples.channels], classes

    def _place(self, random: np.random.Generator) -> tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """As in `PatchSampler`, or anywhere."""
        if random.random() >= ANYWHERE:
            return super()._place(random)
        plane = int(random.choice(len(self._areas), p=self._areas))
        matrix = draw_transform(self.augmentation, random)
        return plane, self._fit(plane, random.random(2) * self.targets[plane].shape, matrix), matrix

    def _make(
        self,
        plane: int,
        centre: npt.NDArray[np.float64],
        matrix: npt.NDArray[np.float64],
        augmentation: Augmentation,
        random: np.random.Generator,
    ) -> tuple[Tensor, Tensor]:
        """Values and probabilities `(C + K, p, p)`, and classes."""
        import torch

        bend = draw_bend(augmentation, self.patch_size, random)
        centre = self._fit(plane, centre, matrix)
        both, classes = self._cut(self.examples.planes[plane], self.targets[plane], centre, matrix, bend)
        channels, normalization = self.examples.channels, self.examples.normalization
        varied = vary_intensity(
            both[:channels], augmentation, random, deviation=normalization.gain, mean=normalization.offset
        )
        return torch.cat([varied, both[channels:]]), classes

    def _window(
        self,
        plane: LabelledPlane,
        target: npt.NDArray[np.int16],
        start: npt.NDArray[np.int_],
        stop: npt.NDArray[np.int_],
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int16]]:
        """As in `PatchSampler`, with the probabilities after the values."""
        values, classes = super()._window(plane, target, start, stop)
        if self.said is None:
            return values, classes
        inside = [slice(max(0, a), min(size, b)) for a, b, size in zip(start, stop, target.shape, strict=True)]
        own = self.said(self._numbers[id(plane)], inside[0], inside[1])
        pad = [(s.start - a, b - s.stop) for s, a, b in zip(inside, start, stop, strict=True)]
        if any(before or after for before, after in pad):
            own = np.pad(own, [(0, 0), *pad], mode="symmetric")
        return np.concatenate([values, own.astype(np.float32)]), classes


class SoftBatches:
    """Batches of a `SoftSampler`, on the device."""

    def __init__(self, sampler: SoftSampler, engine: Engine) -> None:
        self.sampler = sampler
        self.engine = engine

    def draw(self, step: int, count: int, first: int = 0) -> Batch:
        """See `Batches`."""
        both, target = self.sampler.draw(step, count, first)
        channels = self.sampler.examples.channels
        images, probabilities = both[:, :channels].contiguous(), both[:, channels:]
        put = self.engine.put
        return SoftBatch([put(images)], "images", put(target), put(probabilities))

    def close(self) -> None:
        """See `Batches`; there is nothing to let go of."""
