"""The autoencoder: an encoder, a code, and a mirrored decoder without skip connections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..registry import architectures, upsampling
from .encoders import make_encoder
from .weights_file import is_file_name, read_document, read_tensors

if TYPE_CHECKING:
    from ..config import ModelConfig
    from .base import Network
    from .build import NetworkSpec
    from .decoders import CodeDecoder

__all__ = ["autoencoder", "decoder_note"]


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

    Of a file that an autoencoder was saved in, the decoder is taken too, when its depth, code and upsampling are these.
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
    if is_file_name(weights_name):
        decoder.learnt = _take_over(decoder, weights_name)
    return Network(encoder, decoder, nn.Conv2d(decoder.widths[0], spec.classes, 3, padding=1), stride=2**depth)


def decoder_note(network: Network, model: ModelConfig) -> str | None:
    """A sentence about where the decoder of an autoencoder that starts from an autoencoder's file comes from."""
    if model.architecture != "autoencoder" or not is_file_name(model.weights):
        return None
    document = read_document(model.weights)
    if document.get("what") != "autoencoder":
        return None
    if network.decoder.learnt:
        return "The decoder starts from the file's too."
    names = ("depth", "code", "upsampling")
    settings = ", ".join(f"{name} {document['model'].get(name)}" for name in names)
    return f"The decoder starts from random values, because the file's is another one: {settings}."


def _take_over(decoder: CodeDecoder, weights_name: str) -> bool:
    """Fill a decoder from an autoencoder's file, when all of it is there and means the same; whether it did."""
    document = read_document(weights_name)
    if document.get("what") != "autoencoder" or document.get("code") == "sigmoid":
        return False
    learnt = read_tensors(weights_name)
    wanted = decoder.state_dict()
    found = {name: learnt.get(f"decoder.{name}") for name in wanted}
    taken = {name: tensor for name, tensor in found.items() if tensor is not None}
    if any(name not in taken or taken[name].shape != tensor.shape for name, tensor in wanted.items()):
        return False
    decoder.load_state_dict(taken)
    return True
