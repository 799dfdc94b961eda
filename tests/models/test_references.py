"""The same networks by other libraries: the same parameters, and for the same weights the same output."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import segmentation_models_pytorch as smp
import torch
import torchvision
from torch import nn

from napari_fcn.config import ModelConfig
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.base import Network
from napari_fcn.models.decoders import AtrousPyramid

SMP = {
    "unet": "Unet",
    "unet++": "UnetPlusPlus",
    "manet": "MAnet",
    "linknet": "Linknet",
    "fpn": "FPN",
    "pan": "PAN",
    "upernet": "UPerNet",
    "segformer": "Segformer",
}


def network(architecture: str, encoder: str = "resnet18", **settings: Any) -> Network:
    return build(NetworkSpec(ModelConfig(architecture, encoder, "none", **settings), 3, 4)).eval()


def copy(source: nn.Module, target: nn.Module) -> None:
    """The tensors in their order; shapes may differ by sides of length 1."""
    tensors, wanted = list(source.state_dict().values()), target.state_dict()
    assert len(tensors) == len(wanted)
    target.load_state_dict({n: t.reshape(w.shape) for (n, w), t in zip(wanted.items(), tensors, strict=True)})


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("name", SMP)
def test_smp_has_the_same(name: str) -> None:
    theirs = getattr(smp, SMP[name])("resnet18", encoder_weights=None, classes=4).eval()
    ours = network(name)
    assert parameters(ours) == parameters(theirs)
    # PAN's encoder is dilated, and ours dilates otherwise; see the test of atrous encoders.
    copy(theirs.decoder, ours.decoder)
    copy(theirs.segmentation_head, ours.head)
    copy(theirs.encoder, ours.encoder)
    image = torch.rand(1, 3, 128, 160)
    with torch.inference_mode():
        features = ours.encoder(image)
        if name != "pan":
            torch.testing.assert_close(ours(image), theirs(image), atol=1e-4, rtol=1e-4)
        expected = theirs.segmentation_head(theirs.decoder(features))
        torch.testing.assert_close(ours.head(ours.decoder(features)), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_torchvisions_deeplabv3_is_ours_at_output_stride_8() -> None:
    theirs = torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=4)
    ours = network("deeplabv3", "resnet50", output_stride=8)
    assert parameters(ours) == parameters(theirs)
    theirs.eval()
    copy(theirs.backbone, ours.encoder)
    copy_pyramid(theirs.classifier[0], ours.decoder[0])
    copy(nn.Sequential(theirs.classifier[1], theirs.classifier[2]), ours.decoder[1])
    copy(theirs.classifier[4], ours.head[0])
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(ours(image), theirs(image)["out"], atol=1e-4, rtol=1e-4)


def copy_pyramid(theirs: nn.Module, ours: AtrousPyramid) -> None:
    *branches, pooling = theirs.convs
    for branch, mine in zip(branches, ours.branches, strict=True):
        copy(branch, mine)
    copy(pooling, ours.pooling)
    copy(theirs.project, ours.project)


def test_smps_deeplabv3_is_ours_at_output_stride_8_but_for_aligned_corners() -> None:
    theirs = smp.DeepLabV3("resnet18", encoder_weights=None, classes=4).eval()
    ours = network("deeplabv3", output_stride=8)
    assert parameters(ours) == parameters(theirs)
    copy_pyramid(theirs.decoder.aspp, ours.decoder[0])
    copy(nn.Sequential(theirs.decoder.conv, theirs.decoder.bn), ours.decoder[1])
    with torch.inference_mode():
        features = ours.encoder(torch.rand(1, 3, 64, 96))
        torch.testing.assert_close(ours.decoder(features), theirs.decoder(features), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("separable", [False, True])
def test_smps_atrous_pyramid_is_ours(separable: bool) -> None:
    from segmentation_models_pytorch.decoders.deeplabv3.decoder import ASPP

    theirs = ASPP(20, 16, (6, 12, 18), separable=separable, dropout=0.5).eval()
    ours = AtrousPyramid(20, 16, (6, 12, 18), separable=separable).eval()
    assert parameters(ours) == parameters(theirs)
    copy_pyramid(theirs, ours)
    features = torch.rand(2, 20, 9, 11)
    with torch.inference_mode():
        torch.testing.assert_close(ours([features]), theirs(features))


def test_smps_deeplabv3plus_has_one_separable_convolution_elsewhere() -> None:
    """Theirs has it on the pyramid's 256 channels, ours, as the paper, on 256 after the first one of the decoder."""
    theirs = smp.DeepLabV3Plus("resnet18", encoder_weights=None, classes=4)
    ours = network("deeplabv3plus")
    assert parameters(ours) == parameters(theirs)


def test_pspnet_on_the_last_stage_is_smps_with_more_of_the_encoder() -> None:
    ours = network("pspnet")
    theirs = smp.PSPNet("resnet18", encoder_weights=None, encoder_depth=5, upsampling=8, classes=4)
    assert parameters(ours) == parameters(theirs)


def test_fcn8s_by_hand() -> None:
    """Figure 3 of the paper, written out with interpolation instead of learnt kernels that start as it."""
    ours = network("fcn8s", upsampling="bilinear")
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        *_, pool3, pool4, pool5 = ours.encoder(image)
        scores = [score(f) for score, f in zip(ours.decoder.scores, (pool3, pool4, pool5), strict=True)]

        def enlarged(values: torch.Tensor, scale: int) -> torch.Tensor:
            return nn.functional.interpolate(values, scale_factor=scale, mode="bilinear")

        expected = enlarged(scores[0] + enlarged(scores[1] + enlarged(scores[2], 2), 2), 8)
        torch.testing.assert_close(ours(image), expected)
    learnt = network("fcn8s")
    assert parameters(learnt) - parameters(ours) == 2 * (4 * 4 * 4 * 4 + 4) + 4 * 4 * 16 * 16 + 4


def test_unet_classic_has_the_papers_parameters() -> None:
    """31 million at width 64 without normalisation, counted from figure 1: 1 channel in, 2 classes out."""
    ours = build(NetworkSpec(ModelConfig("unet-classic", width=64, norm="none"), 1, 2))
    levels = [64, 128, 256, 512, 1024]
    down = sum(9 * a * b + b + 9 * b * b + b for a, b in zip([1, *levels[:-1]], levels, strict=True))
    pairs = list(itertools.pairwise(levels))
    up = sum(4 * b * a + a + 9 * 2 * a * a + a + 9 * a * a + a for a, b in pairs)
    assert parameters(ours) == down + up + 64 * 2 + 2 == 31_030_658
