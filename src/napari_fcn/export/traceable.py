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

    Deepness counts its tiles from a raster's lower left corner and fills what lies above its first row and right of its
    last column with the raster's nodata value, or 0: an edge that no image has, and that networks see from afar. Rows
    at a tile's beginning and columns at its end that are nothing but such a value in all channels are cut off; the rest
    begins at the tile's first row, as when this program predicts, and is mirrored up to the network's stride.
    Elsewhere, pixels of the nodata value are the channels' means, as there.

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
        """Probabilities `(N, K, S, S)`; beyond the raster's end those of its first row and last column."""
        there = (~_any_of(tiles, self.fills)).float()
        tiles = torch.where(_any_of(tiles, self.missing)[:, None], torch.zeros_like(tiles), tiles)
        rows, columns = there.amax(dim=2), there.amax(dim=1)  # (N, S), 1 where one has something
        above = (tiles.shape[2] - _length(rows.flip(1))) * (_length(rows) > 0).float()
        probabilities: Tensor = self.module(
            self._kept(self._kept(tiles, tiles.shape[2] - above, 2, above), _length(columns), 3)
        )
        for axis, first in ((2, above), (3, torch.zeros_like(above))):
            last = probabilities.shape[axis] - 1
            numbers = torch.arange(tiles.shape[axis], dtype=torch.float32, device=tiles.device)
            probabilities = _picked(probabilities, (numbers - first).clamp(min=0, max=last), axis)
        return probabilities

    def _kept(self, tiles: Tensor, count: Tensor, axis: int, first: Tensor | float = 0.0) -> Tensor:
        """Of each tile `count` `(N, 1)` rows or columns from `first`, mirrored up to as many whole strides as it takes.

        Of tiles that have different counts as many as the largest takes.
        """
        kept = (count.amax().clamp(min=1) / self.stride).ceil() * self.stride
        numbers = torch.arange(kept.long().clamp(max=tiles.shape[axis]), device=tiles.device).float()  # type: ignore[call-overload]
        last = (count - 1).clamp(min=0)
        period = (2 * last).clamp(min=1)
        place = numbers - (numbers / period).floor() * period
        place = torch.minimum(place, period - place) * (last > 0).float()
        return _picked(tiles, place + first, axis)


def _length(there: Tensor) -> Tensor:
    """How many it is up to the last that is 1, `(N, S)` to `(N, 1)`."""
    return (there * torch.arange(1, there.shape[1] + 1, device=there.device)).amax(dim=1, keepdim=True)


def _picked(images: Tensor, numbers: Tensor, axis: int) -> Tensor:
    """Of each image `(N, C, H, W)` the rows (axis 2) or columns (3) of its own `numbers` `(N, n)`."""
    shape = list(images.shape)
    shape[axis] = numbers.shape[1]
    index = numbers.long()[:, None, :, None] if axis == 2 else numbers.long()[:, None, None, :]
    return images.gather(axis, index.expand(shape))


def _any_of(tiles: Tensor, values: Tensor) -> Tensor:
    """Where all channels have one of some values, `(N, H, W)` bool."""
    found = torch.zeros_like(tiles[:, 0]) > 0
    for value in values:
        tolerance = SAME * value.abs().clamp(min=1)
        apart = (tiles - value[:, None, None]).abs() - tolerance[:, None, None]
        found = found | (apart.amax(dim=1) < 0)
    return found


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
