"""The network of the pixel head: what is computed at which resolution, and how pixels are looked up for fitting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from .base import Network, pad_to_multiple
from .filter_bank import FilterBank

__all__ = ["PixelDecoder", "PixelNetwork", "PixelWeights"]

LIMIT = 4.0
"""Features are cut off at so many deviations from their mean."""
STRIP = 64
"""Rows at full size that are judged at once where time counts: some megabytes, which the processor keeps near."""


@dataclass(frozen=True)
class PixelWeights:
    """What is fitted, on features that have mean 0 and deviation 1 and are cut off at 4.

    Attributes
    ----------
    mean, std : of the features `(F,)`, those of the filters first.
    units, units_bias : `(hidden, features of filters)` and `(hidden,)`, before the rectifier.
    output, output_bias : `(K, hidden)` and `(K,)`.
    linear, linear_bias : `(K, F)` and `(K,)`, of the linear classifier beside it.
    """

    mean: Tensor
    std: Tensor
    units: Tensor
    units_bias: Tensor
    output: Tensor
    output_bias: Tensor
    linear: Tensor
    linear_bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        """`(M, K)` for features `(M, F)` as `PixelNetwork.look_up` gives them; what the network computes."""
        standard = ((features - self.mean) / self.std).clamp(-LIMIT, LIMIT)
        hidden = (standard[:, : self.units.shape[1]] @ self.units.T + self.units_bias).relu()
        return (hidden @ self.output.T + self.output_bias + standard @ self.linear.T + self.linear_bias) / 2


class Clip(nn.Module):
    """Each channel of a map within bounds, so that nothing unheard of outweighs everything else; wide ones at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("low", torch.full((channels,), -1e9))
        self.register_buffer("high", torch.full((channels,), 1e9))

    def forward(self, maps: Tensor) -> Tensor:
        """Maps `(N, C, H, W)` to the same shape."""
        return maps.clamp(self.get_buffer("low")[:, None, None], self.get_buffer("high")[:, None, None])


