"""Learning without labels: it learns, stops, goes on, repeats itself, and leaves a file that others start from."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

import napari_fcn as fcn
from napari_fcn import registry, samples
from napari_fcn.errors import InputError
from napari_fcn.models.encoders import encoder_range, make_encoder
from napari_fcn.training import Finished, Measured, Started, Step, events

SMALL: dict[str, Any] = {
    "encoder": "classic",
    "depth": 2,
    "code": 16,
    "batch_size": 2,
    "patch_size": 64,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def tissue() -> list[np.ndarray]:
    """Stained tissue, grey, of 160 x 160 pixels each."""
    return [image[:160, :160].mean(axis=-1).astype(np.uint8) for image in samples.load("nuclei").train_images[:2]]


def prepare(images: Any, **options: Any):
    known = {"steps", "epochs", "time_budget", "resume"} & set(options)
    return fcn.prepare_pretraining(images, **{**SMALL, **({} if known else {"steps": 4}), **options})


def weights(thing: Any) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in thing.network.parameters()])


@pytest.mark.slow
@pytest.mark.parametrize("operator", list(registry.upsampling))
@pytest.mark.parametrize("kind", list(registry.autoencoder_kinds))
def test_every_kind_learns_with_every_operator(tissue: list[np.ndarray], kind: str, operator: str) -> None:
    """At most half of the mean image's loss, on blocks that were never seen."""
    settings = {"mask_size": 4} if kind == "masked" else {}
    options = {
        "upsampling": operator,
        "depth": 1,
        "code": 4,
        "batch_size": 4,
        "patch_size": 32,
        "rate": 0.005,
        **settings,
    }
    training = prepare(tissue, kind=kind, steps=STEPS, **options)
    list(training.run())
    result = training.result
    assert result is not None
    assert result.best_loss is not None
    assert result.mean_loss is not None
    assert result.best_loss <= 0.5 * result.mean_loss


STEPS = 20


@pytest.mark.slow
def test_noise_is_taken_out() -> None:
    """Gaussian noise of a tenth of the range, by 3 dB at least, from stained tissue that was not learnt.

    In batches of two: while these alone gave the statistics of batch normalisation, this seed had the wrong brightness.
    """
    sample = samples.load("nuclei")
    train = [image.mean(axis=-1).astype(np.uint8) for image in sample.train_images]
    image = sample.test_images[0][:192, :192].mean(axis=-1)
    noisy = image + np.random.default_rng(0).normal(0, 25.5, image.shape)
    strength = 1.2 * float(np.mean([25.5 / other.std() for other in train]))
    options = {"upsampling": "max_unpool", "rate": 0.005, "steps": 60, "strength": strength, "patch_size": 64}
    restored = fcn.pretrain(train, **{**SMALL, "depth": 1, "code": 32, "seed": 2, **options}).denoise(noisy)
    before, after = (peak_signal_noise_ratio(image, other, data_range=255) for other in (noisy, restored))
    assert before == pytest.approx(20, abs=0.1)
    assert after > before + 3


def test_statistics_are_taken_from_many_patches_but_no_more_than_were_learnt_from(tissue: list[np.ndarray]) -> None:
    """64 of small ones, in batches that are not the training's; of large ones as many as are a million pixels."""
    training = prepare(tissue, batch_size=2)
    counts = {}
    for step in (0, 5, 8, 9, 32, 1000):
        training.record.step = step
        counts[step] = [len(patches) for patches in training._settling_patches()]
    assert counts == {0: [8], 5: [8, 8], 8: [8, 8], 9: [8] * 3, 32: [8] * 8, 1000: [8] * 8}
    training.sizes = dataclasses.replace(training.sizes, patch=256)
    assert len(list(training._settling_patches())) == 2


def test_measuring_takes_a_part_of_what_is_held_back_of_many_images() -> None:
    image = np.random.default_rng(0).integers(0, 255, (256, 256), np.uint8)
    for count, measured in ((2, 2), (32, 8)):
        training = prepare([image] * count, validation=0.5)
        windows = training._scoring.validation.windows
        assert sum(truth.size for _, truth in windows) == measured * image.size


