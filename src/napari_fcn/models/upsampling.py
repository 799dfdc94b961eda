"""How a decoder enlarges its features."""

from __future__ import annotations

from ..registry import upsampling

__all__ = ["bilinear", "nearest"]


@upsampling.register("nearest", summary="repeat each value; sharp, and no checkerboards after the next convolution")
def nearest() -> str:
    """The mode of `torch.nn.functional.interpolate`."""
    return "nearest"


@upsampling.register("bilinear", summary="interpolate linearly between neighbours; smooth")
def bilinear() -> str:
    """The mode of `torch.nn.functional.interpolate`."""
    return "bilinear"
