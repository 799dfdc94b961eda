"""Segmenters that another runtime computes: they predict like every other one, and cannot be trained on."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..data.axes import Planes
from ..data.normalization import Normalization, Statistics, statistics
from ..errors import InputError, OutputError
from ..segmenter import Segmenter

__all__ = ["ForeignSegmenter", "PercentileRange", "RuntimeNetwork"]

SCALE = 1e3
"""Values that a file wants are made of small standardised ones, so that no value is taken for an extreme one."""


@dataclass(frozen=True)
class ForeignSegmenter(Segmenter):
    """A segmenter whose network is a file of another program, or for one.

    Attributes
    ----------
    source : the file.
    """

    source: str = ""

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Refused: there are no layers here that this program knows."""
        raise OutputError(f"{self.source!r} can be predicted with, but not saved as a segmenter; keep the file itself.")

    def describe(self) -> str:
        """A few lines about it, for people."""
        classes = ", ".join(f"{entry.value} = {entry.name}" for entry in self.classes)
        return f"the network in {self.source}\nchannels: {self.channels}\nclasses: {classes}"


class RuntimeNetwork(nn.Module):
    """A network in ONNX Runtime, in the place of one in torch; gives the logarithm of probabilities as logits.

    Parameters
    ----------
    session : one input `(N, C, H, W)`, one output `(N, K, H, W)`.
    side : height and width that it is fixed to; None when they are free.
    multiple : sides of free ones must be a multiple of this, and at least `smallest`; images are mirrored at the edges.
    probabilities : whether it gives these, or logits.
    single : it gives one number a pixel, for the second of two classes; of logits, `sigmoid` says that they are.
    """

    def __init__(
        self,
        session: Any,
        *,
        side: int | None,
        multiple: int = 1,
        smallest: int = 1,
        probabilities: bool = True,
        single: bool = False,
        sigmoid: bool = False,
    ) -> None:
        super().__init__()
        self.session = session
        self.side, self.multiple, self.smallest = side, multiple, smallest
        self.probabilities, self.single, self.sigmoid = probabilities, single, sigmoid
        shape = session.get_inputs()[0].shape
        self.one_by_one = shape[0] == 1

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` for images `(N, C, H, W)`."""
        height, width = images.shape[-2:]
        values = images.detach().cpu().float().numpy()
        if self.side is not None and max(height, width) > self.side:
            raise InputError(
                f"This network is fixed to tiles of {self.side} pixels; predict with tile_size={self.side}. "
                f"Got {max(height, width)}."
            )
        wanted = [
            self.side or max(self.smallest, -(-size // self.multiple) * self.multiple) for size in (height, width)
        ]
        values = np.pad(values, [(0, 0), (0, 0), (0, wanted[0] - height), (0, wanted[1] - width)], mode="symmetric")
        name = self.session.get_inputs()[0].name
        parts = [values[n : n + 1] for n in range(len(values))] if self.one_by_one else [values]
        found = np.concatenate([self.session.run(None, {name: np.ascontiguousarray(part)})[0] for part in parts])
        found = found[..., :height, :width].astype(np.float32)
        if self.single and self.sigmoid:  # one logit against 0
            found = np.concatenate([np.zeros_like(found), found], axis=1)
        elif self.single:
            found = np.log(np.clip(np.concatenate([1 - found, found], axis=1), 1e-30, 1))
        elif self.probabilities and not self.sigmoid:
            found = np.log(np.maximum(found, 1e-30))
        return torch.from_numpy(np.ascontiguousarray(found)).to(images.device)

    def __deepcopy__(self, memo: Any) -> RuntimeNetwork:
        """Itself: there is nothing in it that a copy could change."""
        return self

    def count(self, *, trainable: bool = False) -> int:
        """Not known: 0."""
        return 0


@dataclass(frozen=True)
class PercentileRange(Normalization):
    """Values from one percentile of each image to another, as 0 to 1.

    Attributes
    ----------
    percentiles : which two.
    """

    percentiles: tuple[float, float] = field(default=(0.0, 100.0))

    def fit(self, image: Planes) -> Statistics:
        """The lower end as the mean, and a multiple of the range as the deviation."""
        values = _sampled(image, self.nodata)
        low, high = np.percentile(values, self.percentiles, axis=1)
        return Statistics(low, np.maximum(high - low, 1e-6) * SCALE)


def _sampled(image: Planes, nodata: float | None) -> Any:
    from ..data.normalization import SAMPLE, _sample

    total = len(image) * image.height * image.width
    pixels = _sample(image, min(1.0, SAMPLE / total), nodata)
    values = np.concatenate(pixels, axis=1) if pixels else np.empty((1, 0))
    if values.shape[1] == 0:
        statistics([image], nodata)  # says why
    return values.astype(np.float64)
