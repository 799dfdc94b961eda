"""Training: stops within a step, keeps the best, repeats itself, and tells the truth about whether it got better."""

from __future__ import annotations

import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import napari_fcn as fcn
from napari_fcn import samples
from napari_fcn.api import prepare_training
from napari_fcn.errors import InputError
from napari_fcn.training import Finished, Started, Step, Validated, loop
from napari_fcn.training.transfer import rate_factor

QUICK = {"batch_size": 2, "patch_size": 64, "device": "cpu"}


def picture(size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on a dark noisy ground, and where they are."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    labels = ((rows % 40 - 20) ** 2 + (columns % 40 - 20) ** 2 < 120).astype(np.uint8)
    return (labels * 80 + random.integers(0, 60, labels.shape)).astype(np.uint8), labels


def prepared(**options):
    image, labels = picture()
    return prepare_training(image, labels, **{**QUICK, "steps": 4, **options})


def test_events_come_in_order() -> None:
    training = prepared()
    events = list(training.run())
    assert isinstance(events[0], Started)
    assert isinstance(events[1], Validated)
    assert events[1].step == 0
    steps = [event for event in events if isinstance(event, Step)]
    assert [event.step for event in steps] == [1, 2, 3, 4]
    assert steps[-1].progress == 1
    assert isinstance(events[-1], Finished)
    assert events[-1] == training.result
    assert events[-1].steps == 4
    assert "before" in events[-1].summary


def test_the_same_seed_gives_the_same_weights() -> None:
    def weights(seed: int) -> torch.Tensor:
        training = prepared(seed=seed)
        list(training.run())
        return torch.cat([p.flatten() for p in training.network.parameters()])

    first = weights(1)
    torch.manual_seed(99)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


@pytest.mark.parametrize("transfer", ["frozen", "finetune", "scratch"])
def test_what_is_frozen_is_frozen_and_the_rest_learns(transfer: str) -> None:
    training = prepared(transfer=transfer)
    before = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    list(training.run())
    after = training.network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    encoder = {name for name in changed if name.startswith("encoder.")}
    assert any(name.startswith("decoder.") for name in changed)
    assert any(name.startswith("head.") for name in changed)
    assert bool(encoder) == (transfer != "frozen")
    if transfer == "scratch":
        assert training.segmenter().model.weights == "none"


def test_the_encoder_learns_at_a_fraction_of_the_rate() -> None:
    from napari_fcn.config import TrainingConfig
    from napari_fcn.training.transfer import make_optimizer

    training = prepared()
    optimizer = make_optimizer(training.network, TrainingConfig(rate=0.01, encoder_rate=0.1))
    encoder = {id(p) for p in training.network.encoder.parameters()}
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert all(rate == pytest.approx(0.001 if key in encoder else 0.01) for key, rate in rates.items())
    assert len(rates) == len(list(training.network.parameters()))


def test_the_rate_rises_and_falls() -> None:
    rates = [rate_factor(p) for p in np.linspace(0, 1, 101)]
    assert max(rates) == 1
    assert rates[0] == 0
    assert rates[-1] == pytest.approx(0.01)
    top = rates.index(1)
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)


@pytest.mark.parametrize("how", ["close", "interrupt"])
def test_stopping_keeps_what_was_learnt(how: str) -> None:
    training = prepared(steps=1000)
    run = training.run()
    for event in run:
        if isinstance(event, Step) and event.step == 3:
            break
    if how == "close":
        run.close()
    else:
        with pytest.raises(KeyboardInterrupt):
            run.throw(KeyboardInterrupt())
    assert training.result is not None
    assert training.result.reason == "cancelled"
    assert training.result.steps == 3
    assert training.result.best_step == 3
    learnt = training.segmenter().network.state_dict()
    assert all(torch.equal(tensor, learnt[name]) for name, tensor in training.network.state_dict().items())


def test_stopping_before_the_first_step_is_said() -> None:
    training = prepared()
    run = training.run()
    next(run)
    run.close()
    assert "Nothing was learnt" in training.result.summary
    training.segmenter()


