"""The U-Net as it was first drawn, in its general form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import architectures, upsampling
from .encoders import make_encoder

if TYPE_CHECKING:
    from .base import Network
    from .build import NetworkSpec

__all__ = ["unet_classic"]


@architectures.register(
    "unet-classic",
    summary="the first U-Net: plain convolutions, max pooling, skip connections; nothing pretrained",
    family="U-Net",
    year=2015,
    paper="Ronneberger, Fischer, Brox 2015, U-Net",
    licence="BSD-3-Clause",
    encoder="classic",
    settings={
        "upsampling": ("transposed", "nearest", "bilinear", "max_unpool"),
        "upsampling_kernel": None,
        "depth": (4, 1, 2, 3, 5, 6),
        "width": 32,
        "convolutions": 2,
        "norm": "batch",
    },
)
def unet_classic(spec: NetworkSpec, weights_name: str) -> Network:
    """U-Net (Ronneberger, Fischer, Brox 2015), in its general form.

    Levels c1 to c5 of two convolutions each, with max pooling between them; u6 to u9 enlarge the features, concatenate
    them with the encoder's of the same level, and convolve twice; a 1 x 1 convolution scores the classes.

    Other than in the paper, convolutions are padded, so that the output is as large as the input, batch normalisation
    follows them (`norm` "none" leaves it out), and c1 has 32 channels (`width` 64 makes them 64, at four times the
    time).
    """
    from torch import nn

    from .base import Network
    from .decoders import UnetDecoder

    model = spec.model
    operator = upsampling[str(model.upsampling)]
    encoder: Any = make_encoder(
        model.encoder,
        weights_name,
        spec.in_channels,
        depth=model.depth,
        width=model.width,
        convolutions=model.convolutions,
        norm=model.norm,
        return_indices=bool(operator.details.get("needs_indices")),
    )
    decoder = UnetDecoder(
        encoder.out_channels,
        lambda i, o: operator.target(i, o, 2, model.upsampling_kernel),
        convolutions=int(model.convolutions or 2),
        norm=str(model.norm),
    )
    head = nn.Conv2d(encoder.out_channels[0], spec.classes, 1)
    return Network(encoder, decoder, head, stride=2 ** int(model.depth or 4))
