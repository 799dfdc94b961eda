"""The contract of every architecture, over the whole registry and three kinds of encoders."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import napari_fcn as fcn
from napari_fcn import registry
from napari_fcn.config import ModelConfig, settings_of
from napari_fcn.data import ClassTable, Normalization
from napari_fcn.errors import InputError, UnknownNameError
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.base import Network, pad_to_multiple
from napari_fcn.models.measure import measure

LITE0 = "tf_efficientnet_lite0"
ENCODERS = (LITE0, "resnet18", "classic")
SMALL = "test_efficientnet"
"""timm's smallest encoder, for what is the decoder's."""
ARCHITECTURES = list(registry.architectures)
CHANNELS = 2


@dataclass(frozen=True)
class Case:
    """An architecture with an encoder, and settings other than the usual ones."""

    architecture: str
    encoder: str
    settings: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        return "-".join([self.architecture, self.encoder, *(str(value) for _, value in self.settings)])

    def model(self, **more: Any) -> ModelConfig:
        return ModelConfig(self.architecture, self.encoder, "none", **dict(self.settings), **more)

    def build(self, channels: int = CHANNELS, classes: int = 3) -> Network:
        torch.manual_seed(0)
        return build(NetworkSpec(self.model(), channels, classes)).eval()


def _encoders(architecture: str, *usual: str) -> tuple[str, ...]:
    """The architecture's own encoder where it has one, else the usual ones."""
    own = registry.architectures[architecture].details.get("encoder")
    return (own,) if own else usual


CASES = [Case(name, encoder) for name in ARCHITECTURES for encoder in _encoders(name, *ENCODERS)]


def _suited_encoder(architecture: str, value: Any) -> str:
    """The small encoder, or one with the max poolings that max unpooling needs."""
    return "classic" if value == "max_unpool" else _encoders(architecture, SMALL)[0]


VARIANTS = [
    Case(name, _suited_encoder(name, value), ((setting, value),))
    for name in ARCHITECTURES
    for setting, values in settings_of(name).items()
    for value in (values[1:] if isinstance(values, tuple) else ())
]


@pytest.fixture(scope="module", params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return request.param


@pytest.fixture(scope="module")
def network(case: Case) -> Network:
    return case.build()


def image(height: int, width: int, channels: int = CHANNELS, count: int = 1) -> torch.Tensor:
    return torch.rand(count, channels, height, width, generator=torch.Generator().manual_seed(height + width))


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (64, 64), (70, 33)], ids=str)
def test_logits_have_the_inputs_size(network: Network, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert network(image(*size)).shape == (1, 3, *size)


@pytest.mark.parametrize("channels", [1, 3, 4, 12])
def test_any_number_of_channels(case: Case, channels: int) -> None:
    network = case.build(channels, classes=2)
    with torch.inference_mode():
        assert network(image(32, 32, channels)).shape == (1, 2, 32, 32)


def test_gradients_reach_every_parameter(network: Network, case: Case) -> None:
    network.train()
    network(image(64, 64, count=2)).square().mean().backward()
    untouched = [name for name, p in network.named_parameters() if p.grad is None or not torch.isfinite(p.grad).all()]
    network.zero_grad()
    network.eval()
    assert not untouched


def test_a_small_batch_can_be_learnt_from(network: Network, case: Case) -> None:
    """One image, or as many as the training loop is told to take at least."""
    network = copy.deepcopy(network).train()
    count = registry.architectures[case.architecture].details.get("smallest_batch", 1)
    network(image(64, 64, count=count)).square().mean().backward()


def test_nothing_is_flattened_or_fully_connected(network: Network) -> None:
    assert not {type(module) for module in network.modules()} & {torch.nn.Linear, torch.nn.Bilinear, torch.nn.Flatten}


def test_a_frozen_encoder_stays_what_it_is(network: Network) -> None:
    network = copy.deepcopy(network)
    network.freeze_encoder()
    before = {key: tensor.clone() for key, tensor in network.encoder.state_dict().items()}
    learn(network)
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.encoder.state_dict().items())
    assert network.decoder.training
    network.eval()
    with torch.inference_mode():
        assert torch.equal(network(image(64, 64)), network(image(64, 64)))


