"""Decoders: from the encoder's features, fine to coarse, to one feature map."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from .blocks import Convolution
from .classic import level

__all__ = [
    "AtrousPyramid",
    "CodeDecoder",
    "EnlargeFirst",
    "FcnDecoder",
    "FourStrides",
    "LargeFieldOfView",
    "SkipDecoder",
    "SummedPyramid",
    "UnetDecoder",
]

FEWEST_CHANNELS = 16
"""Of a level of an autoencoder's decoder: some encoders begin with the image itself, or give nothing at a level."""


class FcnDecoder(nn.Module):
    """Class scores of several strides, added (Long, Shelhamer, Darrell 2015, figure 3).

    Parameters
    ----------
    in_channels : channels of the features that are scored, fine to coarse, each of half the stride of the next; they
        are the encoder's last ones.
    classes : number of classes K.
    operator : makes the module that enlarges scores by a factor.
    """

    def __init__(self, in_channels: Sequence[int], classes: int, operator: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.scores = nn.ModuleList(nn.Conv2d(channels, classes, 1) for channels in in_channels)
        self.upsampling = nn.ModuleList(operator(2) for _ in in_channels[1:])

    def forward(self, features: list[Tensor]) -> Tensor:
        """Scores `(N, K, h, w)` at the stride of the finest scored features."""
        used = features[-len(self.scores) :]
        fused: Tensor = self.scores[-1](used[-1])
        for number in reversed(range(len(self.upsampling))):
            fused = self.upsampling[number](fused) + self.scores[number](used[number])
        return fused


class UnetDecoder(nn.Module):
    """Upsampling, concatenation with the encoder's features of the same level, convolutions; level by level.

    Parameters
    ----------
    channels : of the encoder's levels, fine to coarse.
    operator : makes the module that doubles height and width, from (in_channels, out_channels).
    convolutions, norm : of each level.

    Notes
    -----
    When the encoder's list is longer than its levels, the rest are its poolings' indices, for max unpooling.
    """

    def __init__(
        self, channels: Sequence[int], operator: Callable[[int, int], nn.Module], *, convolutions: int, norm: str
    ) -> None:
        super().__init__()
        pairs = list(itertools.pairwise(channels))
        self.upsampling = nn.ModuleList(operator(coarse, fine) for fine, coarse in pairs)
        self.levels = nn.ModuleList(level(2 * fine, fine, convolutions, norm) for fine, _ in pairs)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features `(N, channels[0], H, W)`."""
        count = len(self.levels)
        indices = features[count + 1 :]
        decoded = features[count]
        for number in reversed(range(count)):
            enlarge = self.upsampling[number]
            decoded = enlarge(decoded, indices[number]) if indices else enlarge(decoded)
            decoded = self.levels[number](torch.cat([features[number], decoded], dim=1))
        return decoded


class CodeDecoder(nn.Module):
    """From the encoder's coarsest features to a code, and from the code back up, without skip connections.

    Parameters
    ----------
    channels : of the encoder's levels, fine to coarse.
    code : channels of the code.
    operator : makes the module that doubles height and width, from (in_channels, out_channels).

    Attributes
    ----------
    widths : channels of the decoder's levels, fine to coarse: the encoder's, but for levels where it has next to none.
    log_variance : makes the logarithm of the code's variance, for a variational autoencoder; else None.
    squash : what the code goes through.
    learnt : whether its values come from an autoencoder.

    Notes
    -----
    When the encoder's list is longer than its levels, the rest are its poolings' indices, for max unpooling.
    """

    def __init__(self, channels: Sequence[int], code: int, operator: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        self.widths = [max(FEWEST_CHANNELS, count) for count in channels[:-1]]
        self.to_code = nn.Conv2d(channels[-1], code, 1)
        self.log_variance: nn.Conv2d | None = None
        self.squash: nn.Module = nn.Identity()
        self.learnt = False
        self.from_code = Convolution(code, channels[-1], 1)
        pairs = list(itertools.pairwise([*self.widths, channels[-1]]))
        self.upsampling = nn.ModuleList(operator(coarse, fine) for fine, coarse in pairs)
        self.levels = nn.ModuleList(level(fine, fine, 2, "batch") for fine, _ in pairs)

    def make_code(self, kind: str) -> None:
        """Make of the code what a kind of autoencoder wants: "plain", "gaussian" or, between 0 and 1, "sigmoid".

        A Gaussian code gets a layer for its variance, which begins small; what `encode` gives is its mean.
        """
        self.squash = nn.Sigmoid() if kind == "sigmoid" else nn.Identity()
        self.log_variance = None
        if kind == "gaussian":
            self.log_variance = nn.Conv2d(self.to_code.in_channels, self.to_code.out_channels, 1)
            nn.init.zeros_(self.log_variance.weight)
            nn.init.constant_(self.log_variance.bias, -4.0)  # type: ignore[arg-type]

    def encode(self, features: list[Tensor]) -> Tensor:
        """The code `(N, code, h, w)` for the encoder's features."""
        code: Tensor = self.squash(self.to_code(features[len(self.levels)]))
        return code

    def indices(self, features: list[Tensor]) -> list[Tensor]:
        """The poolings' indices among what the encoder gives; none when there is no max unpooling."""
        return features[len(self.levels) + 1 :]

    def decode(self, code: Tensor, indices: Sequence[Tensor] = ()) -> Tensor:
        """Features `(N, widths[0], H, W)` for a code."""
        decoded: Tensor = self.from_code(code)
        for number in reversed(range(len(self.levels))):
            enlarge = self.upsampling[number]
            decoded = self.levels[number](enlarge(decoded, indices[number]) if indices else enlarge(decoded))
        return decoded

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features `(N, widths[0], H, W)`."""
        return self.decode(self.encode(features), self.indices(features))


class EnlargeFirst(nn.Module):
    """An upsampling operator before a decoder's block that would else interpolate."""

    def __init__(self, operator: nn.Module, block: nn.Module) -> None:
        super().__init__()
        self.operator = operator
        self.block = block

    def forward(self, features: Tensor, height: int, width: int, skip_connection: Tensor | None = None) -> Tensor:
        """As smp's U-Net block, which gets features that have the wanted size."""
        decoded: Tensor = self.block(self.operator(features), height, width, skip_connection=skip_connection)
        return decoded


class FourStrides(nn.Module):
    """A decoder that takes four feature maps, and class tokens that there are none of here."""

    def __init__(self, decoder: nn.Module) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features `(N, C, H/2, W/2)` from the encoder's last four."""
        decoded: Tensor = self.decoder(features[-4:], [None] * 4)
        return decoded


class LargeFieldOfView(nn.Module):
    """The convolutionalised fully connected layers of DeepLab-LargeFOV: 3 x 3 at rate 12, then 1 x 1.

    Chen et al. 2015, Semantic image segmentation with deep convolutional nets and fully connected CRFs, section 4: 1024
    channels, each followed by ReLU and dropout 0.5.
    """

    def __init__(self, in_channels: int, channels: int = 1024, rate: int = 12) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            Convolution(in_channels, channels, 3, dilation=rate, norm="none"),
            nn.Dropout2d(0.5),
            Convolution(channels, channels, 1, norm="none"),
            nn.Dropout2d(0.5),
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features `(N, channels, h, w)` from the encoder's coarsest."""
        decoded: Tensor = self.layers(features[-1])
        return decoded


class SummedPyramid(nn.Module):
    """Atrous spatial pyramid of DeepLab v2: a 3 x 3 scoring convolution for each rate, added.

    Chen et al. 2018 (PAMI), DeepLab, section 3.2 and, for residual encoders, as its authors published it: each branch
    scores the classes directly.
    """

    def __init__(self, in_channels: int, classes: int, rates: Sequence[int] = (6, 12, 18, 24)) -> None:
        super().__init__()
        branches = [nn.Conv2d(in_channels, classes, 3, padding=rate, dilation=rate) for rate in rates]
        for branch in branches:
            nn.init.normal_(branch.weight, std=0.01)
        self.branches = nn.ModuleList(branches)

    def forward(self, features: list[Tensor]) -> Tensor:
        """Class scores `(N, K, h, w)` from the encoder's coarsest features."""
        scores: Tensor = self.branches[0](features[-1])
        for branch in self.branches[1:]:
            scores = scores + branch(features[-1])
        return scores


class AtrousPyramid(nn.Module):
    """Atrous spatial pyramid pooling with image pooling, of DeepLab v3.

    Chen et al. 2017, Rethinking atrous convolution, section 3.3: a 1 x 1 convolution, three 3 x 3 atrous ones, and the
    mean over the image; concatenated, and projected by a 1 x 1 convolution.

    Parameters
    ----------
    in_channels, channels : of the features and of each branch.
    rates : of the three atrous convolutions: (6, 12, 18) at output stride 16, twice as much at 8.
    separable : depthwise separable atrous convolutions, as in DeepLab v3+.

    Notes
    -----
    The mean over the image is batch-normalised: in training it takes two images at least.
    """

    def __init__(self, in_channels: int, channels: int, rates: Sequence[int], *, separable: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                Convolution(in_channels, channels, 1),
                *(Convolution(in_channels, channels, 3, dilation=rate, separable=separable) for rate in rates),
            ]
        )
        self.pooling = nn.Sequential(nn.AdaptiveAvgPool2d(1), Convolution(in_channels, channels, 1))
        self.project = nn.Sequential(Convolution((len(rates) + 2) * channels, channels, 1), nn.Dropout(0.5))

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features `(N, channels, h, w)` from the encoder's coarsest."""
        coarsest = features[-1]
        branches = [branch(coarsest) for branch in self.branches]
        branches.append(functional.interpolate(self.pooling(coarsest), size=coarsest.shape[-2:], mode="nearest"))
        decoded: Tensor = self.project(torch.cat(branches, dim=1))
        return decoded


class SkipDecoder(nn.Module):
    """The decoder of DeepLab v3+: the pyramid's features, enlarged, beside the encoder's of stride 4.

    Chen et al. 2018, Encoder-decoder with atrous separable convolution, section 3.1 and table 2: low-level features are
    reduced to 48 channels by a 1 x 1 convolution; two 3 x 3 convolutions with 256 channels follow.
    """

    def __init__(
        self, pyramid: AtrousPyramid, low_channels: int, channels: int, *, scale: int, separable: bool
    ) -> None:
        super().__init__()
        self.pyramid = pyramid
        self.low = Convolution(low_channels, 48, 1)
        self.enlarge = nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False)
        self.fuse = nn.Sequential(
            Convolution(channels + 48, channels, 3, separable=separable),
            Convolution(channels, channels, 3, separable=separable),
        )

    def forward(self, features: list[Tensor]) -> Tensor:
        """Features `(N, channels, H/4, W/4)`."""
        deep = self.enlarge(self.pyramid(features))
        decoded: Tensor = self.fuse(torch.cat([deep, self.low(features[2])], dim=1))
        return decoded
