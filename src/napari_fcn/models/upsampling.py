"""How a decoder enlarges its features: four operators of one signature.

Each makes a module that turns features `(N, in_channels, H, W)` into `(N, out_channels, scale H, scale W)`. Max
unpooling alone also takes the indices that its max pooling gave.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..registry import upsampling

if TYPE_CHECKING:
    from torch import nn

__all__ = ["bilinear", "max_unpool", "nearest", "transposed"]


@upsampling.register("nearest", summary="repeat each value; sharp, and no checkerboards after the next convolution")
def nearest(in_channels: int, out_channels: int, scale: int = 2, kernel_size: int | None = None) -> nn.Module:
    """Nearest-neighbour interpolation; a 1 x 1 convolution before it changes the number of channels."""
    from .blocks import Interpolation

    return Interpolation(in_channels, out_channels, scale, "nearest")


@upsampling.register("bilinear", summary="interpolate linearly between neighbours; smooth")
def bilinear(in_channels: int, out_channels: int, scale: int = 2, kernel_size: int | None = None) -> nn.Module:
    """Bilinear interpolation; a 1 x 1 convolution before it changes the number of channels."""
    from .blocks import Interpolation

    return Interpolation(in_channels, out_channels, scale, "bilinear")


@upsampling.register(
    "transposed",
    summary="transposed convolution: learns how to enlarge; starts as bilinear interpolation",
    paper="Long, Shelhamer, Darrell 2015, Fully convolutional networks",
)
def transposed(in_channels: int, out_channels: int, scale: int = 2, kernel_size: int | None = None) -> nn.Module:
    """Transposed convolution with stride `scale` and a kernel that is a multiple of it, by default `scale` itself."""
    from .blocks import TransposedConvolution

    return TransposedConvolution(in_channels, out_channels, kernel_size or scale, scale)


@upsampling.register(
    "max_unpool",
    summary="max unpooling: put each value back where its maximum was; sharp outlines",
    paper="Zeiler and Fergus 2014; Badrinarayanan et al. 2017, SegNet",
    needs_indices=True,
)
def max_unpool(in_channels: int, out_channels: int, scale: int = 2, kernel_size: int | None = None) -> nn.Module:
    """Max unpooling; a 1 x 1 convolution before it makes as many channels as the indices have."""
    from .blocks import MaxUnpooling

    return MaxUnpooling(in_channels, out_channels, scale)
