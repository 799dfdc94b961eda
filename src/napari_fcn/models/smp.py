"""Architectures whose decoders come from segmentation-models-pytorch.

Each is a name, a decoder and a head with smp's usual sizes; the encoder, the padding to its stride and the contract are
ours. The decoders are made directly, without smp's models around them, so that they go with every encoder here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import architectures, upsampling
from .encoders import make_encoder, resolve

if TYPE_CHECKING:
    from torch import nn

    from .base import Network
    from .build import NetworkSpec

__all__ = [
    "decoder_widths",
    "dpt",
    "fpn",
    "linknet",
    "manet",
    "pan",
    "pspnet",
    "segformer",
    "unet",
    "unetplusplus",
    "upernet",
]

_INTERPOLATIONS = ("nearest", "bilinear")
_WIDTH = 16
"""Channels at the end of smp's decoders of U-Net's kind; each coarser level has twice as many. With fewer at the end, a
few painted pixels are learnt more slowly."""
_DEPTHS = (5, 4, 3, 2)
"""Where the pretrained encoder may be cut: with 3 it ends at stride 8, and the new decoder goes on from there."""


def _facts(family: str, year: int, paper: str, **more: Any) -> dict[str, Any]:
    return {"family": family, "year": year, "paper": paper, "licence": "MIT", **more}


@architectures.register(
    "unet",
    summary="U-Net: skip connections bring fine detail back; the first choice",
    **_facts("U-Net", 2015, "Ronneberger, Fischer, Brox 2015, U-Net"),
    settings={"upsampling": (*_INTERPOLATIONS, "transposed"), "upsampling_kernel": None, "depth": _DEPTHS, "width": 16},
    usual_with={"frozen": {"width": 8}},
)
def unet(spec: NetworkSpec, weights_name: str) -> Network:
    """U-Net over any encoder.

    The decoder has smp's channels. With `width` 8 it has half of them, but for the last level: a step takes less time,
    most of all where the encoder is frozen, so that is usual there; fine-tuned, a few painted pixels take more steps.

    Transposed convolution is put before smp's blocks, which then find nothing left to enlarge. Max unpooling takes the
    indices of a max pooling, which pretrained encoders do not have in every stage; it is in `unet-classic`.
    """
    from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

    from .decoders import EnlargeFirst
    from .enlarged import quicken

    encoder, widths, stride = _cut_encoder(spec, weights_name)
    learnt = spec.model.upsampling == "transposed"
    decoder = UnetDecoder(
        encoder.out_channels,
        widths,
        len(widths),
        add_center_block=_is_vgg(spec),
        interpolation_mode="nearest" if learnt else spec.model.upsampling,
    )
    network = _network(spec, encoder, decoder, _head(widths[-1], spec), stride=stride)
    if learnt:
        make = upsampling["transposed"].target
        channels = [encoder.out_channels[-1], *widths]
        for number, block in enumerate(decoder.blocks):
            operator = make(channels[number], channels[number], 2, spec.model.upsampling_kernel)
            decoder.blocks[number] = EnlargeFirst(operator, block)
    elif spec.model.upsampling == "nearest":
        quicken(decoder.blocks)
    return network


@architectures.register(
    "unet++",
    summary="U-Net++: nested skip connections; slower",
    **_facts("U-Net", 2018, "Zhou et al. 2018, UNet++"),
    settings={"upsampling": _INTERPOLATIONS, "depth": _DEPTHS},
)
def unetplusplus(spec: NetworkSpec, weights_name: str) -> Network:
    """U-Net++ over any encoder."""
    from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder

    from .enlarged import quicken

    encoder, widths, stride = _cut_encoder(spec, weights_name)
    decoder = UnetPlusPlusDecoder(encoder.out_channels, widths, len(widths), interpolation_mode=spec.model.upsampling)
    network = _network(spec, encoder, decoder, _head(widths[-1], spec), stride=stride)
    if spec.model.upsampling == "nearest":
        quicken(decoder.blocks, nested=True)
    return network


@architectures.register(
    "manet",
    summary="MA-Net: a U-Net with attention between places and between channels",
    **_facts("U-Net", 2020, "Fan et al. 2020, MA-Net"),
    settings={"upsampling": _INTERPOLATIONS, "depth": _DEPTHS},
)
def manet(spec: NetworkSpec, weights_name: str) -> Network:
    """MA-Net over any encoder."""
    from segmentation_models_pytorch.decoders.manet.decoder import MAnetDecoder

    encoder, widths, stride = _cut_encoder(spec, weights_name)
    decoder = MAnetDecoder(encoder.out_channels, widths, len(widths), interpolation_mode=spec.model.upsampling)
    return _network(spec, encoder, decoder, _head(widths[-1], spec), stride=stride)


@architectures.register(
    "linknet",
    summary="LinkNet: a U-Net that adds instead of concatenating; light",
    **_facts("U-Net", 2017, "Chaurasia and Culurciello 2017, LinkNet"),
    settings={"depth": _DEPTHS},
)
def linknet(spec: NetworkSpec, weights_name: str) -> Network:
    """LinkNet over any encoder."""
    from segmentation_models_pytorch.decoders.linknet.decoder import LinknetDecoder

    encoder, widths, stride = _cut_encoder(spec, weights_name)
    decoder = LinknetDecoder(encoder.out_channels, n_blocks=len(widths))
    return _network(spec, encoder, decoder, _head(32, spec, kernel_size=1), stride=stride)


@architectures.register(
    "fpn",
    summary="feature pyramid: light, for things of many sizes",
    **_facts("FPN", 2017, "Kirillov et al. 2017, A unified architecture for instance and semantic segmentation"),
    settings={"upsampling": _INTERPOLATIONS},
)
def fpn(spec: NetworkSpec, weights_name: str) -> Network:
    """Feature pyramid network over any encoder."""
    from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder

    encoder = _encoder(spec, weights_name)
    decoder = FPNDecoder(encoder.out_channels, interpolation_mode=spec.model.upsampling)
    return _network(spec, encoder, decoder, _head(decoder.out_channels, spec, kernel_size=1, scale=4))


@architectures.register(
    "pspnet",
    summary="PSPNet: pyramid pooling over the whole patch; large structures",
    **_facts("pyramid pooling", 2017, "Zhao et al. 2017, Pyramid scene parsing network"),
)
def pspnet(spec: NetworkSpec, weights_name: str) -> Network:
    """PSPNet over any encoder that can be dilated.

    As in the paper, on the last features, dilated to stride 8; smp takes the features of an early stage instead.
    """
    from segmentation_models_pytorch.decoders.pspnet.decoder import PSPDecoder

    encoder = _encoder(spec, weights_name, output_stride=8)
    decoder = PSPDecoder(encoder.out_channels)
    return _network(spec, encoder, decoder, _head(512, spec, scale=8), stride=8)


@architectures.register(
    "pan",
    summary="PAN: pyramid attention",
    **_facts("pyramid pooling", 2018, "Li et al. 2018, Pyramid attention network"),
    settings={"upsampling": ("bilinear", "nearest")},
    smallest_batch=2,
)
def pan(spec: NetworkSpec, weights_name: str) -> Network:
    """PAN over any encoder that can be dilated, at output stride 16.

    Its attention halves these features three times, so smaller images are padded to 128 pixels.
    """
    from segmentation_models_pytorch.decoders.pan.decoder import PANDecoder

    encoder = _encoder(spec, weights_name, output_stride=16)
    decoder = PANDecoder(encoder.out_channels, 5, 32, interpolation_mode=spec.model.upsampling)
    return _network(spec, encoder, decoder, _head(32, spec, scale=4), stride=16, smallest_size=128)


@architectures.register(
    "upernet",
    summary="UPerNet: pyramid pooling and a feature pyramid",
    **_facts("pyramid pooling", 2018, "Xiao et al. 2018, Unified perceptual parsing"),
    smallest_batch=2,
)
def upernet(spec: NetworkSpec, weights_name: str) -> Network:
    """UPerNet over any encoder."""
    from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder

    encoder = _encoder(spec, weights_name)
    decoder = UPerNetDecoder(encoder.out_channels)
    return _network(spec, encoder, decoder, _head(256, spec, kernel_size=1, scale=4))


@architectures.register(
    "segformer",
    summary="SegFormer's decoder: fuses all strides by 1 x 1 convolutions; light",
    **_facts("transformer", 2021, "Xie et al. 2021, SegFormer"),
)
def segformer(spec: NetworkSpec, weights_name: str) -> Network:
    """SegFormer's decoder over any encoder.

    Its layers that mix the channels of each pixel are 1 x 1 convolutions here, which compute the same as smp's linear
    layers on flattened features.
    """
    from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
    from torch import nn

    encoder = _encoder(spec, weights_name)
    decoder = SegformerDecoder(encoder.out_channels)
    network = _network(spec, encoder, decoder, _head(256, spec, kernel_size=1, scale=4))
    for number, stage in enumerate(decoder.mlp_stage):
        convolution = nn.Conv2d(stage.linear.in_features, stage.linear.out_features, 1)
        weight, bias = stage.linear.weight.detach(), stage.linear.bias.detach()
        convolution.load_state_dict({"weight": weight[..., None, None], "bias": bias})
        decoder.mlp_stage[number] = convolution
    return network


@architectures.register(
    "dpt",
    summary="DPT's decoder: fuses four strides by residual blocks; large",
    **_facts("transformer", 2021, "Ranftl et al. 2021, Vision transformers for dense prediction"),
)
def dpt(spec: NetworkSpec, weights_name: str) -> Network:
    """DPT's decoder over the strides 4, 8, 16 and 32 of any encoder.

    DPT makes these strides from a plain vision transformer's tokens first; encoders that have them need no such step,
    as in its forerunner over convolutional encoders (Ranftl et al. 2020, MiDaS).
    """
    from segmentation_models_pytorch.decoders.dpt.decoder import DPTDecoder, DPTSegmentationHead

    from .decoders import FourStrides

    encoder = _encoder(spec, weights_name)
    channels = encoder.out_channels[-4:]
    decoder = DPTDecoder(channels, (4, 8, 16, 32), False, "ignore")
    return _network(spec, encoder, FourStrides(decoder), DPTSegmentationHead(256, spec.classes))


def _encoder(spec: NetworkSpec, weights_name: str, **settings: Any) -> Any:
    return make_encoder(spec.model.encoder, weights_name, spec.in_channels, depth=5, **settings)


def _cut_encoder(spec: NetworkSpec, weights_name: str) -> tuple[Any, tuple[int, ...], int]:
    """The encoder up to the chosen depth, the widths of a U-Net's decoder that goes on from there, and the stride."""
    depth = int(spec.model.depth or _DEPTHS[0])
    encoder = make_encoder(spec.model.encoder, weights_name, spec.in_channels, depth=depth)
    return encoder, decoder_widths(depth, spec.model.width), 2**depth


def decoder_widths(depth: int, finest: int | None) -> tuple[int, ...]:
    """Channels of a U-Net's decoder, coarse to fine: twice as many at each level, and 16 at least; smp's when None."""
    return tuple(max(_WIDTH, (finest or _WIDTH) * 2**level) for level in reversed(range(depth)))


def _is_vgg(spec: NetworkSpec) -> bool:
    """Whether the encoder is a VGG without batch normalisation or with it: smp gives these a block at the bottom."""
    return resolve(spec.model.encoder).smp_name.startswith("vgg")


def _head(in_channels: int, spec: NetworkSpec, *, kernel_size: int = 3, scale: int = 1) -> nn.Module:
    from segmentation_models_pytorch.base import SegmentationHead

    head: nn.Module = SegmentationHead(in_channels, spec.classes, kernel_size=kernel_size, upsampling=scale)
    return head


def _network(
    spec: NetworkSpec, encoder: nn.Module, decoder: nn.Module, head: nn.Module, *, stride: int = 32, **more: Any
) -> Network:
    """The network, with smp's first values for decoder and head."""
    from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head

    from .base import Network

    initialize_decoder(decoder)
    initialize_head(head)
    return Network(encoder, decoder, head, stride=stride, **more)
