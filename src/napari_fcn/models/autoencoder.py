"""The autoencoder: an encoder, a code, and a mirrored decoder without skip connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..registry import architectures, upsampling
from .encoders import make_encoder

if TYPE_CHECKING:
    from .base import Network
    from .build import NetworkSpec

__all__ = ["autoencoder"]


@architectures.register(
    "autoencoder",
    summary="encoder, code, mirrored decoder, no skip connections; what unlabelled images are learnt with",
    family="autoencoder",
    year=2006,
    paper="Hinton and Salakhutdinov 2006, Reducing the dimensionality of data; Noh, Hong, Han 2015, Deconvolution net",
    licence="BSD-3-Clause",
    settings={
        "upsampling": ("nearest", "bilinear", "transposed", "max_unpool"),
        "upsampling_kernel": None,
        "depth": (5, 4, 3, 2, 1),
        "code": 128,
    },
)
def autoencoder(spec: NetworkSpec, weights_name: str) -> Network:
    """Convolutional autoencoder over any encoder.

    The encoder's coarsest features become a code of `code` channels by a 1 x 1 convolution, and go back the same way;
    the decoder then enlarges them level by level, to the widths that the encoder has there, with two convolutions
    each. Everything that reaches the output has gone through the code, but for the places of maxima that max
    unpooling takes. With as many outputs as channels it reconstructs images, with a score for each class it segments
    them: then it is the encoder-decoder of Noh, Hong and Han 2015 and, with max unpooling, of SegNet.
    """
    from torch import nn

    from .base import Network
    from .decoders import CodeDecoder
    from .pooling import with_indices

    model = spec.model
    operator = upsampling[str(model.upsampling)]
    depth = int(model.depth or 5)
    encoder: Any
    if operator.details.get("needs_indices"):
        encoder = with_indices(model.encoder, weights_name, spec.in_channels, depth=depth)
    else:
        encoder = make_encoder(model.encoder, weights_name, spec.in_channels, depth=depth)
    if len(encoder.out_channels) != depth + 1:
        raise InputError(
            f"`depth` of an autoencoder over {model.encoder!r} must be {len(encoder.out_channels) - 1}. Got {depth}."
        )
    decoder = CodeDecoder(
        encoder.out_channels,
        int(model.code or encoder.out_channels[-1]),
        lambda i, o: operator.target(i, o, 2, model.upsampling_kernel),
    )
    return Network(encoder, decoder, nn.Conv2d(decoder.widths[0], spec.classes, 3, padding=1), stride=2**depth)
