"""Every variation does what it says, for any number of channels, and nothing when it is switched off."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import exposure

from napari_fcn import registry
from napari_fcn.config import DataConfig, TrainingConfig
from napari_fcn.data.augmentation import Augmentation, draw_bend, draw_transform, usual_augmentation
from napari_fcn.data.examples import prepare
from napari_fcn.data.intensity import bend_tones, blurred, vary_intensity
from napari_fcn.data.patches import PatchSampler
from napari_fcn.errors import InputError

CHANNELS = [1, 3, 4, 12]


def preset(name: str) -> Augmentation:
    augmentation = registry.augmentations[name].target()
    assert isinstance(augmentation, Augmentation)
    return augmentation


def noisy(channels: int, size: int = 40, seed: int = 0) -> torch.Tensor:
    """Values as they come from an image, standardised."""
    values = np.random.default_rng(seed).standard_normal((channels, size, size), dtype=np.float32)
    return torch.from_numpy(values)


def test_what_is_there_to_choose_from() -> None:
    assert set(registry.augmentations) == {"none", "flips", "light", "microscopy", "satellite", "strong"}
    assert TrainingConfig().augment is None
    assert {mode: usual_augmentation(mode) for mode in ("image", "dataset", "weights")} == {
        "image": "microscopy", "dataset": "satellite", "weights": "satellite"
    }  # fmt: skip


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("name", list(registry.augmentations))
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_every_preset_takes_any_number_of_channels(name: str, channels: int, dtype: Any) -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 200, (80, 90, channels)).astype(dtype)
    labels = random.integers(0, 2, (80, 90))
    ready = prepare([image], [labels], DataConfig(axes="YXC"), encoder_range=(0.452, -0.102))
    targets = [plane.target for plane in ready.planes]
    sampler = PatchSampler(ready, targets, patch_size=32, batch_size=12, augmentation=preset(name), seed=1)
    before = image.copy()
    values, classes = sampler.draw(0)
    assert values.shape == (12, channels, 32, 32)
    assert values.dtype == torch.float32
    assert torch.isfinite(values).all()
    assert values.is_contiguous()
    assert classes.shape == (12, 32, 32)
    assert classes.dtype == torch.int64
    assert set(np.unique(classes)) <= {-1, 0, 1}
    np.testing.assert_array_equal(image, before)


SINGLE = {
    "flips": {"flips": True},
    "oblique": {"oblique": 1.0},
    "angle": {"oblique": 1.0, "angle": 20.0},
    "scale": {"oblique": 1.0, "angle": 0.0, "scale": 1.3},
    "elastic": {"elastic": 1.0},
    "bend": {"elastic": 1.0, "bend": 0.1},
    "blur": {"blur": 1.0},
    "blur_radius": {"blur": 1.0, "blur_radius": 3.0},
    "gamma": {"gamma": 1.0},
    "exponent": {"gamma": 1.0, "exponent": 3.0},
    "gain": {"gain": 0.2},
    "offset": {"offset": 0.2},
    "common_gain": {"common_gain": 0.2},
    "common_offset": {"common_offset": 0.2},
    "noise": {"noise": 0.2},
    "dropout": {"dropout": 0.5},
}


def test_every_setting_does_something_of_its_own() -> None:
    """Each alone changes a patch, and in another way than each other."""
    assert set(SINGLE) == {entry.name for entry in fields(Augmentation)}
    random = np.random.default_rng(0)
    image = ndimage.gaussian_filter(random.random((90, 90, 3)), (3, 3, 0)) + 0.02 * random.random((90, 90, 3))
    ready = prepare([image], [random.integers(0, 2, (90, 90))], DataConfig(axes="YXC"), encoder_range=(1.0, 0.0))
    targets = [plane.target for plane in ready.planes]

    def views(**settings: Any) -> bytes:
        augmentation = Augmentation(**settings)
        sampler = PatchSampler(ready, targets, patch_size=32, batch_size=8, augmentation=augmentation, seed=0)
        return sampler.variations((0,), 8)[0].numpy().tobytes()

    assert len({views(), *(views(**settings) for settings in SINGLE.values())}) == len(SINGLE) + 1


@pytest.mark.parametrize("channels", CHANNELS)
def test_nothing_changes_values_when_everything_is_off(channels: int) -> None:
    values = noisy(channels)
    for augmentation in (Augmentation(), preset("none"), preset("flips")):
        assert torch.equal(vary_intensity(values, augmentation, np.random.default_rng(0)), values)


@pytest.mark.parametrize("name", list(registry.augmentations))
@pytest.mark.parametrize("channels", CHANNELS)
def test_values_that_go_in_are_left_as_they_are(name: str, channels: int) -> None:
    values = noisy(channels)
    before = values.clone()
    for seed in range(20):
        vary_intensity(values, preset(name), np.random.default_rng(seed))
        assert torch.equal(values, before)


def test_symmetries_are_all_eight_and_equally_likely() -> None:
    random = np.random.default_rng(0)
    matrices = [tuple(draw_transform(preset("flips"), random).ravel()) for _ in range(4000)]
    count = {matrix: matrices.count(matrix) for matrix in set(matrices)}
    assert len(count) == 8
    for matrix, times in count.items():
        assert sorted(map(abs, matrix)) == [0, 0, 1, 1]
        assert abs(np.linalg.det(np.reshape(matrix, (2, 2)))) == 1
        assert 400 < times < 600, "500 are expected, with a deviation of 21"


@pytest.mark.parametrize("name", ["microscopy", "satellite", "strong"])
def test_angles_and_scales_stay_within_their_limits(name: str) -> None:
    augmentation = preset(name)
    random = np.random.default_rng(0)
    matrices = np.array([draw_transform(augmentation, random) for _ in range(3000)])
    factors = np.sqrt(np.abs(np.linalg.det(matrices)))
    assert 1 / augmentation.scale - 1e-9 <= factors.min() < 1 / augmentation.scale**0.95
    assert augmentation.scale**0.95 < factors.max() <= augmentation.scale + 1e-9
    assert abs(np.log(factors).mean()) < 0.03, "as often larger as smaller"
    turned = np.degrees(np.arccos(np.clip(np.abs(matrices / factors[:, None, None]).max(axis=(1, 2)), 0, 1)))
    if augmentation.angle:
        assert turned.max() > 44
        assert (turned > 0.01).mean() == pytest.approx(augmentation.oblique, abs=0.05)
    else:
        assert turned.max() < 1e-4, "bands and grids keep their directions"
    orthogonal = np.einsum("nij,nkj->nik", matrices, matrices) / factors[:, None, None] ** 2
    np.testing.assert_allclose(orthogonal, np.broadcast_to(np.eye(2), orthogonal.shape), atol=1e-9)


def test_deformations_have_the_stated_size() -> None:
    """A corner of the field is a node; a Gaussian that is clipped at 2 has deviation 0.9594.

    Its variance is the integral of x^2 within, 0.9545 - 4 * 0.05399, and 4 times the 0.0455 beyond.
    """
    random = np.random.default_rng(0)
    augmentation = Augmentation(elastic=1.0, bend=0.05)
    corners = np.array([draw_bend(augmentation, 64, random)[:, 0, 0] for _ in range(2000)])
    assert corners.std() == pytest.approx(0.9594 * 0.05 * 64, rel=0.05)
    assert np.abs(corners).max() == pytest.approx(2 * 0.05 * 64, rel=1e-5)
    assert abs(corners.mean()) < 0.2
    assert abs(np.corrcoef(corners.T)[0, 1]) < 0.1, "rows and columns are displaced independently"


@pytest.mark.parametrize("name", ["microscopy", "strong"])
@pytest.mark.parametrize("size", [32, 256])
def test_deformations_are_smooth_and_hardly_ever_fold(name: str, size: int) -> None:
    """The map's Jacobian stays positive: no pixel is seen twice from two sides."""
    augmentation = preset(name)
    random = np.random.default_rng(0)
    fields_drawn = [draw_bend(augmentation, size, random) for _ in range(300)]
    bends = [field for field in fields_drawn if field is not None]
    assert len(bends) / 300 == pytest.approx(augmentation.elastic, abs=0.08)
    determinants = []
    for bend in bends:
        assert bend.shape == (2, size, size)
        assert bend.dtype == np.float32
        (yy, yx), (xy, xx) = np.gradient(bend[0]), np.gradient(bend[1])
        determinants.append((1 + yy) * (1 + xx) - yx * xy)
    assert (np.array(determinants) > 0).mean() > 0.999
    assert np.abs(np.array(determinants) - 1).mean() > 0.02, "and does bend"