def test_the_best_weights_are_kept_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    training = prepared(steps=10)
    real = training.validation.score
    calls = iter([0.1, 0.2, 0.9] + [0.3] * 20)

    def score(network, engine):
        import dataclasses

        return dataclasses.replace(real(network, engine), mean_iou=next(calls))

    monkeypatch.setattr(training.validation, "score", score)
    kept = None
    for event in training.run():
        if isinstance(event, Validated) and event.scores.mean_iou == 0.9:
            kept = {name: tensor.clone() for name, tensor in training.network.state_dict().items()}
    assert training.result.best.mean_iou == 0.9
    segmenter = training.segmenter().network.state_dict()
    assert all(torch.equal(tensor, segmenter[name]) for name, tensor in kept.items())
    assert training.result.best_step == 2


def test_no_better_than_before_is_said_aloud(monkeypatch: pytest.MonkeyPatch) -> None:
    training = prepared(steps=2)
    import dataclasses

    real, calls = training.validation.score, iter([0.9] + [0.2] * 10)
    monkeypatch.setattr(
        training.validation, "score", lambda n, e: dataclasses.replace(real(n, e), mean_iou=next(calls))
    )
    list(training.run())
    assert training.result.summary.startswith("No better than before")


def test_a_time_budget_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """In processor seconds: on a busy machine a step may take any number of others."""
    monkeypatch.setattr(loop, "time", SimpleNamespace(perf_counter=time.process_time))
    small = {"architecture": "unet-classic", "width": 8, "depth": 2}
    training = prepared(steps=None, time_budget=2, batch_size=1, **small)
    events = list(training.run())
    assert training.result.seconds < 2.25
    assert training.result.steps > 3
    assert 0.9 < max(event.progress for event in events if isinstance(event, Step)) <= 1


def test_without_pretrained_weights_everything_is_learnt_alike_and_it_is_said() -> None:
    training = prepared(weights="none", transfer="finetune", steps=1)
    started = next(event for event in training.run() if isinstance(event, Started))
    assert any("Nothing is pretrained here" in note for note in started.notes)
    assert training.segmenter().training["transfer"] == "scratch"
    assert not any("pretrained" in note for note in prepared(transfer="scratch").notes)
    with pytest.raises(InputError, match=r"'frozen' keeps pretrained features.*use 'scratch'"):
        prepared(weights="none", transfer="frozen")


def test_scoring_leaves_time_to_learn() -> None:
    """Of many held-out windows only some are scored where that would take too long; every class stays."""
    from napari_fcn.training.validation import Validation

    image, labels = picture(640)
    labels[:20, :20] = 2
    training = prepared()
    examples = prepare_training(image, labels, **QUICK, steps=1, validation=0.0).examples
    validation = Validation(examples, [plane.target for plane in examples.planes])
    windows = len(validation.windows)
    assert validation.limit(training.network, training.engine, 1000) is None
    assert len(validation.windows) == windows > 4
    sentence = validation.limit(training.network, training.engine, 1e-6)
    assert (
        sentence
        == f"Progress is measured on {len(validation.windows)} of {windows} held-out windows, to leave time to learn."
    )
    assert len(validation.windows) <= 3
    scores = validation.score(training.network, training.engine)
    assert all(row.pixels for row in scores.classes)


def test_held_out_pixels_teach_nothing() -> None:
    """Whatever the labels say there, the learnt weights are the same."""
    image, labels = picture(320)

    def weights(labels: np.ndarray) -> torch.Tensor:
        training = prepare_training(image, labels, **QUICK, steps=2)
        list(training.run())
        return torch.cat([p.flatten() for p in training.network.parameters()])

    from napari_fcn.config import DataConfig
    from napari_fcn.data.examples import hold_out, prepare

    examples = prepare([image], [labels], DataConfig(), encoder_range=(1, 0))
    _, held, _ = hold_out(examples, 0.15, np.random.default_rng(0))
    inside = held[0] >= 0
    assert inside.any()
    changed = labels.copy()
    rows, columns = np.nonzero(inside)
    order = np.random.default_rng(1).permutation(len(rows))
    changed[rows, columns] = labels[rows[order], columns[order]]  # as many of each class, elsewhere
    assert torch.equal(weights(labels), weights(changed))


