"""How much memory a network takes to compute, and how large its tiles may be for that."""

from __future__ import annotations

import math
import weakref
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

__all__ = ["bytes_per_pixel", "largest_tile"]

SCRATCH = 1.25
"""What libraries take for themselves beside the features, as a factor."""
SMALLEST, LARGEST = 256, 2048
"""Sides of tiles that are chosen here."""


class _Live(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are alive, and their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                key = storage._cdata
                if key not in self._seen:
                    self._seen.add(key)
                    size = storage.nbytes()
                    self.now += size
                    weakref.finalize(storage, self._gone, key, size)
        self.peak = max(self.peak, self.now)
        return result

    def _gone(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size


@torch.inference_mode()
def bytes_per_pixel(network: nn.Module, channels: int, side: int = 256) -> float:
    """Bytes of features that are in memory at once while the network computes, for each pixel of its images.

    Measured by computing one image of `side` x `side` pixels on the device where the network is.
    """
    device = next(network.parameters()).device
    image = torch.zeros(1, channels, side, side, device=device)
    with _Live() as live:
        network(image)
    return float(SCRATCH * live.peak / side**2)


def largest_tile(per_pixel: float, budget: float) -> int:
    """Side of the largest square tile that takes at most `budget` bytes."""
    side = int(math.sqrt(max(budget, 0) / per_pixel)) // 32 * 32
    return min(max(side, SMALLEST), LARGEST)