def test_events_tell_the_losses_and_the_sentence_is_honest(tissue: list[np.ndarray]) -> None:
    training = prepare(tissue, kind="plain", steps=5)
    told = list(training.run())
    assert isinstance(told[0], Started)
    assert isinstance(told[1], Measured)
    assert told[1].step == 0
    assert [event.step for event in told if isinstance(event, Step)] == [1, 2, 3, 4, 5]
    end = told[-1]
    assert isinstance(end, Finished)
    assert end.start_loss == told[1].loss
    assert end.mean_loss == told[0].mean_loss
    # Standardised values have variance 1, but for what the held-out blocks happen to show.
    assert 0.2 < end.mean_loss < 2
    assert end.best_loss == min(event.loss for event in told if isinstance(event, Measured) and event.step)
    assert ("got better" in end.summary) == (end.best_loss < min(end.start_loss, end.mean_loss))
    assert [events.from_json(json.loads(json.dumps(events.to_json(event)))) for event in told] == told


def test_the_same_seed_gives_the_same_numbers_and_another_does_not(tissue: list[np.ndarray]) -> None:
    found = []
    for seed in (3, 3, 4):
        training = prepare(tissue, kind="variational", seed=seed, steps=2)
        list(training.run())
        found.append(weights(training.autoencoder()))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


@pytest.mark.parametrize("kind", ["denoising", "variational"])
def test_going_on_is_the_same_as_never_having_stopped(tissue: list[np.ndarray], tmp_path: Path, kind: str) -> None:
    whole = prepare(tissue, kind=kind)
    list(whole.run())
    first = prepare(tissue, kind=kind, run_dir=tmp_path / "run")
    for event in first.run():
        if isinstance(event, Step) and event.step == 2:
            break
    assert first.result is not None
    assert first.result.reason == "cancelled"
    second = prepare(tissue, resume=tmp_path / "run")
    steps = [event.step for event in second.run() if isinstance(event, Step)]
    assert steps == [3, 4]
    assert torch.equal(weights(second), weights(whole))
    saved = fcn.Autoencoder.load(tmp_path / "run" / "best.safetensors")
    assert torch.equal(weights(saved), weights(whole.autoencoder()))
    with pytest.raises(InputError, match="learns without labels; go on with `pretrain`"):
        fcn.train(tissue[0], tissue[0] > 99, resume=tmp_path / "run")
    with pytest.raises(InputError, match="its images were others"):
        prepare([tissue[0]], resume=tmp_path / "run")