def test_validation_images_may_be_given() -> None:
    image, labels = picture()
    training = prepare_training(image, labels, validation_data=(image[:70], labels[:70]), **QUICK, steps=2)
    events = list(training.run())
    scores = next(event.scores for event in events if isinstance(event, Validated))
    assert sum(row.pixels for row in scores.classes) == labels[:70].size
    with pytest.raises(InputError, match="Validation images must have 1 channels"):
        prepare_training(image, labels, validation_data=(np.stack([image] * 3, -1), labels), **QUICK, steps=2)


def test_without_validation_the_last_weights_are_kept() -> None:
    training = prepared(validation=0.0)
    events = list(training.run())
    assert not any(isinstance(event, Validated) for event in events)
    assert training.result.best_step == 4
    assert "not known" in training.result.summary


def test_balanced_weights_favour_the_rare_class() -> None:
    image, labels = picture()
    weights = prepare_training(image, labels, **QUICK, steps=1, class_weights="balanced")._class_weights()
    share = labels.mean()
    assert float(weights[1] / weights[0]) == pytest.approx((1 - share) / share, rel=0.1)
    assert float(weights.mean()) == pytest.approx(1)


def test_a_batch_of_one_is_enlarged_where_the_network_needs_it() -> None:
    training = prepared(architecture="deeplabv3plus", batch_size=1, steps=1)
    started = next(iter(training.run()))
    assert started.batch_size == 2
    list(prepared(architecture="deeplabv3plus", batch_size=1, steps=1).run())


def test_epochs_are_passes_over_the_labelled_area() -> None:
    training = prepared(steps=None, epochs=2)
    assert next(iter(training.run())).steps == 2 * round(160 * 160 / (2 * 64 * 64))


@pytest.mark.slow
def test_it_learns_to_segment_images_that_it_never_saw() -> None:
    """On the shipped tissue: better than before and than calling everything background."""
    sample = samples.load("nuclei")
    settings = {"axes": sample.axes, "zero": sample.zero, "steps": 40, "batch_size": 4, "patch_size": 128, "seed": 0}
    training = prepare_training(list(sample.train_images), list(sample.train_labels), **settings)

    def score(segmenter) -> fcn.Scores:
        return fcn.evaluate([segmenter.predict(i, sample.axes) for i in sample.test_images], list(sample.test_labels))

    before = score(training.segmenter()).mean_iou
    list(training.run())
    after = score(training.segmenter())
    truth = np.concatenate([labels.ravel() for labels in sample.test_labels])
    majority = (truth == 0).mean() / 2  # IoU of the background when everything is called background, and 0
    assert after.mean_iou > before + 0.2
    assert after.mean_iou > majority + 0.2
    assert after.mean_iou > 0.7


@pytest.mark.slow
def test_it_learns_from_a_few_labelled_pixels_of_a_satellite_scene() -> None:
    sample = samples.load("landsat")
    image, labels = sample.train_images[0], sample.train_labels[0]
    settings = {"channels": (0, 1, 2, 3, 4, 5), "augment": "satellite", "steps": 40, "patch_size": 96}
    segmenter = fcn.train(image, labels, axes=sample.axes, zero=sample.zero, **settings)
    prediction = segmenter.predict(image, sample.axes)
    assert prediction.shape == labels.shape
    assert set(np.unique(prediction)) <= {1, 2, 3, 4, 5}
    assert fcn.evaluate(prediction, labels, zero="unlabelled").mean_iou > 0.6


def test_a_class_that_was_not_held_out_is_not_in_the_score() -> None:
    """Predicting it by mistake costs the true class, and does not bring a zero of its own into the mean."""
    from napari_fcn.metrics import Scores
    from napari_fcn.training.validation import of_true_classes

    scores = of_true_classes(Scores.from_confusion(np.array([[8, 0, 2], [0, 5, 0], [0, 0, 0]]), (0, 1, 2)))
    assert scores.mean_iou == pytest.approx((0.8 + 1) / 2)
    assert np.isnan(scores.classes[2].iou)