class PixelDecoder(nn.Module):
    """Hidden units of the filter maps, and class scores of all maps.

    Parameters
    ----------
    channels, strides : of the maps, those of the filters first.
    filters : how many are of filters.
    hidden, classes : how many units and scores.
    """

    def __init__(
        self, channels: Sequence[int], strides: Sequence[int], filters: int, hidden: int, classes: int
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.filters = filters
        self.hidden = hidden
        self.classes = classes
        self.clips = nn.ModuleList(Clip(count) for count in channels)
        self.units = nn.ModuleList(nn.Conv2d(count, hidden, 1, bias=False) for count in channels[:filters])
        self.scores = nn.ModuleList(nn.Conv2d(count, classes, 1, bias=False) for count in channels)
        self.units_bias = nn.Parameter(torch.zeros(hidden))
        self.scores_bias = nn.Parameter(torch.zeros(classes))
        # The rectifier of the units; scores stay as they are.
        least = torch.cat([torch.zeros(hidden, 1, 1), torch.full((classes, 1, 1), -torch.inf)])
        self.register_buffer("least", least, persistent=False)

    def unit_layer(self, number: int) -> nn.Conv2d:
        """From map `number`, one of the filters', to the hidden units."""
        return cast(nn.Conv2d, self.units[number])

    def score_layer(self, number: int) -> nn.Conv2d:
        """From map `number` to the classes."""
        return cast(nn.Conv2d, self.scores[number])

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps, fine and coarse, to `(N, hidden + K, H, W)`."""
        return self.finish(maps, self.coarse(maps))

    def coarse(self, maps: list[Tensor]) -> Tensor:
        """What all maps but those at full size give: `(N, hidden + K, H / 2, W / 2)`."""
        total = self.units_bias.new_zeros(0)  # nothing yet; then scores, and from the coarsest filters on units too
        for stride in sorted({stride for stride in self.strides if stride > 1}, reverse=True):
            total = self._plus_maps(total, maps, stride)
        return total

    def finish(self, maps: list[Tensor], coarse: Tensor) -> Tensor:
        """Add the maps at full size to what the coarse ones gave, which is enlarged if it is not yet."""
        return torch.maximum(self._plus_maps(coarse, maps, 1), self.get_buffer("least"))

    def _plus_maps(self, total: Tensor, maps: list[Tensor], stride: int) -> Tensor:
        """The maps of one stride on what the coarser ones gave, enlarged."""
        while total.numel() and total.shape[-1] < maps[0].shape[-1] // stride:
            total = functional.interpolate(total, scale_factor=2.0, mode="bilinear", align_corners=False)
        own = [number for number, other in enumerate(self.strides) if other == stride]
        for number in own:
            if number >= self.filters:
                scores = self.score_layer(number)(self.clips[number](maps[number]))
                total = self._plus_scores(total, scores) if total.numel() else scores
        filters = [number for number in own if number < self.filters]
        if not filters:
            return total
        bias = torch.cat([self.units_bias, self.scores_bias]) if stride == 1 else None
        found = self._filtered(maps, filters, bias)
        if not total.numel():
            return found
        return found.add_(total) if total.shape[1] == found.shape[1] else self._plus_scores(found, total)

    def _filtered(self, maps: list[Tensor], numbers: list[int], bias: Tensor | None) -> Tensor:
        """Units and scores of filter maps of one stride, by one convolution."""
        features = torch.cat([self.clips[number](maps[number]) for number in numbers], 1)
        layers = [torch.cat([self.unit_layer(n).weight, self.score_layer(n).weight]) for n in numbers]
        return functional.conv2d(features, torch.cat(layers, 1), bias)

    def _plus_scores(self, total: Tensor, scores: Tensor) -> Tensor:
        """Add scores to what may have units before its scores."""
        if total.shape[1] == scores.shape[1]:
            return total + scores
        return torch.cat([total[:, : self.hidden], total[:, self.hidden :] + scores], 1)


class PixelHead(nn.Module):
    """Scores of the hidden units, added to those that are there."""

    def __init__(self, hidden: int, classes: int) -> None:
        super().__init__()
        self.hidden = hidden
        self.output = nn.Conv2d(hidden, classes, 1)

    def forward(self, decoded: Tensor) -> Tensor:
        """Units and scores `(N, hidden + K, H, W)` to logits `(N, K, H, W)`."""
        logits: Tensor = self.output(decoded[:, : self.hidden])
        return logits + decoded[:, self.hidden :]


class PixelNetwork(Network):
    """Filters beside an encoder, and a decoder that looks at each pixel by itself.

    Parameters
    ----------
    encoder : images to feature maps, fine to coarse, with `out_channels`; the first, at full size, is not used.
    in_channels, classes : of the images, and to tell apart.
    hidden : units over the filters.
    """

    decoder: PixelDecoder
    head: PixelHead

    def __init__(self, encoder: nn.Module, in_channels: int, classes: int, hidden: int) -> None:
        filters = FilterBank(in_channels)
        widths = [int(width) for width in cast(Sequence[int], encoder.out_channels)]
        self._used = [place for place, width in enumerate(widths) if place and width]
        channels = [filters.out_channels] * len(filters.strides) + [widths[place] for place in self._used]
        strides = [*filters.strides, *(2**place for place in self._used)]
        decoder = PixelDecoder(channels, strides, len(filters.strides), hidden, classes)
        super().__init__(encoder, decoder, PixelHead(hidden, classes), stride=32)
        self.filter_bank = filters

    def features(self, images: Tensor) -> list[Tensor]:
        """Maps of the filters and of the encoder's stages, for images padded to the stride."""
        images = pad_to_multiple(images, self.stride)
        maps: list[Tensor] = self.encoder(images)
        return [*self.filter_bank(images), *(maps[place] for place in self._used)]

    @torch.no_grad()
    def take(self, fitted: PixelWeights) -> None:
        """Become what was fitted on features as `look_up` gives them."""
        decoder, head = self.decoder, self.head
        scale = 1 / fitted.std
        start = 0
        for number, clip in enumerate(decoder.clips):
            own = slice(start, start + len(clip.get_buffer("low")))
            start = own.stop
            clip.get_buffer("low").copy_(fitted.mean[own] - LIMIT * fitted.std[own])
            clip.get_buffer("high").copy_(fitted.mean[own] + LIMIT * fitted.std[own])
            # Each of the two gives logits; half their sum is the mean of what they say, in logarithms.
            decoder.score_layer(number).weight.copy_((fitted.linear[:, own] * scale[own] / 2)[..., None, None])
            if number < decoder.filters:
                decoder.unit_layer(number).weight.copy_((fitted.units[:, own] * scale[own])[..., None, None])
        shift = fitted.mean * scale
        known = fitted.units.shape[1]
        decoder.units_bias.copy_(fitted.units_bias - fitted.units @ shift[:known])
        decoder.scores_bias.copy_((fitted.linear_bias - fitted.linear @ shift) / 2)
        head.output.weight.copy_(fitted.output[..., None, None] / 2)
        cast(Tensor, head.output.bias).copy_(fitted.output_bias / 2)

    def judge_part(self, maps: Sequence[Tensor], rows: slice, columns: slice) -> Tensor:
        """Logits `(N, K, h, w)` of a part of images whose maps are known; only what it needs is computed, in strips.

        At its edges they may differ a little from those of the whole images, where maps are enlarged.
        """
        coarsest = max(self.decoder.strides)
        first = [part.start // coarsest for part in (rows, columns)]
        last = [-(-part.stop // coarsest) for part in (rows, columns)]
        finest = max(one.shape[-1] for one in maps)
        parts = []
        for one in maps:
            times = coarsest * one.shape[-1] // finest
            parts.append(one[..., first[0] * times : last[0] * times, first[1] * times : last[1] * times])
        top, left = (part.start - coarsest * start for part, start in zip((rows, columns), first, strict=True))
        height, width = (part.stop - part.start for part in (rows, columns))
        coarse, found = self.decoder.coarse(parts), []
        for start in range(0, parts[0].shape[-2], STRIP):
            stop = min(start + STRIP, parts[0].shape[-2])
            # One row more on each side to interpolate from.
            above = 1 if start else 0
            around = coarse[..., start // 2 - above : stop // 2 + 1, :]
            large = functional.interpolate(around, scale_factor=2.0, mode="bilinear", align_corners=False)
            large = large[..., 2 * above : 2 * above + stop - start, :]
            strips = [
                one[..., start:stop, :] if stride == 1 else one
                for one, stride in zip(parts, self.decoder.strides, strict=True)
            ]
            found.append(self.judge(self.decoder.finish(strips, large)))
        return torch.cat(found, -2)[..., top : top + height, left : left + width]

    def look_up(self, maps: Sequence[Tensor], rows: Tensor, columns: Tensor) -> Tensor:
        """What maps of one image hold at pixels `(M,)`, interpolated: `(M, F)`, the maps side by side."""
        found = []
        for one in maps:
            stride = maps[0].shape[-1] // one.shape[-1]
            height, width = (stride * size for size in one.shape[-2:])
            places = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], -1)
            seen = functional.grid_sample(one, places[None, None].to(one), padding_mode="border", align_corners=False)
            found.append(seen[0, :, 0].T)
        return torch.cat(found, 1)
