"""What a network that is being trained makes of a window of an image, now and then, without slowing training much."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data.axes import Planes
from ..data.normalization import Statistics
from ..imaging import Chain

if TYPE_CHECKING:
    from .fit import Training

__all__ = ["Preview", "Previewer", "Window", "middle"]

SHARE = 0.04
"""Part of the time since the first step that previews may take, with what it takes to show them."""
EVERY = 4.0
"""Seconds between two previews, at least."""
MARGIN = 32
"""Pixels of surroundings that the network sees beyond a window."""
SMALLEST, LARGEST = 160, 1024
"""Sides of a window: the first is previewed whatever it costs, and no more than the second."""


@dataclass(frozen=True)
class Window:
    """A part of one plane.

    Attributes
    ----------
    image : number of the image among those of the training.
    index : along the axes that are walked through, in the image's order; () for a single plane.
    rows, columns : in pixels.
    """

    image: int
    index: tuple[int, ...]
    rows: slice
    columns: slice


@dataclass(frozen=True)
class Preview:
    """A segmented window: label values `(h, w)`, where they belong, and how long it took."""

    window: Window
    labels: npt.NDArray[Any]
    seconds: float


class Previewer:
    """Segments windows with the network of a training, in its thread, between two steps.

    It changes nothing that training depends on: neither weights nor batch statistics nor random numbers.

    Parameters
    ----------
    training : whose network is asked, and whose settings say how images are read.
    images, axes : the images that windows are of, as for the training.
    """

    def __init__(self, training: Training, images: Sequence[Any], axes: str) -> None:
        self._training = training
        self._images, self._axes = images, axes
        self._planes: dict[int, tuple[Planes, Statistics]] = {}
        self._begin: float | None = None
        self._last = 0.0
        self._spent = 0.0
        self._cost = 0.0

    def turn(self, window: Window | None, showing: float = 0.0) -> Preview | None:
        """Take a turn after a step: segment the window, or the middle of it, if that is due; else None.

        Parameters
        ----------
        window : what is seen; None for nothing.
        showing : seconds that it has taken so far to show previews, which keeps training waiting too.
        """
        now = time.perf_counter()
        if self._begin is None:
            self._begin = now
        if window is None or now - self._last < EVERY or self._spent + showing > SHARE * (now - self._begin):
            return None
        preview = self.segment(self._affordable(window))
        if preview is not None:
            self._last = time.perf_counter()
            self._spent += self._last - now
            self._cost = (self._last - now) / preview.labels.size
        return preview

    def segment(self, window: Window) -> Preview | None:
        """Segment a window with the weights as they are now; None where there is nothing to see."""
        import torch

        from ..inference.engine import evaluating

        begin = time.perf_counter()
        planes, statistics = self._read(window.image)
        if window.index not in planes.indices:
            return None
        rows, own_rows = _widened(window.rows, planes.height)
        columns, own_columns = _widened(window.columns, planes.width)
        raw = planes.read(planes.indices.index(window.index), rows, columns)
        if 0 in raw.shape:
            return None
        examples, engine, network = self._training.examples, self._training.engine, self._training.shown
        values, missing = examples.normalization.apply(raw, statistics)
        with evaluating(network), engine.autocast():
            indices = network(engine.put(torch.from_numpy(values[None]))).argmax(dim=1)[0].cpu().numpy()
        if missing is not None:
            indices[missing] = -1
        labels = examples.classes.to_values(indices[own_rows, own_columns])
        return Preview(window, labels, time.perf_counter() - begin)

    def _read(self, image: int) -> tuple[Planes, Statistics]:
        if image not in self._planes:
            data = self._training.data
            chain = Chain.parse(data.preprocess)
            prepare = partial(chain.image, nodata=data.nodata) if chain else None
            planes = Planes(self._images[image], self._axes, data.channels, prepare)
            self._planes[image] = planes, self._training.examples.normalization.fit(planes)
        return self._planes[image]

    def _affordable(self, window: Window) -> Window:
        """The middle of the window, as large as can be paid for every few seconds."""
        side = LARGEST if self._cost else SMALLEST
        if self._cost:
            side = int(np.clip(np.sqrt(SHARE * EVERY / self._cost), SMALLEST, LARGEST))
        return Window(window.image, window.index, middle(window.rows, side), middle(window.columns, side))


def _widened(part: slice, size: int) -> tuple[slice, slice]:
    """The part with its surroundings, and where it then lies in them."""
    start, stop = max(0, part.start - MARGIN), min(size, part.stop + MARGIN)
    return slice(start, stop), slice(part.start - start, part.stop - start)


def middle(part: slice, side: int) -> slice:
    """The middle of a part, at most `side` long."""
    spare = max(0, part.stop - part.start - side)
    return slice(part.start + spare // 2, part.stop - (spare - spare // 2))
