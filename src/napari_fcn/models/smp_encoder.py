"""Encoders of segmentation-models-pytorch and, through it, of timm: random or downloaded, and dilated."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import timm
from segmentation_models_pytorch.encoders import get_encoder

from ..errors import InputError
from .atrous import cannot_dilate, dilate
from .filling import fill
from .hub import asking_for, find_weights, weights_of
from .stages import cut_off

if TYPE_CHECKING:
    from torch import nn

    from .encoders import EncoderSource

__all__ = ["downloaded_encoder", "random_encoder"]


def random_encoder(source: EncoderSource, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder with random weights; `settings` are `depth` and `output_stride`."""
    return _get(source, source.smp_name, None, in_channels, **settings)


def downloaded_encoder(source: EncoderSource, weights_name: str, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder with weights that are downloaded once."""
    if weights_name == "imagenet":
        return _get(source, source.smp_name, weights_name, in_channels, **settings)
    name = find_weights(source.smp_name, weights_name) or weights_name
    if "." not in name:
        return _get(source, source.smp_name, name, in_channels, **settings)
    if source.smp_name.startswith("tu-"):
        return _get(source, f"tu-{name}", weights_name, in_channels, **settings)
    what = weights_of(source.name, weights_name)
    encoder = random_encoder(source, in_channels, **settings)
    with asking_for(what, _instead()):
        tensors = timm.create_model(name, pretrained=True).state_dict()
    fill(encoder, tensors, in_channels, what=what, whose=source.name)
    return encoder


def _get(
    source: EncoderSource,
    smp_name: str,
    weights_name: str | None,
    in_channels: int,
    *,
    depth: int = 5,
    output_stride: int = 32,
) -> nn.Module:
    """An encoder of segmentation-models-pytorch, random or, with a name of weights, downloaded."""
    ours = not smp_name.startswith("tu-")
    # timm dilates by itself, and rightly; what it cannot dilate does not know the setting.
    settings: dict[str, Any] = {"in_channels": in_channels, "depth": depth}
    if not ours:
        settings["output_stride"] = output_stride
    if weights_name is not None:
        settings["weights"] = weights_name if ours else True
    asking = asking_for(weights_of(source.name, weights_name), _instead()) if weights_name else contextlib.nullcontext()
    try:
        with asking:
            encoder: Any = get_encoder(smp_name, **settings)
    except (TypeError, AssertionError) as error:
        if ours or output_stride == 32:
            raise _unusable(source, error) from error
        raise InputError(cannot_dilate(source.name, output_stride, "timm has no such setting for it")) from error
    except (ValueError, RuntimeError, AttributeError, NotImplementedError, KeyError) as error:
        raise _unusable(source, error) from error
    if hasattr(encoder, "_conv_head"):
        # What leads to EfficientNet's classifier, which smp keeps, and from which no feature comes.
        del encoder._conv_head, encoder._bn1
    if ours and output_stride != 32:
        dilate(encoder, output_stride, name=source.name)
    if smp_name.startswith("mit_"):
        # Its attention takes places together, at stride 4 the most: 8 x 8 of them.
        encoder.smallest_size = 32
    if depth < 5:
        cut_off(encoder)
    network: nn.Module = encoder
    return network


def _unusable(source: EncoderSource, error: Exception) -> InputError:
    from .encoders import offline_encoders

    reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
    return InputError(f"{source.name!r} cannot be used as an encoder here ({reason}); use {offline_encoders()[0]!r}.")


def _instead() -> str:
    from .encoders import offline_encoders

    names = ", ".join(offline_encoders())
    return f"these work offline: {names}, and every encoder with a file or with weights 'none'"
