"""A network in a form that stays right at every size when it is recorded as a graph.

Recording follows one image through the network. Whatever Python decides from that image's size, such as how much to pad
or how large the bins of a pooling are, would stay as it was for that image; here, it becomes part of the graph.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..data.normalization import LIMIT
from ..models.base import Network

__all__ = ["Exported"]


class Exported(nn.Module):
    """Standardised images `(N, C, H, W)` of any size to class probabilities `(N, K, H, W)`.

    Parameters
    ----------
    network : is copied, not changed.
    gain, offset : from the segmenter's normalisation: what the encoder gets of a standardised value.
    """

    def __init__(self, network: Network, gain: float, offset: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).to("cpu", memory_format=torch.contiguous_format).float().eval()  # type: ignore[call-overload]
        self.network.requires_grad_(False)
        _replace_pooling(self.network)
        self.stride, self.smallest_size = network.stride, network.smallest_size
        self.gain, self.offset = gain, offset

    def forward(self, standardized: Tensor) -> Tensor:
        """Probabilities: extreme values cut off, brought into the encoder's range, padded, classified, cut again."""
        height, width = standardized.shape[-2:]
        values = standardized.clamp(-LIMIT, LIMIT) * self.gain + self.offset
        logits = self.network(_padded(values, self.stride, self.smallest_size))
        probabilities: Tensor = logits[..., :height, :width].softmax(dim=1)
        return probabilities


def _padded(images: Tensor, multiple: int, smallest: int) -> Tensor:
    """As `models.base.pad_to_multiple`, by picking rows and columns by number."""
    height, width = (torch.as_tensor(size) for size in images.shape[-2:])
    padded = [
        torch.maximum((size + multiple - 1) // multiple * multiple, torch.tensor(smallest)) for size in (height, width)
    ]
    mirrored = (padded[0] < 2 * height) & (padded[1] < 2 * width)
    for axis, size, wanted in ((2, height, padded[0]), (3, width, padded[1])):
        numbers = torch.arange(wanted)  # type: ignore[call-overload]
        last = size - 1
        beyond = torch.where(mirrored, 2 * last - numbers, last)
        images = images.index_select(axis, torch.where(numbers < size, numbers, beyond).clamp(min=0))
    return images


class _Pooling(nn.Module):
    """`AdaptiveAvgPool2d` as two products with matrices, which any runtime computes for any size."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.rows, self.columns = size if isinstance(size, tuple) else (size, size)

    def forward(self, features: Tensor) -> Tensor:
        if self.rows == self.columns == 1:
            return features.mean(dim=(2, 3), keepdim=True)
        height, width = (torch.as_tensor(size) for size in features.shape[-2:])
        by_rows = _bins(self.rows, height).matmul(features)
        return by_rows.matmul(_bins(self.columns, width).transpose(0, 1))


class _Branch(nn.Module):
    """One branch of PSPNet's pyramid: pooled, convolved and enlarged again."""

    def __init__(self, pool: Any) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, features: Tensor) -> Tensor:
        return functional.interpolate(self.pool(features), features.shape[-2:], mode="bilinear", align_corners=True)


def _bins(count: int, size: Tensor) -> Tensor:
    """The share of each of `size` pixels in each of `count` bins, `(count, size)`."""
    number = torch.arange(count)[:, None]
    start, end = (number * size) // count, ((number + 1) * size + count - 1) // count
    place = torch.arange(size)[None]  # type: ignore[call-overload]
    inside = ((place >= start) & (place < end)).float()
    shares: Tensor = inside / inside.sum(dim=1, keepdim=True)
    return shares


def _replace_pooling(module: nn.Module) -> None:
    for name, child in module.named_children():
        if isinstance(child, nn.AdaptiveAvgPool2d):
            setattr(module, name, _Pooling(child.output_size))
        elif type(child).__name__ == "PSPBlock":  # smp's has another way for recording, which does not fit all sizes
            _replace_pooling(child)
            setattr(module, name, _Branch(child.pool))
        else:
            _replace_pooling(child)
