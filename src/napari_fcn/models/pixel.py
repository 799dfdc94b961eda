"""The pixel head: classes from single pixels' features, of filters and of a pretrained encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import architectures
from .encoders import make_encoder

if TYPE_CHECKING:
    from .base import Network
    from .build import NetworkSpec

__all__ = ["pixel"]

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
    from .pixel_network import PixelNetwork

    encoder: Any = make_encoder(spec.model.encoder, weights_name, spec.in_channels, depth=5)
    return PixelNetwork(encoder, spec.in_channels, spec.classes, HIDDEN)
