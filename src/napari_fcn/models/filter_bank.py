"""Multi-scale filters as a module: what pixel classifiers have long looked at."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["FilterBank"]

LEVELS = ((1, 0.7), (1, 1.6), (2, 1.6), (4, 1.6), (8, 1.6))
"""Stride and standard deviation, in pixels of that stride: scales of 0.7, 1.6, 3.4, 7 and 14 pixels of the image."""
INTEGRATION = 1.5
"""The structure tensor is averaged over a Gaussian so many times as wide as the one its gradients come from."""
FLOOR = 1e-12
"""Added before square roots, whose slope at zero is infinite."""


class FilterBank(nn.Module):
    """Gaussian, gradient, Laplacian, and the eigenvalues of Hessian and structure tensor, at five scales.

    They are the features of trainable pixel classifiers (Arganda-Carreras et al. 2017, Trainable Weka Segmentation;
    Berg et al. 2019, ilastik). Coarse scales are computed on averaged images at strides 2, 4 and 8, where they cost
    little; seven maps for each channel and scale. Nothing in here learns.

    Parameters
    ----------
    channels : of the images.

    Attributes
    ----------
    strides : of the maps, fine to coarse.
    out_channels : of each map.
    """

    strides = tuple(stride for stride, _ in LEVELS)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.out_channels = 7 * channels
        for number, (_, deviation) in enumerate(LEVELS):
            narrow, wide = _gaussian(deviation), _gaussian(INTEGRATION * deviation)
            self.register_buffer(f"narrow_{number}", narrow.repeat(channels, 1, 1, 1), persistent=False)
            self.register_buffer(f"wide_{number}", wide.repeat(3 * channels, 1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images `(N, C, H, W)`, sides multiples of 8, to maps `(N, 7 C, H / stride, W / stride)`.

        In float32, whatever the engine's precision: small differences of neighbours are what filters are about, and
        oneDNN 3 never ends making its kernel for such long convolutions of single channels in bfloat16, channels last.
        """
        kind = images.device.type
        if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
            with torch.autocast(kind, enabled=False):
                return self._maps(images.float())
        return self._maps(images)

    def _maps(self, images: Tensor) -> list[Tensor]:
        maps, stride = [], 1
        for number, (wanted, _) in enumerate(LEVELS):
            while stride < wanted:
                images, stride = functional.avg_pool2d(images, 2), 2 * stride
            maps.append(_describe(images, self.get_buffer(f"narrow_{number}"), self.get_buffer(f"wide_{number}")))
        return maps


def _describe(images: Tensor, narrow: Tensor, wide: Tensor) -> Tensor:
    smooth = _blur(images, narrow)
    down, right = _slope(smooth, 2), _slope(smooth, 3)
    yy, xx, xy = _slope(down, 2), _slope(right, 3), _slope(down, 3)
    products = _blur(torch.cat([down * down, down * right, right * right], 1), wide)
    structure = [part.clamp(min=0).sqrt() for part in _eigenvalues(*products.chunk(3, 1))]
    length = (down * down + right * right + FLOOR).sqrt()
    return torch.cat([smooth, length, yy + xx, *_eigenvalues(yy, xy, xx), *structure], 1)


def _eigenvalues(a: Tensor, b: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """Of the symmetric matrices `[[a, b], [b, c]]`, the larger first."""
    middle, half = (a + c) / 2, (((a - c) / 2) ** 2 + b * b + FLOOR).sqrt()
    return middle + half, middle - half


def _gaussian(deviation: float) -> Tensor:
    radius = int(3 * deviation + 0.5)
    places = torch.arange(-radius, radius + 1, dtype=torch.float32)
    weights = torch.exp(-(places**2) / (2 * deviation**2))
    return weights / weights.sum()


def _blur(images: Tensor, kernels: Tensor) -> Tensor:
    """Convolve rows and columns with kernels `(C, 1, 1, L)`; edge values go on beyond the border."""
    channels, radius = len(kernels), kernels.shape[-1] // 2
    padded = functional.pad(images, (radius,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernels, groups=channels)
    return functional.conv2d(rows, kernels.transpose(2, 3), groups=channels)


def _slope(images: Tensor, dimension: int) -> Tensor:
    """Central differences along a dimension; edge values go on beyond the border."""
    size = images.shape[dimension]
    padded = functional.pad(images, (1, 1, 0, 0) if dimension == 3 else (0, 0, 1, 1), mode="replicate")
    return (padded.narrow(dimension, 2, size) - padded.narrow(dimension, 0, size)) / 2
