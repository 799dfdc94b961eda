"""Dilated encoders compute what the à trous algorithm says, as torchvision and timm have it."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn

from napari_fcn.errors import InputError
from napari_fcn.models.atrous import dilate
from napari_fcn.models.encoders import make_encoder


def calibrate(network: nn.Module) -> nn.Module:
    """Give batch normalisation the statistics of some image, so that features vary as in a trained network."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, 0, 0.1)
    with torch.no_grad():
        network.train()(torch.rand(2, 3, 128, 128))
    return network.eval()


def features_of(encoder: nn.Module, images: Tensor) -> list[Tensor]:
    with torch.inference_mode():
        return encoder.eval()(images)


@pytest.mark.parametrize("output_stride", [8, 16])
def test_resnet50_is_torchvisions(output_stride: int) -> None:
    reference = torchvision.models.resnet50(replace_stride_with_dilation=[False, output_stride == 8, True])
    calibrate(reference)
    encoder = make_encoder("resnet50", "none", 3, output_stride=output_stride)
    encoder.load_state_dict({n: t for n, t in reference.state_dict().items() if not n.startswith("fc.")})
    images = torch.rand(1, 3, 96, 64)
    features = features_of(encoder, images)
    with torch.inference_mode():
        expected = reference.maxpool(reference.relu(reference.bn1(reference.conv1(images))))
        for number, name in enumerate(("layer1", "layer2", "layer3", "layer4"), start=2):
            expected = reference.get_submodule(name)(expected)
            torch.testing.assert_close(features[number], expected, atol=1e-4, rtol=1e-4)
    assert features[-1].shape[-2:] == (96 // output_stride, 64 // output_stride)


@pytest.mark.parametrize("output_stride", [8, 16])
def test_resnet18_is_timms(output_stride: int) -> None:
    """torchvision does not dilate the blocks of the small ones."""
    import timm

    timms = timm.create_model("resnet18", features_only=True, output_stride=output_stride)
    calibrate(timms)
    encoder = make_encoder("resnet18", "none", 3, output_stride=output_stride)
    encoder.load_state_dict(timms.state_dict())
    images = torch.rand(1, 3, 64, 96)
    for ours, theirs in zip(features_of(encoder, images)[1:], features_of(timms, images), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("output_stride", [8, 16])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet-b0", "mobileone_s1", "tu-resnet18"])
def test_finer_features_contain_the_coarse_ones(name: str, output_stride: int) -> None:
    """The algorithm's promise: every second or fourth feature is what the strided encoder gives, off the margin."""
    fine, coarse = (make_encoder(name, "none", 3, output_stride=stride) for stride in (output_stride, 32))
    for part, parameter in coarse.named_parameters():
        if "_se_expand.weight" in part:
            # Squeeze and excitation averages over the whole image, of which the fine features are another sample.
            nn.init.zeros_(parameter)
    fine.load_state_dict(calibrate(coarse).state_dict())
    images = torch.rand(1, 3, 256, 256)
    step, inner = 32 // output_stride, (..., slice(2, -2), slice(2, -2))
    found, expected = features_of(fine, images)[-1], features_of(coarse, images)[-1][inner]
    # Which of them depends on where strided convolutions of an even size begin.
    starts = [float((found[..., start::step, start::step][inner] - expected).abs().mean()) for start in range(step)]
    assert min(starts) < 1e-4 * expected.std()
    assert max(starts) > 0.1 * expected.std(), "features that do not vary would prove nothing"


@pytest.mark.parametrize("name", ["densenet121", "inceptionv4", "xception"])
def test_encoders_that_pool_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' cannot be dilated to output stride 16 .*pools.*'resnet50' can"):
        make_encoder(name, "none", 3, output_stride=16)


def test_encoders_of_timm_that_have_no_such_setting_are_refused() -> None:
    with pytest.raises(InputError, match="'swin_tiny_patch4_window7_224' cannot be dilated to output stride 16"):
        make_encoder("swin_tiny_patch4_window7_224", "none", 3, output_stride=16)


def test_segformers_encoder_is_dilated_where_its_attention_allows_it() -> None:
    features = make_encoder("mit_b0", "none", 3, output_stride=16).eval()(torch.rand(1, 3, 64, 64))
    assert [f.shape[-1] for f in features] == [64, 32, 16, 8, 4, 4]
    with pytest.raises(InputError, match="kernel of 2 x 2"):
        make_encoder("mit_b0", "none", 3, output_stride=8)


def test_nothing_else_changes() -> None:
    encoder = make_encoder("resnet18", "none", 3)
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    dilate(encoder, 8)
    assert encoder.training
    assert encoder.output_stride == 8
    assert all(torch.equal(tensor, before[name]) for name, tensor in encoder.state_dict().items())
    assert not any(module._forward_pre_hooks for module in encoder.modules())


@pytest.mark.parametrize("output_stride", [0, 4, 12, 64])
def test_other_strides_are_refused(output_stride: int) -> None:
    with pytest.raises(InputError, match=f"must be 8, 16 or 32. Got {output_stride}"):
        make_encoder("resnet18", "none", 3, output_stride=output_stride)