@pytest.fixture(scope="module")
def saved(tissue: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files of autoencoders over two encoders."""
    files = {}
    for encoder in ("classic", "tf_efficientnet_lite0"):
        options = {"encoder": encoder, "depth": 3, "weights": "none", "steps": 2}
        learnt = fcn.pretrain(tissue, **{**SMALL, **options})
        files[encoder] = str(learnt.save(tmp_path_factory.mktemp(encoder) / "encoder.safetensors"))
    return files


@pytest.mark.parametrize("architecture", ["unet", "deeplabv3plus", "unet-classic"])
def test_every_architecture_with_the_encoder_starts_from_the_file(
    tissue: list[np.ndarray], saved: dict[str, str], architecture: str
) -> None:
    encoder = "classic" if architecture == "unet-classic" else "tf_efficientnet_lite0"
    file = saved[encoder]
    learnt = fcn.Autoencoder.load(file)
    made = make_encoder(encoder, file, 1).state_dict()
    own = learnt.network.encoder.state_dict()
    assert set(own) < set(made)
    assert all(torch.equal(made[name], own[name]) for name in own)
    assert encoder_range(encoder, file) == (learnt.normalization.gain, learnt.normalization.offset)
    labels = (tissue[0] > 128).astype(np.uint8)
    settings = {"architecture": architecture, "weights": file, "steps": 1, "batch_size": 2, "patch_size": 64}
    segmenter = fcn.train(tissue[0], labels, encoder=encoder, rate=1e-8, **settings)
    first = next(name for name in own if own[name].ndim == 4)
    torch.testing.assert_close(segmenter.network.encoder.state_dict()[first], own[first], atol=1e-4, rtol=0)


def test_a_segmenter_of_the_same_network_starts_from_the_decoder_too(
    tissue: list[np.ndarray], saved: dict[str, str]
) -> None:
    file = saved["classic"]
    labels = (tissue[0] > 128).astype(np.uint8)
    common = {"architecture": "autoencoder", "weights": file, **SMALL, "depth": 3, "steps": 1}
    same = fcn.prepare_training(tissue[0], labels, **common, transfer="head")
    assert "The decoder starts from the file's too." in same.notes
    learnt = fcn.Autoencoder.load(file).network.state_dict()
    own = same.network.state_dict()
    assert all(torch.equal(own[name], learnt[name]) for name in own if not name.startswith("head."))
    other = fcn.prepare_training(tissue[0], labels, **{**common, "code": 8})
    assert any("random values, because the file's is another one: depth 3, code 16" in note for note in other.notes)
    with pytest.raises(InputError, match="this decoder starts from random values"):
        fcn.prepare_training(tissue[0], labels, **{**common, "code": 8}, transfer="head")


def test_it_starts_from_imagenet_where_that_is_wanted(tissue: list[np.ndarray]) -> None:
    options = {**SMALL, "encoder": "tf_efficientnet_lite0", "weights": "imagenet"}
    training = fcn.prepare_pretraining(tissue, **options, steps=1, rate=1e-8)
    kernel = make_encoder("tf_efficientnet_lite0", "imagenet", 1, depth=2).state_dict()
    own = training.network.encoder.state_dict()
    assert all(torch.equal(own[name], kernel[name]) for name in own)
    assert training.examples.normalization.gain == pytest.approx(0.452)


@pytest.mark.parametrize("axes", ["YX", "CYX", "YXC", "ZYX", "TZCYX"])
def test_any_axes(axes: str) -> None:
    shape = tuple({"Y": 70, "X": 80, "C": 3, "Z": 2, "T": 2}[letter] for letter in axes)
    image = np.random.default_rng(0).integers(0, 999, shape, np.uint16)
    made = fcn.pretrain(image, axes=axes, kind="masked", steps=1, **SMALL)
    assert made.channels == (3 if "C" in axes else 1)
    assert made.reconstruct(image).shape == shape


def test_pixels_without_data_are_not_learnt_from() -> None:
    image = np.random.default_rng(0).random((96, 96)).astype(np.float32)
    image[:, 48:] = np.nan
    training = prepare(image, kind="plain", validation=0.0)
    values, target = training.sampler.draw(0)
    assert torch.isfinite(values).all()
    assert (target == -1).any()
    list(training.run())
    assert training.result is not None
    assert "nothing was held out" in training.result.summary
    back = training.autoencoder().reconstruct(image)
    assert np.isnan(back[:, 48:]).all()
    assert np.isfinite(back[:, :48]).all()


def test_what_cannot_be_learnt_from_is_one_sentence() -> None:
    image = np.zeros((64, 64), np.uint8)
    with pytest.raises(InputError, match=r"one at least. Got none"):
        prepare([])
    with pytest.raises(InputError, match=r"same number of channels. Got \[1, 3\]"):
        prepare([image, np.zeros((64, 64, 3), np.uint8)])
    with pytest.raises(InputError, match=r"Image 2: `axes` must have a letter"):
        prepare([image, np.zeros((2, 64, 64), np.uint8)], axes="YX")
    with pytest.raises(InputError, match="no option 'architecture'"):
        prepare(image, architecture="unet")
    with pytest.raises(InputError, match="holds no data"):
        prepare(np.full((64, 64), np.nan))
