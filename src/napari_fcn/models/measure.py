"""How large a network is, and how much it computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from .build import NetworkSpec, build

if TYPE_CHECKING:
    from ..config import ModelConfig

__all__ = ["Measured", "measure"]


@dataclass(frozen=True)
class Measured:
    """The size of a network.

    Attributes
    ----------
    parameters : how many.
    multiply_adds : multiplications with an addition, for one image, in convolutions and matrix products.
    stride : image sides are padded to a multiple of it, inside.
    """

    parameters: int
    multiply_adds: int
    stride: int


def measure(model: ModelConfig, in_channels: int = 3, classes: int = 2, size: int = 256) -> Measured:
    """Parameters and multiply-adds for an image of `size` x `size` pixels.

    The network is built without its weights and computes shapes alone.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        network = build(NetworkSpec(model, in_channels, classes), pretrained=False).eval()
        with FlopCounterMode(display=False) as counter, torch.inference_mode():
            network(torch.zeros(1, in_channels, size, size))
    return Measured(network.count(), counter.get_total_flops() // 2, network.stride)
