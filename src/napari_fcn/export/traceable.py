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

__all__ = ["Cut", "Exported"]

SAME = 1e-4
"""Difference of standardised values, as a part of them where they are above 1, below which they are one value."""


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


class Cut(nn.Module):
    """Tiles that were filled beyond a raster's end, of which only the raster's part is classified.

    Deepness fills its last tiles, at the right and at the bottom, with the raster's nodata value, or 0: an edge that no
    image has, and that networks see from afar. Rows and columns at a tile's end that are nothing but such a value in
    all channels are cut off, and the rest is mirrored up to the network's stride, as this program does at an image's
    end. Elsewhere, pixels of the nodata value are the channels' means, as when this program predicts.

    Parameters
    ----------
    module : takes standardised tiles `(N, C, h, w)` of any size.
    fills : `(F, C)`, values that mean nothing when all channels have them, standardised.
    missing : `(M, C)`, those among them that mean missing pixels within an image too.
    stride : of the network.
    """

    fills: Tensor
    missing: Tensor

    def __init__(self, module: nn.Module, fills: Tensor, missing: Tensor, stride: int) -> None:
        super().__init__()
        self.module, self.stride = module, stride
        self.register_buffer("fills", fills)
        self.register_buffer("missing", missing)

    def forward(self, tiles: Tensor) -> Tensor:
        """Probabilities `(N, K, S, S)`; beyond the raster's end those of its last pixels."""
        nothing = _any_of(tiles, self.fills)
        sides = tiles.shape[2:]
        tiles = torch.where(_any_of(tiles, self.missing)[:, None], torch.zeros_like(tiles), tiles)
        for axis, across, side in ((2, 2, sides[0]), (3, 1, sides[1])):
            there = 1 - nothing.float().amin(dim=across)  # (N, S), 1 where a row or column has something
            count = (there * torch.arange(1, side + 1, device=tiles.device)).amax(dim=1, keepdim=True)
            tiles = _mirrored(tiles, count, axis)
            kept = (count.amax().clamp(min=1) / self.stride).ceil() * self.stride
            tiles = tiles.index_select(axis, torch.arange(kept.long().clamp(max=side)))  # type: ignore[call-overload]
        probabilities: Tensor = self.module(tiles)
        for axis, side in ((2, sides[0]), (3, sides[1])):
            last = torch.as_tensor(probabilities.shape[axis]) - 1
            probabilities = probabilities.index_select(axis, torch.minimum(torch.arange(side), last))
        return probabilities


def _any_of(tiles: Tensor, values: Tensor) -> Tensor:
    """Where all channels have one of some values, `(N, H, W)` bool."""
    found = torch.zeros_like(tiles[:, 0]) > 0
    for value in values:
        tolerance = SAME * value.abs().clamp(min=1)
        apart = (tiles - value[:, None, None]).abs() - tolerance[:, None, None]
        found = found | (apart.amax(dim=1) < 0)
    return found


def _mirrored(tiles: Tensor, count: Tensor, axis: int) -> Tensor:
    """Tiles mirrored, as often as it takes, at the last of their first `count` `(N, 1)` rows or columns."""
    size = tiles.shape[axis]
    numbers = torch.arange(size, dtype=torch.float32, device=tiles.device)
    last = (count - 1).clamp(min=0)
    period = (2 * last).clamp(min=1)
    place = numbers - (numbers / period).floor() * period
    place = torch.minimum(place, period - place) * (last > 0).float()
    shape = [1, 1, 1, 1]
    shape[axis] = size
    index = place.long().reshape(-1, *shape[1:]).expand(-1, tiles.shape[1], tiles.shape[2], tiles.shape[3])
    return tiles.gather(axis, index)


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
