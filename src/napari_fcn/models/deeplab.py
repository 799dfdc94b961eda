"""The DeepLab line: atrous convolution, pyramids of it, and at last a decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import architectures
from .encoders import make_encoder

if TYPE_CHECKING:
    from torch import nn

    from .base import Network
    from .build import NetworkSpec

__all__ = ["deeplabv1", "deeplabv2", "deeplabv3", "deeplabv3plus"]

CHANNELS = 256
"""Of the pyramid's branches in v3 and v3+."""

_FACTS: dict[str, Any] = {"family": "DeepLab", "licence": "BSD-3-Clause"}


@architectures.register(
    "deeplabv1",
    summary="DeepLab v1: atrous convolution with a large field of view",
    year=2015,
    paper="Chen et al. 2015, Semantic image segmentation with deep convolutional nets and fully connected CRFs",
    settings={"output_stride": (8, 16)},
    **_FACTS,
)
def deeplabv1(spec: NetworkSpec, weights_name: str) -> Network:
    """DeepLab-LargeFOV over any encoder that can be dilated, without the fully connected CRF behind it."""
    from torch import nn

    from .decoders import LargeFieldOfView

    encoder = _encoder(spec, weights_name)
    decoder = LargeFieldOfView(encoder.out_channels[-1])
    return _network(spec, encoder, decoder, nn.Conv2d(1024, spec.classes, 1), _output_stride(spec))


@architectures.register(
    "deeplabv2",
    summary="DeepLab v2: atrous spatial pyramid pooling, four rates, added",
    year=2016,
    paper="Chen et al. 2018 (PAMI), DeepLab",
    settings={"output_stride": (8, 16)},
    **_FACTS,
)
def deeplabv2(spec: NetworkSpec, weights_name: str) -> Network:
    """DeepLab v2 over any encoder that can be dilated, without the fully connected CRF behind it."""
    from torch import nn

    from .decoders import SummedPyramid

    encoder = _encoder(spec, weights_name)
    decoder = SummedPyramid(encoder.out_channels[-1], spec.classes)
    return _network(spec, encoder, decoder, nn.Identity(), _output_stride(spec))


@architectures.register(
    "deeplabv3",
    summary="DeepLab v3: the pyramid with image pooling; large structures",
    year=2017,
    paper="Chen et al. 2017, Rethinking atrous convolution for semantic image segmentation",
    settings={"output_stride": (16, 8), "atrous": ("plain", "separable")},
    smallest_batch=2,
    **_FACTS,
)
def deeplabv3(spec: NetworkSpec, weights_name: str) -> Network:
    """DeepLab v3, in torchvision's form: the pyramid, one more 3 x 3 convolution, the scores.

    At output stride 8 it is torchvision's `deeplabv3_resnet50` and smp's `DeepLabV3`: the same parameters, and the same
    output for the same weights, but that these dilate at rates 12, 24, 36 whatever the output stride is, and that smp
    enlarges with corners aligned.
    """
    from torch import nn

    from .blocks import Convolution

    encoder = _encoder(spec, weights_name)
    decoder = nn.Sequential(_pyramid(spec, encoder), Convolution(CHANNELS, CHANNELS, 3))
    return _network(spec, encoder, decoder, nn.Conv2d(CHANNELS, spec.classes, 1), _output_stride(spec))


@architectures.register(
    "deeplabv3plus",
    summary="DeepLab v3+: separable atrous pyramid and a decoder; large structures with fair outlines",
    year=2018,
    paper="Chen et al. 2018, Encoder-decoder with atrous separable convolution",
    settings={"output_stride": (16, 8), "atrous": ("separable", "plain")},
    smallest_batch=2,
    **_FACTS,
)
def deeplabv3plus(spec: NetworkSpec, weights_name: str) -> Network:
    """DeepLab v3+ (Chen et al. 2018).

    The decoder is the paper's, with two 3 x 3 convolutions after the concatenation. smp's `DeepLabV3Plus` has one
    before and one after it, and dilates at rates 12, 24, 36 also at output stride 16, where the paper has 6, 12, 18.
    """
    from torch import nn

    from .decoders import SkipDecoder

    encoder = _encoder(spec, weights_name)
    decoder = SkipDecoder(
        _pyramid(spec, encoder),
        encoder.out_channels[2],
        CHANNELS,
        scale=_output_stride(spec) // 4,
        separable=spec.model.atrous == "separable",
    )
    return _network(spec, encoder, decoder, nn.Conv2d(CHANNELS, spec.classes, 1), 4)


def _output_stride(spec: NetworkSpec) -> int:
    return int(spec.model.output_stride or 16)


def _encoder(spec: NetworkSpec, weights_name: str) -> Any:
    stride = _output_stride(spec)
    return make_encoder(spec.model.encoder, weights_name, spec.in_channels, depth=5, output_stride=stride)


def _pyramid(spec: NetworkSpec, encoder: Any) -> Any:
    from .decoders import AtrousPyramid

    rates = [rate * 16 // _output_stride(spec) for rate in (6, 12, 18)]
    separable = spec.model.atrous == "separable"
    return AtrousPyramid(encoder.out_channels[-1], CHANNELS, rates, separable=separable)


def _network(spec: NetworkSpec, encoder: Any, decoder: nn.Module, scores: nn.Module, scale: int) -> Network:
    """The network whose class scores are enlarged `scale` times by bilinear interpolation, as all papers have it."""
    from torch import nn

    from .base import Network

    enlarge = nn.Upsample(scale_factor=scale, mode="bilinear", align_corners=False)
    return Network(encoder, decoder, nn.Sequential(scores, enlarge), stride=_output_stride(spec))
