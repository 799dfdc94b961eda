"""Convolutions of enlarged features are what they are said to be, with their gradients."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from napari_fcn.config import ModelConfig
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.enlarged import QuickBlock, convolve_enlarged, use_transposed


@pytest.mark.parametrize("skip_channels", [0, 3])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 7)])
def test_it_equals_enlarging_first(size: tuple[int, int], bias: bool, skip_channels: int) -> None:
    """Values and all gradients, in float64, against torch's own operators."""
    random = torch.Generator().manual_seed(0)

    def tensor(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random, dtype=torch.float64).requires_grad_()

    features, weight = tensor(2, 4, *size), tensor(6, 4 + skip_channels, 3, 3)
    shift = tensor(6) if bias else None
    skip = tensor(2, skip_channels, 2 * size[0], 2 * size[1]) if skip_channels else None
    given = [each for each in (features, weight, shift, skip) if each is not None]
    found = convolve_enlarged(features, weight, shift, skip)
    enlarged = functional.interpolate(features, scale_factor=2, mode="nearest")
    joined = enlarged if skip is None else torch.cat([enlarged, skip], dim=1)
    expected = functional.conv2d(joined, weight, shift, padding=1)
    torch.testing.assert_close(found, expected)
    direction = torch.randn(expected.shape, generator=random, dtype=torch.float64)
    gradients = torch.autograd.grad(found, given, direction), torch.autograd.grad(expected, given, direction)
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_a_skip_without_channels_is_none() -> None:
    features, weight = torch.randn(1, 2, 3, 3), torch.randn(4, 2, 3, 3)
    expected = convolve_enlarged(features, weight)
    assert torch.equal(convolve_enlarged(features, weight, skip=torch.zeros(1, 0, 6, 6)), expected)


def test_by_hand() -> None:
    """One pixel of value 1 becomes a block of four; under a kernel of ones each of them sees all four."""
    found = convolve_enlarged(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 3, 3))
    assert found.tolist() == [[[[4.0, 4.0], [4.0, 4.0]]]]


@pytest.mark.parametrize("architecture", ["unet", "unet++"])
@pytest.mark.parametrize("encoder", ["tf_efficientnet_lite0", "classic"])
def test_networks_compute_what_they_did(architecture: str, encoder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network, its blocks computing one way and the other: logits, and gradients of every parameter."""
    torch.manual_seed(0)
    network = build(NetworkSpec(ModelConfig(architecture, encoder, "none"), 3, 3)).double().eval()
    assert any(isinstance(module, QuickBlock) for module in network.modules())
    images = torch.randn(2, 3, 70, 50, dtype=torch.float64)
    quick = network(images)
    quick.square().sum().backward()
    gradients = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    plain = network(images)
    plain.square().sum().backward()
    torch.testing.assert_close(quick, plain)
    for one, other in zip(gradients, network.parameters(), strict=True):
        torch.testing.assert_close(one, other.grad, rtol=1e-6, atol=1e-9)


def test_names_are_those_of_smp() -> None:
    import segmentation_models_pytorch as smp

    network = build(NetworkSpec(ModelConfig("unet", "resnet18", "none"), 3, 2))
    theirs = smp.Unet("resnet18", encoder_weights=None, classes=2)
    assert set(network.decoder.state_dict()) == set(theirs.decoder.state_dict())


@pytest.mark.parametrize("architecture", ["unet", "unet++"])
def test_a_transposed_convolution_computes_the_same(architecture: str) -> None:
    torch.manual_seed(0)
    network = build(NetworkSpec(ModelConfig(architecture, "classic", "none"), 1, 3)).double().eval()
    images = torch.randn(1, 1, 70, 50, dtype=torch.float64)
    with torch.inference_mode():
        expected = network(images)
        found = use_transposed(network)(images)
    assert not torch.equal(found, expected)  # it went another way
    torch.testing.assert_close(found, expected)
