"""Where an encoder's first values come from: ImageNet, nowhere, satellite images, a file, or a name at the model hub.

The registered kinds are `imagenet`, `none` and four satellite networks. Any other text is a path when it looks like
one, and else the name of other weights that the hub has for the encoder, such as "ssl" or "a1_in1k".
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from ..errors import InputError, UnknownNameError
from ..registry import encoders, nearest, weights
from . import satellite, weights_file
from .hub import weights_of

if TYPE_CHECKING:
    from torch import nn

    from .encoders import EncoderSource

__all__ = ["check", "imagenet", "load", "none", "value_range"]


@weights.register(
    "imagenet",
    summary="what the encoder learnt from 1.3 million photographs",
    offline="encoders that work offline",
    licence="the encoder's",
    source="the encoder's",
    channels=None,
    normalization="the photographs' values, standardised as in the encoder's own training",
)
def imagenet(source: EncoderSource, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder with ImageNet weights; the first convolution is adapted to the number of channels."""
    if source.imagenet is None:
        from .smp_encoder import downloaded_encoder

        return downloaded_encoder(source, "imagenet", in_channels, **settings)
    what = weights_of(source.name, "imagenet")
    content = source.imagenet.read(what)
    import torch

    from .filling import fill

    encoder = none(source, in_channels, **settings)
    published = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    # Their names differ from timm's, their order does not; the classifier's come last and are left over.
    renamed = dict(zip(encoder.state_dict(), published.values(), strict=False))
    fill(encoder, renamed, in_channels, what=what, whose=source.name)
    return encoder


@weights.register(
    "none",
    summary="random first values; everything is learnt from the labels",
    offline="any encoder",
    licence="none needed",
    source="random numbers",
    channels=None,
    normalization="mean 0 and deviation 1 of each channel",
)
def none(source: EncoderSource, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder with random weights."""
    if source.own:
        from .classic import ClassicEncoder

        return ClassicEncoder(in_channels, **settings)
    from .smp_encoder import random_encoder

    return random_encoder(source, in_channels, **settings)


def _register_satellite(name: str, published: satellite.SatelliteWeights) -> None:
    @weights.register(
        name,
        summary=f"what a cloud and shadow network learnt from {len(published.bands)} bands of {published.level}",
        offline=satellite.ENCODER,
        licence="Apache-2.0",
        source=published.file.package,
        extra=published.file.extra,
        encoder=satellite.ENCODER,
        channels=len(published.bands),
        bands=published.bands,
        normalization="mean 0 and deviation 1 of each band",
        sha256=published.file.sha256,
        paper="Wieland, Li and Martinis 2019, Multi-sensor cloud and cloud shadow segmentation",
    )
    def load_satellite(source: EncoderSource, in_channels: int, **settings: Any) -> nn.Module:
        from .filling import fill

        tensors = published.for_channels(satellite.initializers(name), in_channels)
        encoder = none(source, in_channels, **settings)
        fill(encoder, tensors, in_channels, what=weights_of(source.name, name), whose=source.name)
        return encoder


for _name, _published in satellite.SATELLITE.items():
    _register_satellite(_name, _published)


def load(source: EncoderSource, weights_name: str, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder with the named weights; `check` has been asked before."""
    if weights_name in weights:
        encoder: nn.Module = weights[weights_name].target(source, in_channels, **settings)
        return encoder
    if not weights_file.is_file_name(weights_name):
        from .smp_encoder import downloaded_encoder

        return downloaded_encoder(source, weights_name, in_channels, **settings)
    from .filling import fill

    tensors = weights_file.read_tensors(weights_name)
    encoder = none(source, in_channels, **settings)
    model = weights_file.read_document(weights_name).get("model")
    made_with = model.get("encoder") if isinstance(model, dict) else None
    hint = f"; the file was made with the encoder {made_with!r}" if made_with not in (None, source.name) else ""
    what = f"The weights in {weights_name!r}"
    fill(encoder, tensors, in_channels, what=what, whose=source.name, hint=hint)
    return encoder


def check(source: EncoderSource, weights_name: str, in_channels: int | None = None) -> None:
    """Raise what making the encoder would raise, as far as it can be known without making it.

    Raises
    ------
    UnknownNameError, InputError, MissingExtraError
        As for `make_encoder`.
    """
    if weights_name == "imagenet":
        _check_imagenet(source)
    elif weights_name in satellite.SATELLITE:
        _check_satellite(source, weights_name, in_channels)
    elif weights_file.is_file_name(weights_name):
        weights_file.check_file(weights_name)
    elif weights_name not in weights:
        _check_hub(source, weights_name)


def _check_imagenet(source: EncoderSource) -> None:
    if source.imagenet is not None:
        source.imagenet.require(weights_of(source.name, "imagenet"))
        return
    others: list[str] = []
    if not source.own:
        from .hub import has_imagenet, hub_weights

        # The registered ones have them; asking would take seconds, because smp must be imported.
        if source.name in encoders or has_imagenet(source.smp_name):
            return
        others = list(hub_weights(source.smp_name))
    instead = " or ".join(map(repr, ["none", *others]))
    raise InputError(f"The encoder {source.name!r} has no ImageNet weights; use weights {instead}.")


def _check_satellite(source: EncoderSource, name: str, in_channels: int | None) -> None:
    published = satellite.SATELLITE[name]
    if source.name != satellite.ENCODER:
        raise InputError(f"The weights {name!r} are for the encoder {satellite.ENCODER!r}. Got {source.name!r}.")
    published.file.require(weights_of(source.name, name))
    if in_channels is not None:
        published.check_channels(name, in_channels)


def _check_hub(source: EncoderSource, weights_name: str) -> None:
    from .hub import find_weights, hub_weights

    if not source.own and find_weights(source.smp_name, weights_name):
        return
    known = [name for name, entry in weights.items() if entry.details.get("encoder") in (None, source.name)]
    if not source.own:
        known = list(dict.fromkeys(known + list(hub_weights(source.smp_name))))
    close = nearest(weights_name, known)
    endings = ", ".join(weights_file.SUFFIXES)
    hint = f"the nearest is {close!r}" if close else f"known are {', '.join(known)} and files ({endings})"
    raise UnknownNameError(f"There are no weights {weights_name!r} for the encoder {source.name!r}; {hint}.")


def value_range(source: EncoderSource, weights_name: str) -> tuple[float, float]:
    """Gain and offset that bring standardised values into the range that the weights expect, as `encoder_range`."""
    check(source, weights_name)
    if weights_file.is_file_name(weights_name):
        stored = _stored_range(weights_name)
        if stored is not None:
            return stored
        weights_name = "imagenet"
    if source.own or (weights_name in weights and weights_name != "imagenet"):
        return 1.0, 0.0
    if source.imagenet is not None and weights_name == "imagenet":
        mean, std = 0.5, 0.5
    else:
        from .hub import hub_statistics

        mean, std = hub_statistics(source.smp_name, None if weights_name == "imagenet" else weights_name)
    return 0.226 / std, (0.449 - mean) / std


def _stored_range(path: str) -> tuple[float, float] | None:
    """Gain and offset from a file that this package wrote."""
    try:
        normalization = weights_file.read_document(path)["normalization"]
        return float(normalization["gain"]), float(normalization["offset"])
    except (KeyError, TypeError, ValueError):
        return None