@pytest.mark.parametrize("name", ["none", "flips", "light", "satellite"])
def test_rigid_presets_do_not_bend(name: str) -> None:
    random = np.random.default_rng(0)
    assert all(draw_bend(preset(name), 32, random) is None for _ in range(100))


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("radius", [0.36, 1.0, 2.0])
def test_blur_agrees_with_scipy(channels: int, radius: float) -> None:
    values = noisy(channels)
    expected = [ndimage.gaussian_filter(plane, radius, mode="nearest", truncate=3) for plane in values.numpy()]
    np.testing.assert_allclose(blurred(values, radius), expected, atol=1e-5)


@given(st.floats(-10, 10, width=32), st.floats(0.1, 5))
def test_blur_keeps_a_constant(value: float, radius: float) -> None:
    flat = torch.full((4, 8, 8), value)
    np.testing.assert_allclose(blurred(flat, radius), flat, rtol=1e-5, atol=1e-6)


@given(st.sampled_from(CHANNELS), st.floats(0.3, 3), st.integers(0, 99))
def test_bent_tones_keep_range_and_order(channels: int, exponent: float, seed: int) -> None:
    values = noisy(channels, 12, seed) * 3 - 1
    bent = bend_tones(values, exponent)
    np.testing.assert_allclose(bent.amin(dim=(1, 2)), values.amin(dim=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(bent.amax(dim=(1, 2)), values.amax(dim=(1, 2)), atol=1e-5)
    order = values.flatten(1).argsort(dim=1)
    assert (bent.flatten(1).gather(1, order).diff(dim=1) >= -1e-5).all()


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_bent_tones_agree_with_scikit_image(exponent: float) -> None:
    values = noisy(3)
    for before, after in zip(values.numpy(), bend_tones(values, exponent).numpy(), strict=True):
        span = before.max() - before.min()
        expected = exposure.adjust_gamma((before - before.min()) / span, exponent) * span + before.min()
        np.testing.assert_allclose(after, expected, atol=1e-5)


def test_tones_of_a_constant_stay() -> None:
    flat = torch.tensor([-2.0, 0.0, 3.0])[:, None, None].expand(3, 8, 8).contiguous()
    assert torch.equal(bend_tones(flat, 0.5), flat)


def test_exposure_has_the_stated_spread_about_the_mean() -> None:
    """Values at the mean and one deviation above it tell gain and offset apart, in the encoder's own range."""
    deviation, mean = 0.5, -0.1
    values = torch.full((4, 1, 2), mean)
    values[..., 1] += deviation
    random = np.random.default_rng(0)
    each = Augmentation(gain=0.2, offset=0.3)
    common = Augmentation(common_gain=0.2, common_offset=0.3)
    for augmentation, alike in ((each, False), (common, True)):
        drawn = torch.stack(
            [vary_intensity(values, augmentation, random, deviation=deviation, mean=mean) for _ in range(2000)]
        ).numpy()[:, :, 0]
        offsets = (drawn[..., 0] - mean) / deviation
        gains = np.log((drawn[..., 1] - drawn[..., 0]) / deviation)
        assert offsets.std() == pytest.approx(0.3, rel=0.06)
        assert gains.std() == pytest.approx(0.2, rel=0.06)
        assert abs(offsets.mean()) < 0.03
        assert abs(gains.mean()) < 0.02
        between = np.corrcoef(offsets.T)[0, 1], np.corrcoef(gains.T)[0, 1]
        np.testing.assert_allclose(between, 1 if alike else 0, atol=0.1)


def test_satellite_bands_change_together() -> None:
    """What is common must outweigh what is not: the correlation is 0.15^2 / (0.15^2 + 0.05^2) = 0.9."""
    values = torch.zeros(12, 32, 32)
    random = np.random.default_rng(0)
    levels = torch.stack([vary_intensity(values, preset("satellite"), random).mean(dim=(1, 2)) for _ in range(600)])
    assert np.corrcoef(levels.numpy().T)[~np.eye(12, dtype=bool)].mean() == pytest.approx(0.9, abs=0.03)


@pytest.mark.parametrize("channels", CHANNELS)
def test_noise_is_as_strong_as_stated_and_independent(channels: int) -> None:
    flat = torch.full((channels, 64, 64), 0.3)
    random = np.random.default_rng(0)
    augmentation = Augmentation(noise=0.4)
    strengths = []
    for _ in range(200):
        noise = vary_intensity(flat, augmentation, random, deviation=0.5).numpy() - 0.3
        strengths.append(noise.std())
        assert abs(noise.mean()) < 0.2 * 5 / 64
        assert abs(np.corrcoef(noise[0, :, 1:].ravel(), noise[0, :, :-1].ravel())[0, 1]) < 0.1
    assert max(strengths) < 0.4 * 0.5 * 1.05
    assert np.mean(strengths) == pytest.approx(0.4 * 0.5 / 2, rel=0.15)


@pytest.mark.parametrize("channels", [2, 3, 4, 12])
@pytest.mark.parametrize("probability", [0.1, 0.9, 1.0])
def test_some_channels_may_be_missing_but_never_all(channels: int, probability: float) -> None:
    values = noisy(channels, 8)
    random = np.random.default_rng(0)
    survivors = np.zeros(channels, int)
    lost = 0
    for _ in range(400):
        varied = vary_intensity(values, Augmentation(dropout=probability), random, deviation=0.5, mean=-0.25)
        dropped = (varied == -0.25).all(dim=2).all(dim=1)
        assert not dropped.all()
        assert torch.equal(varied[~dropped], values[~dropped])
        survivors += (~dropped).numpy()
        lost += int(dropped.sum())
    assert (survivors > 0).all(), "none is preferred"
    expected = probability * channels - probability**channels
    assert lost / 400 == pytest.approx(expected, rel=0.25)


def test_the_only_channel_is_never_missing() -> None:
    values = noisy(1, 8)
    random = np.random.default_rng(0)
    for _ in range(100):
        assert torch.equal(vary_intensity(values, Augmentation(dropout=1.0), random), values)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"oblique": 1.5}, "`oblique` of an augmentation must be from 0 to 1. Got 1.5."),
        ({"dropout": -0.1}, "`dropout` of an augmentation must be from 0 to 1. Got -0.1."),
        ({"scale": 0.8}, "`scale` of an augmentation must be at least 1. Got 0.8."),
        ({"noise": -1.0}, "`noise` of an augmentation must be at least 0. Got -1.0."),
        ({"angle": 200.0}, "`angle` of an augmentation must be from 0 to 180. Got 200.0."),
        ({"gain": float("nan")}, "`gain` of an augmentation must be at least 0. Got nan."),
    ],
)
def test_impossible_strengths_are_refused(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(InputError) as caught:
        Augmentation(**settings)
    assert str(caught.value) == sentence
