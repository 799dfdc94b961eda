"""The contract of every architecture, over the whole registry."""

from __future__ import annotations

import pytest
import torch

from napari_fcn import registry
from napari_fcn.config import ModelConfig
from napari_fcn.errors import InputError
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.base import Network, pad_to_multiple

ARCHITECTURES = list(registry.architectures)


@pytest.fixture(scope="module", params=ARCHITECTURES)
def network(request: pytest.FixtureRequest) -> Network:
    return build(NetworkSpec(ModelConfig(architecture=request.param), in_channels=2, classes=3)).eval()


@pytest.mark.parametrize("size", [(1, 1), (17, 31), (64, 64), (70, 33)])
def test_logits_have_the_inputs_size(network: Network, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert network(torch.rand(1, 2, *size)).shape == (1, 3, *size)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("channels", [1, 3, 12])
def test_any_number_of_channels(name: str, channels: int) -> None:
    network = build(NetworkSpec(ModelConfig(architecture=name), channels, 2), pretrained=False).eval()
    with torch.inference_mode():
        assert network(torch.rand(1, channels, 32, 32)).shape == (1, 2, 32, 32)


def test_gradients_reach_every_parameter(network: Network) -> None:
    network.train()
    network.requires_grad_(True)
    network(torch.rand(2, 2, 64, 64)).square().mean().backward()
    untouched = [name for name, p in network.named_parameters() if p.grad is None]
    network.zero_grad()
    network.eval()
    assert not untouched


def test_nothing_is_flattened_or_fully_connected(network: Network) -> None:
    kinds = {type(module) for part in (network.decoder, network.head) for module in part.modules()}
    assert not kinds & {torch.nn.Linear, torch.nn.Flatten}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_frozen_encoder_stays_what_it_is(name: str) -> None:
    network = build(NetworkSpec(ModelConfig(architecture=name), 3, 2))
    network.freeze_encoder()
    before = {key: tensor.clone() for key, tensor in network.encoder.state_dict().items()}
    network.train()
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
    for _ in range(2):
        network(torch.rand(2, 3, 64, 64)).square().mean().backward()
        optimizer.step()
    assert all(torch.equal(tensor, before[key]) for key, tensor in network.encoder.state_dict().items())
    assert network.decoder.training
    network.eval()
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_upsampling_operator_is_used_or_refused(name: str) -> None:
    def built(operator: str) -> Network:
        return build(NetworkSpec(ModelConfig(architecture=name, upsampling=operator), 3, 2), pretrained=False).eval()

    if not registry.architectures[name].details.get("upsampling"):
        with pytest.raises(InputError, match=f"can be chosen for unet, fpn, not for '{name}'.*Got 'bilinear'"):
            built("bilinear")
        return
    torch.manual_seed(0)
    image = torch.rand(1, 3, 64, 64)
    nearest, bilinear = built("nearest"), built("bilinear")
    bilinear.load_state_dict(nearest.state_dict())
    assert not torch.allclose(nearest(image), bilinear(image))


def test_padding_mirrors_and_keeps_what_is_there() -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    padded = pad_to_multiple(image, 5)
    assert padded.shape == (1, 1, 5, 5)
    assert torch.equal(padded[..., :3, :4], image)
    assert padded[0, 0, 3:, 0].tolist() == [4.0, 0.0]
