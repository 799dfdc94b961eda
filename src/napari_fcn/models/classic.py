"""The plain encoder with max pooling, as the first U-Net has it."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from .blocks import Convolution

__all__ = ["ClassicEncoder", "level"]

LARGEST = 16
"""Channels double from level to level, up to this many times the first ones; c5 of Ronneberger et al. has 1024."""


def level(in_channels: int, out_channels: int, convolutions: int, norm: str, dilation: int = 1) -> nn.Sequential:
    """The 3 x 3 convolutions of one level."""
    channels = [in_channels] + [out_channels] * convolutions
    pairs = itertools.pairwise(channels)
    return nn.Sequential(*(Convolution(a, b, norm=norm, dilation=dilation) for a, b in pairs))


class ClassicEncoder(nn.Module):
    """Convolutions and max pooling, level by level (Ronneberger, Fischer, Brox 2015, U-Net).

    Parameters
    ----------
    in_channels : channels of the images.
    depth : number of poolings; there are `depth + 1` levels c1, c2, ...
    width : channels of c1; the paper has 64.
    convolutions : at each level; the paper has 2.
    norm : "batch", "group" or, as in the paper, "none".
    output_stride : where features are this coarse, pooling moves by one pixel instead of two, and convolutions become
        atrous (Chen et al. 2015, DeepLab).
    return_indices : return the poolings' indices too, for max unpooling.

    Notes
    -----
    The paper's convolutions have no padding, and its output is smaller than its input; here all are padded.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        depth: int = 5,
        width: int = 32,
        convolutions: int = 2,
        norm: str = "batch",
        output_stride: int | None = None,
        return_indices: bool = False,
    ) -> None:
        super().__init__()
        self.out_channels = [width * min(2**number, LARGEST) for number in range(depth + 1)]
        self.output_stride = min(output_stride or 2**depth, 2**depth)
        self.levels = nn.ModuleList()
        self.pools = nn.ModuleList()
        channels = in_channels
        for number, out_channels in enumerate(self.out_channels):
            rate = max(1, 2**number // self.output_stride)
            self.levels.append(level(channels, out_channels, convolutions, norm, dilation=rate))
            channels = out_channels
            if number < depth:
                fine = 2 ** (number + 1) <= self.output_stride
                self.pools.append(
                    nn.MaxPool2d(2, return_indices=return_indices) if fine else nn.MaxPool2d(3, stride=1, padding=1)
                )
        self.return_indices = return_indices
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The levels' features, fine to coarse: `(N, width, H, W)`, `(N, 2 width, H/2, W/2)`, ...

        With `return_indices` the indices of the poolings follow, fine to coarse.
        """
        features: list[Tensor] = []
        indices: list[Tensor] = []
        for number, convolutions in enumerate(self.levels):
            if number:
                images = self.pools[number - 1](images)
                if self.return_indices:
                    images, found = images
                    indices.append(found)
            images = convolutions(images)
            features.append(images)
        return features + indices
