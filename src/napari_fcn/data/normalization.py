"""Bringing channels to mean 0 and deviation 1, and then into the range that the encoder was trained in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .axes import Planes

__all__ = ["Normalization", "Statistics", "missing", "statistics"]

SAMPLE = 1_000_000
"""Pixels that statistics are taken from, spread over the whole image."""
HUGE = 1 << 24
"""Pixels of a plane from which on it is sampled by small blocks, not by whole rows."""
BLOCK = 32
LIMIT = 6.0
"""Standardised values beyond this are cut off: a dead or saturated pixel must not drown its neighbours."""


@dataclass(frozen=True)
class Statistics:
    """Mean and deviation of each channel, `(C,)` float64, in the image's own units."""

    mean: npt.NDArray[np.float64]
    std: npt.NDArray[np.float64]


def _working_type(dtype: np.dtype[Any]) -> type[np.floating[Any]]:
    """float32 where it holds the values exactly, else float64: large integers lose their contrast in float32."""
    return np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64


def missing(window: npt.NDArray[Any], nodata: float | None) -> npt.NDArray[np.bool_] | None:
    """Where a window `(C, h, w)` has no data, `(h, w)`: NaN or infinite in any channel, or `nodata` in all of them.

    None when everything is there, which integer images without a nodata value always are.
    """
    mask: npt.NDArray[np.bool_] | None = None
    if window.dtype.kind == "f":
        finite = np.isfinite(window)
        if not finite.all():
            mask = ~finite.all(axis=0)
    if nodata is not None and not np.isnan(nodata):
        absent = (window == nodata).all(axis=0)
        if absent.any():
            mask = absent if mask is None else mask | absent
    return mask


def statistics(images: Sequence[Planes], nodata: float | None) -> Statistics:
    """Statistics of some images together, from about a million pixels spread evenly over them.

    Values beyond the 0.1 and 99.9 percentile count as these, so that a few saturated pixels change nothing.

    Raises
    ------
    InputError
        No pixel has data, such as in an image of nothing but NaN.
    """
    total = sum(len(planes) * planes.height * planes.width for planes in images)
    share = min(1.0, SAMPLE / total)
    pixels = [pixel for planes in images for pixel in _sample(planes, share, nodata)]
    values = np.concatenate(pixels, axis=1) if pixels else np.empty((1, 0))
    if values.shape[1] == 0:
        raise InputError("The image holds no data: every pixel is NaN, infinite or the nodata value.")
    low, high = np.percentile(values, [0.1, 99.9], axis=1, keepdims=True)
    values = values.clip(low, high).astype(np.float64)
    mean, std = values.mean(axis=1), values.std(axis=1)
    std[std <= 1e-12 * np.abs(mean)] = 1.0
    return Statistics(mean, std)


def _sample(planes: Planes, share: float, nodata: float | None) -> list[npt.NDArray[Any]]:
    """Pixels `(C, M)` of evenly spaced rows of evenly spaced planes; rows, because sources are read by rows.

    Of huge planes these are blocks: a few whole rows would miss what lies between them, and touch as many chunks.
    """
    if planes.height * planes.width > HUGE:
        return _sample_blocks(planes, share, nodata)
    wanted_rows = max(1, round(share * len(planes) * planes.height))
    walked = np.unique(np.linspace(0, len(planes) - 1, min(len(planes), max(1, wanted_rows // 16))).round().astype(int))
    rows_each = min(planes.height, max(1, wanted_rows // len(walked)))
    step = max(1, planes.height // rows_each)
    pixels = []
    for plane in walked:
        window = planes.read(int(plane), rows=slice(step // 2, None, step))
        gone = missing(window, nodata)
        flat = window.reshape(planes.channels, -1).astype(_working_type(window.dtype))
        pixels.append(flat if gone is None else flat[:, ~gone.ravel()])
    return pixels


def _sample_blocks(planes: Planes, share: float, nodata: float | None) -> list[npt.NDArray[Any]]:
    """Pixels `(C, M)` of small blocks on an even grid over evenly spaced planes."""
    walked = np.unique(np.linspace(0, len(planes) - 1, min(len(planes), 64)).round().astype(int))
    wanted = share * len(planes) * planes.height * planes.width / (len(walked) * BLOCK**2)
    columns = max(1, round((wanted * planes.width / planes.height) ** 0.5))
    rows = max(1, round(wanted / columns))
    pixels = []
    for plane in walked:
        for row in range(rows):
            top = int((row + 0.5) * planes.height / rows)
            for column in range(columns):
                left = int((column + 0.5) * planes.width / columns)
                window = planes.read(int(plane), slice(top, top + BLOCK), slice(left, left + BLOCK))
                gone = missing(window, nodata)
                flat = window.reshape(planes.channels, -1).astype(_working_type(window.dtype))
                pixels.append(flat if gone is None else flat[:, ~gone.ravel()])
    return pixels


@dataclass(frozen=True)
class Normalization:
    """How a segmenter prepares images.

    Attributes
    ----------
    mode : "image", each image by its own statistics, or "dataset", by the stored ones of the training images.
    gain, offset : the encoder gets `gain * z + offset` of the standardised value z.
    nodata : the image value that marks missing pixels.
    dataset : the training images' statistics; mode "dataset" needs them, exports take them with either mode.
    """

    mode: str
    gain: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    dataset: Statistics | None = None

    def fit(self, image: Planes) -> Statistics:
        """The statistics that `image` is to be standardised with; its pixels are sampled once when they are needed."""
        if self.mode == "dataset" and self.dataset is not None:
            return self.dataset
        return statistics([image], self.nodata)

    def apply(
        self, window: npt.NDArray[Any], channel_statistics: Statistics
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_] | None]:
        """Standardise a window.

        Parameters
        ----------
        window : `(C, h, w)`, any dtype.
        channel_statistics : from `fit`.

        Returns
        -------
        values : `(C, h, w)` float32; missing pixels are the channel's mean.
        gone : `(h, w)` bool where pixels are missing, or None.
        """
        gone = missing(window, self.nodata)
        working = _working_type(window.dtype)
        centred = window.astype(working)
        centred -= channel_statistics.mean.astype(working)[:, None, None]
        centred *= (self.gain / channel_statistics.std).astype(working)[:, None, None]
        values = centred.astype(np.float32, copy=False)
        limit = LIMIT * self.gain
        if gone is not None:
            values[:, gone] = 0
        np.clip(values, -limit, limit, out=values)
        values += self.offset
        return values, gone

    def to_json(self) -> dict[str, Any]:
        """Everything as JSON."""
        document: dict[str, Any] = {"mode": self.mode, "gain": self.gain, "offset": self.offset, "nodata": self.nodata}
        if self.dataset is not None:
            document["mean"] = [float(v) for v in self.dataset.mean]
            document["std"] = [float(v) for v in self.dataset.std]
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Normalization:
        """What `to_json` described."""
        dataset = None
        if "mean" in document:
            dataset = Statistics(np.array(document["mean"], np.float64), np.array(document["std"], np.float64))
        nodata = document["nodata"]
        return cls(
            str(document["mode"]),
            float(document["gain"]),
            float(document["offset"]),
            None if nodata is None else float(nodata),
            dataset,
        )
