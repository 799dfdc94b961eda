"""What learns and how fast: every strategy, by looking at what changed and at the rates."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn.config import TrainingConfig
from napari_fcn.errors import InputError
from napari_fcn.training import Noted, Started
from napari_fcn.training.transfer import make_optimizer, rate_factor


def changed(training) -> set[str]:
    """Names of the tensors, statistics too, that training changes."""
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    list(training.run())
    after = training.network.state_dict()
    return {name for name in before if not torch.equal(before[name], after[name])}


def rates(training) -> dict[str, float]:
    """The highest rate of each parameter that ever learns."""
    names = {id(p): name for name, p in training.network.named_parameters()}
    groups = training.learner.optimizer.param_groups
    return {names[id(p)]: group["highest"] for group in groups for p in group["params"]}


@pytest.mark.parametrize("stages", [1, 3, 5])
def test_the_first_stages_are_kept_with_their_statistics(prepared, stages: int) -> None:
    training = prepared(freeze_stages=stages)
    by_stage = training.network.stages()
    kept = {f"encoder.{name}" for stage in by_stage[:stages] for name in stage}
    learning = {f"encoder.{name}" for stage in by_stage[stages:] for name in stage}
    assert kept
    assert len(kept | learning) == len(list(training.network.encoder.parameters()))
    assert set(rates(training)) >= learning
    assert not kept & set(rates(training))
    names = changed(training)
    assert not names & kept
    if stages == 5:
        assert not any(name.startswith("encoder.") for name in names)
    else:
        assert names & learning
    assert any(name.startswith("decoder.") for name in names)


def test_more_stages_than_there_are_is_refused(prepared) -> None:
    with pytest.raises(InputError, match=r"`freeze_stages` must be at most 5 for this encoder. Got 6."):
        prepared(freeze_stages=6)


def test_each_finer_stage_learns_more_slowly(prepared) -> None:
    training = prepared(rate=0.01, encoder_rate=0.5, stage_decay=0.1)
    found = rates(training)
    stages = training.network.stages()
    for distance, stage in enumerate(reversed(stages)):
        for name in stage:
            assert found[f"encoder.{name}"] == pytest.approx(0.01 * 0.5 * 0.1**distance)
    assert {found[name] for name in found if not name.startswith("encoder.")} == {0.01}
    assert len(found) == len(list(training.network.parameters()))


@pytest.mark.parametrize("part", [0.25, 1.0])
def test_the_encoder_is_kept_until_it_is_released(prepared, part: float) -> None:
    training = prepared(unfreeze=part, steps=8)
    encoder = {name: p.detach().clone() for name, p in training.network.encoder.named_parameters()}
    statistics = {n: b.clone() for n, b in training.network.encoder.named_buffers()}

    def same() -> bool:
        now = dict(training.network.encoder.named_parameters())
        here = dict(training.network.encoder.named_buffers())
        return all(torch.equal(encoder[n], now[n]) for n in encoder) and all(
            torch.equal(statistics[n], here[n]) for n in statistics
        )

    kept, told = [], []
    for event in training.run():
        if type(event).__name__ == "Step":
            kept.append(same())
        if isinstance(event, Noted):
            told.append(event.text)
    assert kept == [step < 8 * part for step in range(8)]
    assert any("encoder learns too" in text for text in told) == (part < 1)


def test_only_the_last_layer_learns_when_nothing_else_may(prepared) -> None:
    first = prepared(steps=2)
    list(first.run())
    training = prepared(transfer="head", init=first.segmenter())
    assert {name.split(".")[0] for name in changed(training)} == {"head"}
    started = next(event for event in prepared(transfer="head", init=first.segmenter()).run())
    assert isinstance(started, Started)
    assert started.trainable == sum(p.numel() for p in training.network.head.parameters())


def test_a_cut_encoder_learns_with_what_is_left(prepared) -> None:
    whole, cut = prepared(), prepared(depth=3)
    known = dict(whole.network.encoder.named_parameters())
    left = dict(cut.network.encoder.named_parameters())
    assert 0 < len(left) < len(known)
    assert all(torch.equal(parameter, known[name]) for name, parameter in left.items())
    assert cut.network.stride == 8
    list(cut.run())
    assert cut.segmenter().model.depth == 3
    image = np.random.default_rng(0).integers(0, 99, (50, 41), np.uint8)
    assert cut.segmenter().predict(image).shape == (50, 41)


@pytest.mark.parametrize("name", ["freeze_stages", "encoder_rate", "stage_decay", "unfreeze"])
def test_what_belongs_to_fine_tuning_is_refused_elsewhere(name: str) -> None:
    value = {"freeze_stages": 2, "encoder_rate": 0.1, "stage_decay": 0.5, "unfreeze": 0.5}[name]
    with pytest.raises(InputError, match=f"`{name}` belongs to transfer 'finetune'"):
        TrainingConfig(transfer="frozen", **{name: value})


def test_kept_features_need_something_that_is_kept() -> None:
    with pytest.raises(InputError, match="`feature_memory` belongs to transfer 'frozen' or 'head' or 'finetune'"):
        TrainingConfig(transfer="scratch", feature_memory=100.0)


def test_scratch_and_a_segmenter_to_start_from_contradict_each_other(prepared) -> None:
    first = prepared(steps=1)
    list(first.run())
    with pytest.raises(InputError, match="'scratch' forgets"):
        prepared(transfer="scratch", init=first.segmenter())


def test_steps_are_those_of_torch(prepared) -> None:
    """Three steps of SGD on one parameter by hand: Nesterov's momentum, weight decay on kernels alone."""
    training = prepared()
    config = TrainingConfig(optimizer="sgd", rate=0.1, weight_decay=0.5, encoder_rate=1.0)
    optimizer = make_optimizer(training.network, config)
    kernel = next(p for p in training.network.head.parameters() if p.ndim == 4)
    bias = next(p for p in training.network.head.parameters() if p.ndim == 1)
    w, b = float(kernel.detach().flatten()[0]), float(bias.detach()[0])
    momentum_w = momentum_b = 0.0
    for _ in range(3):
        for p in (kernel, bias):
            p.grad = torch.ones_like(p)
        optimizer.step()
        slope = 1 + 0.5 * w
        momentum_w, momentum_b = 0.9 * momentum_w + slope, 0.9 * momentum_b + 1
        w -= 0.1 * (slope + 0.9 * momentum_w)
        b -= 0.1 * (1 + 0.9 * momentum_b)
    assert float(kernel.detach().flatten()[0]) == pytest.approx(w, abs=1e-5)
    assert float(bias.detach()[0]) == pytest.approx(b, abs=1e-5)


