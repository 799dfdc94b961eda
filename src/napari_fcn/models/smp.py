"""Architectures whose decoders come from segmentation-models-pytorch.

Each is a name, a decoder and what the decoder asks of its input; the encoder, the padding to its stride and the
contract are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import architectures, upsampling
from .encoders import make_encoder

if TYPE_CHECKING:
    from .base import Network
    from .build import NetworkSpec

__all__ = ["deeplabv3plus", "fpn", "linknet", "unet"]


@architectures.register(
    "unet",
    summary="U-Net: skip connections bring fine detail back; the first choice",
    family="U-Net",
    year=2015,
    paper="Ronneberger, Fischer, Brox 2015, U-Net",
    upsampling=True,
)
def unet(spec: NetworkSpec, weights_name: str) -> Network:
    """U-Net with any encoder."""
    mode = upsampling[spec.model.upsampling].target()
    return _network("Unet", spec, weights_name, stride=32, decoder_interpolation=mode)


@architectures.register(
    "fpn",
    summary="feature pyramid: light, for things of many sizes",
    family="FPN",
    year=2017,
    paper="Kirillov et al. 2017, A unified architecture for instance and semantic segmentation",
    upsampling=True,
)
def fpn(spec: NetworkSpec, weights_name: str) -> Network:
    """Feature pyramid network."""
    mode = upsampling[spec.model.upsampling].target()
    return _network("FPN", spec, weights_name, stride=32, decoder_interpolation=mode)


@architectures.register(
    "linknet",
    summary="LinkNet: a U-Net that adds instead of concatenating; light",
    family="U-Net",
    year=2017,
    paper="Chaurasia and Culurciello 2017, LinkNet",
)
def linknet(spec: NetworkSpec, weights_name: str) -> Network:
    """LinkNet."""
    return _network("Linknet", spec, weights_name, stride=32)


@architectures.register(
    "deeplabv3plus",
    summary="DeepLab v3+: atrous pyramid and a decoder; large structures with fair outlines",
    family="DeepLab",
    year=2018,
    paper="Chen et al. 2018, Encoder-decoder with atrous separable convolution",
    smallest_batch=2,
)
def deeplabv3plus(spec: NetworkSpec, weights_name: str) -> Network:
    """DeepLab v3+ at output stride 16."""
    return _network("DeepLabV3Plus", spec, weights_name, stride=16, output_stride=16)


def _network(name: str, spec: NetworkSpec, weights_name: str, *, stride: int, **settings: Any) -> Network:
    """Smp's model `name` with its encoder replaced by ours, which may carry the built-in weights.

    smp makes the model with a random encoder, so that decoder and head fit the encoder's channels; encoder settings
    such as dilation are taken over.
    """
    import segmentation_models_pytorch as smp

    from .base import Network
    from .encoders import resolve

    encoder_settings = {"output_stride": settings["output_stride"]} if "output_stride" in settings else {}
    encoder = make_encoder(spec.model.encoder, weights_name, spec.in_channels, depth=5, **encoder_settings)
    if name == "DeepLabV3Plus":
        settings["encoder_output_stride"] = settings.pop("output_stride")
    model = getattr(smp, name)(
        resolve(spec.model.encoder).smp_name,
        encoder_weights=None,
        in_channels=spec.in_channels,
        classes=spec.classes,
        **settings,
    )
    return Network(encoder, model.decoder, model.segmentation_head, stride=stride)
