"""Fully convolutional networks: FCN-32s, FCN-16s and FCN-8s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import architectures, upsampling
from .encoders import make_encoder

if TYPE_CHECKING:
    from .base import Network
    from .build import NetworkSpec

__all__ = ["fcn8s", "fcn16s", "fcn32s"]

_FACTS: dict[str, Any] = {
    "family": "FCN",
    "year": 2015,
    "paper": "Long, Shelhamer, Darrell 2015, Fully convolutional networks",
    "licence": "BSD-3-Clause",
    "settings": {"upsampling": ("transposed", "bilinear", "nearest")},
}


@architectures.register("fcn32s", summary="FCN-32s: scores the coarsest features; no skip connections", **_FACTS)
def fcn32s(spec: NetworkSpec, weights_name: str) -> Network:
    """FCN-32s: class scores at stride 32, enlarged 32 times."""
    return _fcn(spec, weights_name, finest=32)


@architectures.register("fcn16s", summary="FCN-16s: adds scores at stride 16 to FCN-32s", **_FACTS)
def fcn16s(spec: NetworkSpec, weights_name: str) -> Network:
    """FCN-16s: class scores at strides 32 and 16, added, enlarged 16 times."""
    return _fcn(spec, weights_name, finest=16)


@architectures.register("fcn8s", summary="FCN-8s: adds scores at strides 16 and 8; light", **_FACTS)
def fcn8s(spec: NetworkSpec, weights_name: str) -> Network:
    """FCN-8s: class scores at strides 32, 16 and 8, added, enlarged 8 times."""
    return _fcn(spec, weights_name, finest=8)


def _fcn(spec: NetworkSpec, weights_name: str, finest: int) -> Network:
    """FCN over any encoder.

    The paper's convolutionalised fully connected layers belong to its encoder (VGG-16), and have no counterpart in
    others; score layers are 1 x 1 convolutions on the encoder's features. All upsampling is learnt, starting from
    bilinear interpolation; the paper keeps the last one bilinear. torchvision's `fcn_resnet50` is another network: it
    scores dilated features of stride 8 by two convolutions, without skip connections.
    """
    from .base import Network
    from .decoders import FcnDecoder

    encoder: Any = make_encoder(spec.model.encoder, weights_name, spec.in_channels, depth=5)
    make = upsampling[str(spec.model.upsampling)].target
    strides = [stride for stride in (8, 16, 32) if stride >= finest]
    channels: list[int] = [encoder.out_channels[stride.bit_length() - 1] for stride in strides]

    def operator(scale: int) -> Any:
        return make(spec.classes, spec.classes, scale, 2 * scale)

    return Network(encoder, FcnDecoder(channels, spec.classes, operator), operator(finest), stride=32)
