"""What each kind of autoencoder asks for, against closed forms, autograd and counting."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from napari_fcn.config import ModelConfig
from napari_fcn.errors import InputError, UnknownNameError
from napari_fcn.models import NetworkSpec, build
from napari_fcn.pretraining_config import KIND_SETTINGS, PretrainingConfig, kind_settings
from napari_fcn.registry import autoencoder_kinds, noises
from napari_fcn.training.kinds import (
    hidden_squares,
    jacobian_norm,
    make_objective,
    sparsity_divergence,
    unit_gaussian_divergence,
)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def judged(kind: str, **settings: object):
    """A kind's penalty on a small network: objective, decoder, coarsest features, code, what goes on, penalty."""
    objective = make_objective(PretrainingConfig(kind=kind, **settings))
    model = ModelConfig("autoencoder", "classic", "none", depth=1, code=6)
    network = build(NetworkSpec(model, 2, 2)).eval()
    network.decoder.make_code(objective.code)
    inputs = torch.rand(3, 2, 8, 8, requires_grad=True)
    features = network.features(inputs)
    code = network.decoder.encode(features)
    return network, features, code, inputs, objective.judge(network.decoder, features[1], code, inputs)


def test_divergence_from_the_unit_gaussian_is_torchs() -> None:
    mean, log_variance = torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)
    expected = kl_divergence(Normal(mean, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(unit_gaussian_divergence(mean, log_variance), expected)


def test_the_variational_penalty_is_beta_times_the_divergence_of_each_value() -> None:
    network, features, code, _, (_, penalty) = judged("variational", beta=0.5)
    log_variance = network.decoder.log_variance(features[1])
    expected = kl_divergence(Normal(code, (0.5 * log_variance).exp()), Normal(0.0, 1.0)).sum() / 3
    assert penalty.item() == pytest.approx(0.5 * expected.item() / (2 * 8 * 8), rel=1e-5)


def test_codes_are_drawn_with_the_given_mean_and_variance() -> None:
    network, features, code, inputs, _ = judged("variational")
    objective = make_objective(PretrainingConfig(kind="variational"))
    draws = torch.stack([objective.judge(network.decoder, features[1], code, inputs)[0] for _ in range(400)])
    deviation = (0.5 * network.decoder.log_variance(features[1])).exp()
    assert ((draws.mean(0) - code) / deviation).abs().mean().item() < 0.1
    assert (draws.std(0) / deviation).mean().item() == pytest.approx(1, abs=0.02)


def test_the_estimate_of_the_jacobian_agrees_with_autograd() -> None:
    """Mean of many draws against the exact squared Frobenius norm of each image, and its gradient as well."""
    net = nn.Sequential(nn.Conv2d(1, 3, 3, stride=2, padding=1), nn.Tanh(), nn.Conv2d(3, 2, 1))
    images = torch.randn(2, 1, 6, 6, requires_grad=True)

    def exact_norms() -> torch.Tensor:
        jacobian = torch.autograd.functional.jacobian(net, images, create_graph=True)
        own = torch.stack([jacobian[n, :, :, :, n] for n in range(2)])
        return own.flatten(1).square().sum(1)

    exact = exact_norms()
    draws = torch.stack([jacobian_norm(net(images), images) for _ in range(1500)])
    error = draws.std(0) / 1500**0.5
    assert ((draws.mean(0) - exact).abs() < 4 * error).all()
    assert (error < 0.02 * exact).all()
    (wanted,) = torch.autograd.grad(exact.sum(), net[0].weight)
    found = torch.autograd.grad(draws.mean(0).sum(), net[0].weight)[0]
    torch.testing.assert_close(found, wanted, rtol=0.1, atol=0.05 * float(wanted.abs().max()))


def test_the_contractive_penalty_does_not_change_with_the_codes_size() -> None:
    _, _, code, inputs, _ = judged("contractive")
    objective = make_objective(PretrainingConfig(kind="contractive"))
    found = []
    for factor in (1.0, 0.01):
        torch.manual_seed(5)
        found.append(objective.judge(None, None, factor * code, inputs)[1].item())
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    assert found[0] > 0


def test_divergence_from_a_target_activation_by_hand() -> None:
    """rho 0.1, mean activations 0.5 and 0.1: 0.1 log(0.2) + 0.9 log(1.8), and 0."""
    code = torch.tensor([0.3, 0.1, 0.7, 0.1]).reshape(2, 2, 1, 1)
    expected = (0.1 * np.log(0.1 / 0.5) + 0.9 * np.log(0.9 / 0.5)) / 2
    assert float(sparsity_divergence(code, 0.1)) == pytest.approx(expected, rel=1e-5)


def test_l1_sparsity_is_lower_where_less_is_at_work_whatever_the_size() -> None:
    objective = make_objective(PretrainingConfig(kind="sparse", penalty=1.0))
    dense, sparse = torch.ones(1, 4, 2, 2), torch.zeros(1, 4, 2, 2)
    sparse[:, 0] = 7
    assert float(objective.judge(None, None, dense, dense)[1]) == pytest.approx(1)
    assert float(objective.judge(None, None, sparse, sparse)[1]) == pytest.approx(0.5)  # 7/4 over sqrt(49/4)


def test_kl_sparsity_has_a_code_between_0_and_1() -> None:
    _, _, code, _, (_, penalty) = judged("sparse", sparsity="kl", penalty=1.0)
    assert 0 < code.min().item() <= code.max().item() < 1
    assert penalty.item() == pytest.approx(sparsity_divergence(code, 0.05).item())


@pytest.mark.parametrize(("ratio", "side", "count"), [(0.5, 16, 8), (0.75, 8, 48), (0.01, 16, 1), (0.95, 32, 4)])
def test_whole_squares_are_hidden_as_many_as_asked_for(ratio: float, side: int, count: int) -> None:
    hidden = hidden_squares(torch.zeros(3, 2, 64, 64), ratio, side)
    squares = hidden.unfold(1, side, side).unfold(2, side, side).float().mean((-1, -2))
    assert set(squares.unique().tolist()) <= {0.0, 1.0}
    assert squares.sum((1, 2)).tolist() == [count] * 3
    assert count in (1, 4) or not torch.equal(hidden[0], hidden[1])


def test_masked_autoencoders_see_the_mean_where_they_are_judged() -> None:
    images = torch.randn(2, 3, 40, 33)
    seen, counted = make_objective(PretrainingConfig(kind="masked", mask_size=8)).corrupt(images)
    assert counted is not None
    where = counted.unsqueeze(1).expand_as(images)
    assert not seen[where].any()
    assert torch.equal(seen[~where], images[~where])


def test_noise_has_the_asked_for_size() -> None:
    images = torch.randn(8, 1, 128, 128).clamp(-2, 2)
    gauss = noises["gaussian"].target(images, 0.3) - images
    assert float(gauss.std()) == pytest.approx(0.3, rel=0.02)
    shot = noises["poisson"].target(images, 0.3) - images
    middle = (images - images.mean()).abs() < 0.1
    assert float(shot[middle].std()) == pytest.approx(0.3, rel=0.05)
    bright, dark = images > 1.5, images < -1.5
    assert float(shot[bright].std()) > 1.4 * float(shot[dark].std())
    assert abs(float(shot.mean())) < 0.01
    salted = noises["salt_pepper"].target(images, 0.2)
    changed = salted != images
    assert float(changed.float().mean()) == pytest.approx(0.2, abs=0.01)
    assert set(salted[changed].unique().tolist()) == {float(images.min()), float(images.max())}
    missing = noises["masking"].target(images, 0.25)
    assert float((missing == 0).float().mean()) == pytest.approx(0.25, abs=0.01)


def test_strength_is_drawn_up_to_the_given_one_and_full_where_it_is_measured() -> None:
    objective = make_objective(PretrainingConfig(kind="denoising", strength=1.0))
    images = torch.zeros(64, 1, 32, 32)
    drawn = objective.corrupt(images)[0].std((1, 2, 3))
    assert 0 < float(drawn.min()) < 0.2
    assert 0.8 < float(drawn.max()) < 1.1
    full = objective.corrupt(images, fully=True)[0].std((1, 2, 3))
    assert float(full.min()) > 0.9


@pytest.mark.parametrize("kind", list(autoencoder_kinds))
def test_settings_are_completed_and_come_back_from_json(kind: str) -> None:
    config = PretrainingConfig(kind=kind)
    assert PretrainingConfig.from_json(config.to_json()) == config
    given = {name for name in KIND_SETTINGS if getattr(config, name) is not None}
    assert given == set(kind_settings(kind)) - {"activation"}
    assert autoencoder_kinds[kind].details["paper"]


def test_settings_of_other_kinds_are_refused() -> None:
    with pytest.raises(InputError, match=r"`beta` can be chosen for variational, not for the kind 'masked'. Got 1"):
        PretrainingConfig(kind="masked", beta=1.0)
    with pytest.raises(InputError, match=r"`activation` belongs to sparsity 'kl'. Got 0.1 with 'l1'"):
        PretrainingConfig(kind="sparse", activation=0.1)
    with pytest.raises(UnknownNameError, match="nearest is 'denoising'"):
        PretrainingConfig(kind="denoise")
    with pytest.raises(InputError, match="Give only one of"):
        PretrainingConfig(steps=3, epochs=3)
