"""The pixel head: classes from single pixels' features, of filters and of a pretrained encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from ..registry import architectures
from .encoders import make_encoder

if TYPE_CHECKING:
    from torch import nn

    from .base import Network
    from .build import NetworkSpec
    from .pixel_network import PixelNetwork

__all__ = ["pixel", "pixel_network", "suits_pixels"]

DEPTH = 5
"""Halvings of the encoder."""
HIDDEN = 32
"""Units of the hidden layer over the filters."""


@architectures.register(
    "pixel",
    summary="pixel head: filters and encoder features, classified pixel by pixel; learns from strokes in a second",
    family="pixel classifier",
    year=2017,
    paper="Arganda-Carreras et al. 2017, Trainable Weka Segmentation; Hariharan et al. 2015, Hypercolumns",
    licence="BSD-3-Clause",
    fitted=True,
)
def pixel(spec: NetworkSpec, weights_name: str) -> Network:
    """A small network on multi-scale filters and a linear map of the encoder's stages, added.

    What lies before the hidden layer and in the linear map is computed at each map's own resolution and enlarged
    afterwards, as the score layers of an FCN: linear maps and interpolation can change places.
    """
    encoder: Any = make_encoder(spec.model.encoder, weights_name, spec.in_channels, depth=DEPTH)
    return pixel_network(encoder, spec.in_channels, spec.classes)


def suits_pixels(network: Network) -> bool:
    """Whether the network's encoder is one that a pixel head looks through: of five halvings, not dilated."""
    return network.stride == 2**DEPTH and len(cast(Sequence[int], network.encoder.out_channels)) == DEPTH + 1


def pixel_network(encoder: nn.Module, in_channels: int, classes: int) -> PixelNetwork:
    """A pixel head on an encoder that is there already, see `suits_pixels`."""
    from .pixel_network import PixelNetwork

    return PixelNetwork(encoder, in_channels, classes, HIDDEN)