def test_frozen_stages_stay_what_they_are_and_later_ones_learn(network: Network) -> None:
    network = copy.deepcopy(network)
    stages = network.stages()
    assert len(stages) >= 5
    assert sorted(name for stage in stages for name in stage) == sorted(dict(network.encoder.named_parameters()))
    network.freeze_encoder(2)
    before = {key: tensor.clone() for key, tensor in network.encoder.state_dict().items()}
    learn(network)
    after = network.encoder.state_dict()
    changed = {name for name in before if not torch.equal(after[name], before[name])}
    assert not changed & {*stages[0], *stages[1]}
    assert {*stages[2], *stages[3], *stages[4]} & changed
    frozen = {name.rpartition(".")[0] for name in (*stages[0], *stages[1])}
    assert not {name for name in changed if name.rpartition(".")[0] in frozen}, "their statistics stay, too"


def learn(network: Network) -> None:
    network.train()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        optimizer.zero_grad()
        network(image(64, 64, count=2)).square().mean().backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()


def test_save_and_load(case: Case, network: Network, tmp_path: Path) -> None:
    classes = ClassTable.from_labels([np.arange(3)[None]], zero="background")
    segmenter = fcn.Segmenter(network, case.model(), CHANNELS, classes, Normalization("image"))
    again = fcn.Segmenter.load(segmenter.save(tmp_path / "model.safetensors"))
    assert again.model == segmenter.model
    with torch.inference_mode():
        assert torch.equal(again.network(image(64, 64)), network(image(64, 64)))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_value_of_every_setting_does_something(variant: Case) -> None:
    """Another output for the same first values, or other parameters."""
    usual = Case(variant.architecture, variant.encoder).build()
    network = variant.build()
    shapes = [{name: tensor.shape for name, tensor in n.state_dict().items()} for n in (usual, network)]
    with torch.inference_mode():
        assert network(image(70, 33)).shape == (1, 3, 70, 33)
        if shapes[0] == shapes[1]:
            network.load_state_dict(usual.state_dict())
            assert not torch.allclose(network(image(64, 64)), usual(image(64, 64)))


def test_settings_that_an_architecture_does_not_have_are_refused() -> None:
    with pytest.raises(InputError, match=r"`upsampling` can be chosen for unet, .*, not for 'linknet'. Got 'nearest'"):
        ModelConfig("linknet", upsampling="nearest")
    with pytest.raises(InputError, match=r"`upsampling` of 'unet' must be one of nearest, bilinear, transposed. Got"):
        ModelConfig("unet", upsampling="max_unpool")
    with pytest.raises(InputError, match=r"`output_stride` of 'deeplabv3' must be one of 16, 8. Got 32"):
        ModelConfig("deeplabv3", output_stride=32)
    with pytest.raises(
        InputError, match=r"`upsampling_kernel` belongs to upsampling 'transposed'. Got 4 with 'nearest'"
    ):
        ModelConfig("unet", upsampling_kernel=4)
    with pytest.raises(InputError, match=r"'unet-classic' is made of its own encoder, 'classic'; .* Got 'resnet18'"):
        ModelConfig("unet-classic", "resnet18")
    with pytest.raises(UnknownNameError, match="nearest is 'unet"):
        ModelConfig("u-net")


def test_what_is_not_given_is_what_is_usual() -> None:
    assert ModelConfig() == ModelConfig("unet", LITE0, "imagenet", upsampling="nearest")
    classic = ModelConfig("unet-classic")
    assert (classic.encoder, classic.weights, classic.upsampling, classic.depth) == ("classic", "none", "transposed", 4)
    assert ModelConfig(weights="csmask-6b-l2a").encoder == "efficientnet-b4"
    assert ModelConfig.from_json(classic.to_json()) == classic


def test_measured_size_is_that_of_the_network() -> None:
    """U-Net's parameters as counted by smp, and the multiply-adds of a convolution counted by hand."""
    measured = measure(ModelConfig("unet-classic", depth=1, width=4, convolutions=1, norm="none", upsampling="nearest"))
    c1, c2, up, u1, score = 9 * 3 * 4, 9 * 4 * 8, 8 * 4, 9 * 8 * 4, 4 * 2
    assert measured.parameters == (c1 + 4) + (c2 + 8) + (up + 4) + (u1 + 4) + (score + 2)
    assert measured.multiply_adds == 256**2 * (c1 + u1 + score) + 128**2 * (c2 + up)
    assert measured.stride == 2


def test_padding_mirrors_and_keeps_what_is_there() -> None:
    given = torch.arange(12.0).reshape(1, 1, 3, 4)
    padded = pad_to_multiple(given, 5)
    assert padded.shape == (1, 1, 5, 5)
    assert torch.equal(padded[..., :3, :4], given)
    assert padded[0, 0, 3:, 0].tolist() == [4.0, 0.0]
    assert pad_to_multiple(given, 2, smallest=8).shape == (1, 1, 8, 8)
