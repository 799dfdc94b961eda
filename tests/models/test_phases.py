"""Phase by phase, an atrous convolution is the same."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_fcn.config import ModelConfig
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.phases import PhasedConvolution, use_phases


@settings(max_examples=40, deadline=None)
@given(
    rate=st.integers(2, 6),
    side=st.sampled_from([1, 3, 5]),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    bias=st.booleans(),
)
def test_values_and_gradients_are_the_same(rate: int, side: int, height: int, width: int, bias: bool) -> None:
    plain = nn.Sequential(nn.Conv2d(4, 4, side, padding=rate * (side // 2), dilation=rate, groups=4, bias=bias))
    phased = copy.deepcopy(plain)
    use_phases(phased)
    assert isinstance(phased[0], PhasedConvolution)
    image = torch.rand(2, 4, height, width, requires_grad=True)
    results = []
    for module in (plain, phased):
        output = module(image)
        found = torch.autograd.grad(output.square().sum(), [image, *module.parameters()])
        results.append([output, *found])
    for expected, got in zip(*results, strict=True):
        torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 8, 3, padding=2, dilation=2),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.Conv2d(4, 4, 3, padding=1, dilation=2, groups=4),
        nn.Conv2d(4, 4, 3, stride=2, padding=2, dilation=2, groups=4),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=4, padding_mode="reflect"),
    ],
)
def test_other_convolutions_are_left_alone(convolution: nn.Conv2d) -> None:
    module = nn.Sequential(convolution)
    use_phases(module)
    assert module[0] is convolution


def test_dilated_networks_use_phases_and_keep_their_parameters() -> None:
    network = build(NetworkSpec(ModelConfig("pspnet", weights="none"), 3, 2))
    kinds = [type(module) for module in network.modules()]
    assert PhasedConvolution in kinds
    assert not any(
        type(m) is nn.Conv2d and m.dilation[0] > 1 and m.groups == m.in_channels > 1 for m in network.modules()
    )
    assert all(p.device.type == "cpu" for p in network.parameters())