@pytest.mark.parametrize("schedule", ["cosine", "poly", "constant"])
@pytest.mark.parametrize("warm_up", [0.0, 0.05, 0.3])
def test_the_rate_rises_and_then_never_does(schedule: str, warm_up: float) -> None:
    found = np.array([rate_factor(p, schedule, warm_up) for p in np.linspace(0, 1, 201)])
    top = int(np.ceil(warm_up * 200))
    assert found.max() == found[top] == pytest.approx(1)
    assert (np.diff(found[: top + 1]) > 0).all()
    assert (np.diff(found[top:]) <= 1e-12).all()
    assert found[-1] == pytest.approx({"cosine": 0.01, "poly": 0.0, "constant": 1.0}[schedule])


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_both_optimizers_learn(prepared, optimizer: str) -> None:
    training = prepared(optimizer=optimizer, rate=0.002 if optimizer == "adamw" else 0.02, steps=12, augment="none")
    losses = [event.loss for event in training.run() if hasattr(event, "loss")]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_dropout_leaves_out_channels_in_training_alone(prepared) -> None:
    training = prepared(dropout=0.5, steps=1)
    list(training.run())
    network = training.network
    features = torch.ones(4, next(network.head.parameters()).shape[1], 8, 8)
    network.train()
    first, second = network.judge(features), network.judge(features)
    assert not torch.equal(first, second)
    network.eval()
    assert torch.equal(network.judge(features), network.judge(features))
    plain = training.segmenter()
    assert torch.equal(plain.network.eval().judge(features), network.judge(features))


def test_a_frozen_encoder_usually_has_a_narrower_decoder(prepared) -> None:
    widths = [prepared(transfer=transfer).model.width for transfer in ("finetune", "frozen")]
    assert widths == [16, 8]
    assert prepared(transfer="frozen", width=16).model.width == 16
    assert prepared(transfer="frozen", architecture="fpn").model.width is None
    started = prepared(transfer="frozen", init=prepared().segmenter())
    assert started.model.width == 16  # as the segmenter that it starts from


def test_where_values_mean_the_same_channels_do_not_vary_each_by_itself(prepared) -> None:
    presets = [
        prepared(normalization=mode, **given).config.augment
        for mode in ("image", "dataset")
        for given in ({}, {"augment": "strong"})
    ]
    assert presets == ["microscopy", "strong", "satellite", "strong"]
