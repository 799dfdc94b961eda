"""Filters of images, before a network sees them; each channel by itself unless said otherwise.

Values stay in the image's own units and range, but for `percentile`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy import ndimage

from ..errors import InputError
from ..options import option
from .filter import Floats, ImageFilter, filter_class

__all__ = ["Background", "Clahe", "Gamma", "Gaussian", "Median", "NonLocalMeans", "Percentile"]


@filter_class("percentile", summary="stretch the contrast between two percentiles of the plane")
@dataclass(frozen=True)
class Percentile(ImageFilter):
    """Stretch between two percentiles, to the whole range of 8 and 16 bits without sign, else to [0, 1]."""

    rescales: ClassVar[bool] = True
    low: float = option(1.0, "percentile that becomes the lowest value", kind="number", minimum=0, maximum=100)
    high: float = option(99.0, "percentile that becomes the highest value", kind="number", minimum=0, maximum=100)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.low >= self.high:
            raise InputError(f"`low` must be less than `high`. Got {self.low:g} and {self.high:g}.")

    def plane(self, values: Floats, span: tuple[float, float] | None) -> Floats:
        """`(v - low) / (high - low)`, cut off outside; a channel of one value becomes the lowest."""
        bottom, top = span or (0.0, 1.0)
        low, high = np.percentile(values, [self.low, self.high], axis=(1, 2), keepdims=True)
        share = ((values - low) / np.where(high > low, high - low, 1)).clip(0, 1)
        result: Floats = (bottom + share * (top - bottom)).astype(values.dtype)
        return result


@filter_class("clahe", title="CLAHE", summary="even out the contrast, place by place (CLAHE)")
@dataclass(frozen=True)
class Clahe(ImageFilter):
    """Contrast-limited adaptive histogram equalisation (Zuiderveld 1994, Graphics Gems IV)."""

    tile: int = option(64, "side of the places in pixels", kind="integer", minimum=4, maximum=4096)
    limit: float = option(
        0.01, "how much contrast may grow: 0 little, 1 without limit", kind="number", minimum=0.001, maximum=1
    )

    def plane(self, values: Floats, span: tuple[float, float] | None) -> Floats:
        """Equalised between the least and the greatest value of each channel."""
        from skimage.exposure import equalize_adapthist

        result = np.empty_like(values)
        kernel = [min(self.tile, side) for side in values.shape[1:]]
        for channel, target in zip(values, result, strict=True):
            low, high = float(channel.min()), float(channel.max())
            if low == high:
                target[...] = channel
                continue
            even = equalize_adapthist((channel - low) / (high - low), kernel_size=kernel, clip_limit=self.limit)
            target[...] = low + even * (high - low)
        return result


@filter_class("background", title="Rolling ball", summary="take away an uneven background (rolling ball)")
@dataclass(frozen=True)
class Background(ImageFilter):
    """Subtract what a ball reaches that rolls below the image seen as a landscape (Sternberg 1983, Computer 16).

    The ball's height is measured with the channel's range as 255. A large ball rolls below a smaller image of local
    minima, as in ImageJ.
    """

    radius: float = option(
        50.0, "radius of the ball in pixels, larger than what is to stay", kind="number", minimum=1, maximum=2000
    )
    ground: str = option(
        "dark", "what the background is", choices={"dark": "darker than the objects", "bright": "brighter"}
    )

    def plane(self, values: Floats, span: tuple[float, float] | None) -> Floats:
        """Values above the background, from 0 up; with a bright ground, moved so that the ground is the maximum."""
        result = np.empty_like(values)
        for channel, target in zip(values, result, strict=True):
            low, high = float(channel.min()), float(channel.max())
            scale = 255 / (high - low) if high > low else 1.0
            landscape = (channel - low if self.ground == "dark" else high - channel) * scale
            above = (landscape - self._below(landscape)).clip(0) / scale
            target[...] = above if self.ground == "dark" else high - above
        return result

    def _below(self, landscape: Floats) -> Floats:
        from skimage.restoration import rolling_ball
        from skimage.transform import resize

        shrink = next(factor for limit, factor in _SHRINK if self.radius <= limit)
        shrink = min(shrink, *landscape.shape)
        if shrink == 1:
            return np.asarray(rolling_ball(landscape, radius=self.radius, workers=1))
        height, width = (-(-side // shrink) * shrink for side in landscape.shape)
        padded = np.pad(landscape, ((0, height - landscape.shape[0]), (0, width - landscape.shape[1])), mode="edge")
        blocks = padded.reshape(height // shrink, shrink, width // shrink, shrink).min(axis=(1, 3))
        # Heights shrink with the sides, so that the ball stays one.
        ball = shrink * rolling_ball(blocks / shrink, radius=self.radius / shrink, workers=1)
        large = resize(ball, padded.shape, order=1, mode="edge", preserve_range=True, anti_aliasing=False)
        below: Floats = np.minimum(large[: landscape.shape[0], : landscape.shape[1]], landscape)
        return below


_SHRINK = ((10, 1), (30, 2), (100, 4), (np.inf, 8))
"""Up to which radius the image is made smaller by which factor."""


@filter_class("gaussian", summary="blur, against fine noise")
@dataclass(frozen=True)
class Gaussian(ImageFilter):
    """Gaussian blur."""

    sigma: float = option(1.0, "deviation of the Gaussian in pixels", kind="number", minimum=0.1, maximum=200)

    def plane(self, values: Floats, span: tuple[float, float] | None) -> Floats:
        """Blurred; at the edges the image is mirrored."""
        result: Floats = ndimage.gaussian_filter(values, (0, self.sigma, self.sigma), mode="reflect")
        return result


@filter_class("median", summary="replace each pixel by the median around it, against specks")
@dataclass(frozen=True)
class Median(ImageFilter):
    """Median in a disc."""

    radius: int = option(2, "radius of the disc in pixels", kind="integer", minimum=1, maximum=15)

    def plane(self, values: Floats, span: tuple[float, float] | None) -> Floats:
        """The medians; at the edges the image is mirrored."""
        from skimage.morphology import disk

        result: Floats = ndimage.median_filter(values, footprint=disk(self.radius)[None], mode="reflect")
        return result


@filter_class(
    "nl_means", title="Non-local means", summary="average places that look alike, against noise; slow, keeps edges"
)
@dataclass(frozen=True)
class NonLocalMeans(ImageFilter):
    """Non-local means (Buades, Coll, Morel 2005, CVPR), over all channels together."""

    strength: float = option(
        0.8, "how different places may be, in deviations of the noise", kind="number", minimum=0.05, maximum=10
    )
    patch: int = option(5, "side of the places that are compared, in pixels", kind="integer", minimum=3, maximum=31)
    distance: int = option(6, "how far away they are searched, in pixels", kind="integer", minimum=1, maximum=50)

    def plane(self, values: Floats, span: tuple[float, float] | None) -> Floats:
        """Denoised; the noise of each channel is measured, and a channel without noise stays as it is."""
        from skimage.restoration import denoise_nl_means

        noise = np.array([_noise(channel) for channel in values])
        noisy = noise > 0
        result = values.copy()
        if noisy.any():
            scale = noise[noisy].astype(values.dtype)
            like = denoise_nl_means(
                np.moveaxis(values[noisy], 0, -1) / scale,
                patch_size=self.patch,
                patch_distance=self.distance,
                h=self.strength,
                sigma=1.0,
                fast_mode=True,
                channel_axis=-1,
            )
            # Of one channel, the axis is gone.
            result[noisy] = np.moveaxis(like.reshape(*values.shape[1:], -1) * scale, -1, 0)
        return result


def _noise(channel: Floats) -> float:
    """Deviation of the noise of a channel `(H, W)` (Immerkær 1996, Computer Vision and Image Understanding 64)."""
    if min(channel.shape) < 3:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], channel.dtype)
    second = ndimage.convolve(channel, kernel)[1:-1, 1:-1]
    return float(np.sqrt(np.pi / 2) / 6 * np.abs(second).mean(dtype=np.float64))


@filter_class("gamma", summary="brighten or darken the middle tones")
@dataclass(frozen=True)
class Gamma(ImageFilter):
    """Power of the values, brought to [0, 1] for it."""

    exponent: float = option(0.7, "less than 1 brightens, more than 1 darkens", kind="number", minimum=0.05, maximum=20)

    def plane(self, values: Floats, span: tuple[float, float] | None) -> Floats:
        """Within the range of the type, or between the least and greatest value of the channel."""
        if span is not None:
            low, high = np.asarray(span[0]), np.asarray(span[1])
        else:
            low, high = values.min(axis=(1, 2), keepdims=True), values.max(axis=(1, 2), keepdims=True)
        width = np.where(high > low, high - low, 1)
        share = ((values - low) / width).clip(0, 1)
        result: Floats = (low + width * share**self.exponent).astype(values.dtype)
        return result
