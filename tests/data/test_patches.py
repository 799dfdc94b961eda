"""Patches show rare classes, keep image and labels together, and never show what was held out."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import ndimage

from napari_fcn import registry
from napari_fcn.config import DataConfig
from napari_fcn.data.augmentation import Augmentation, draw_bend
from napari_fcn.data.examples import Examples, hold_out, prepare
from napari_fcn.data.patches import PatchSampler
from napari_fcn.errors import InputError

RANGE = (1.0, 0.0)


def examples(labels: np.ndarray, image: np.ndarray | None = None, **settings):
    image = labels * 50 if image is None else image
    return prepare([image], [labels], DataConfig(**settings), encoder_range=RANGE)


def blobs(size: int = 300) -> np.ndarray:
    """Labels in large fields: classes 0, 1 and a rare 2."""
    labels = np.zeros((size, size), np.uint8)
    labels[:, size // 2 :] = 1
    labels[20:26, 20:26] = 2
    return labels


def sampler_of(ready: Examples, augmentation: Augmentation | str = "none", **settings: Any) -> PatchSampler:
    """A sampler of all labels; an augmentation may be given by its name."""
    if isinstance(augmentation, str):
        augmentation = registry.augmentations[augmentation].target()
    settings = {"patch_size": 32, "batch_size": 4, "seed": 0, **settings}
    return PatchSampler(ready, [plane.target for plane in ready.planes], augmentation=augmentation, **settings)


def geometry_of(name: str) -> Augmentation:
    """The part of a preset that moves pixels."""
    preset = registry.augmentations[name].target()
    names = ("flips", "oblique", "angle", "scale", "elastic", "bend")
    return Augmentation(**{name: getattr(preset, name) for name in names})


ALWAYS_BENT = Augmentation(flips=True, oblique=1.0, scale=1.5, elastic=1.0, bend=0.05)


@pytest.mark.parametrize("preset", [*registry.augmentations, "bent"])
def test_labels_stay_on_what_they_label(preset: str) -> None:
    """The image is its own labels, so that every patch must agree with itself, however it was turned and bent."""
    ready = examples(blobs())
    sampler = sampler_of(ready, ALWAYS_BENT if preset == "bent" else geometry_of(preset), patch_size=64)
    fitted = ready.planes[0].statistics
    for step in range(10):
        patches, targets = sampler.draw(step)
        assert patches.shape == (4, 1, 64, 64)
        assert patches.dtype == torch.float32
        assert targets.shape == (4, 64, 64)
        assert targets.dtype == torch.int64
        seen = (patches[:, 0].numpy() * fitted.std[0] + fitted.mean[0]) / 50
        judged = targets.numpy() >= 0
        assert judged.mean() > 0.8
        flat = np.abs(seen - np.round(seen)) < 0.02  # interpolated edges lie between two classes
        right = np.round(seen).astype(int) == targets.numpy()
        assert right[judged & flat & (np.round(seen) < 2)].mean() > 0.99


@given(
    factor=st.floats(0.5, 2),
    degrees=st.floats(-180, 180),
    bent=st.booleans(),
    place=st.tuples(st.floats(0, 60), st.floats(0, 80)),
    size=st.sampled_from([(60, 80), (20, 70), (25, 17)]),
    channels=st.sampled_from([1, 3, 12]),
    seed=st.integers(0, 99),
)
def test_cutting_agrees_with_scipy(
    factor: float,
    degrees: float,
    bent: bool,
    place: tuple[float, float],
    size: tuple[int, int],
    channels: int,
    seed: int,
) -> None:
    """Values by scipy's linear interpolation of the mirrored image; classes of the pixel that a place falls into."""
    random = np.random.default_rng(seed)
    image = random.integers(0, 255, (*size, channels), np.uint8)
    labels = random.integers(0, 3, size)
    ready = prepare([image], [labels], DataConfig(axes="YXC"), encoder_range=(0.5, -0.1))
    plane = ready.planes[0]
    angle = np.radians(degrees)
    matrix = factor * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    assume(bent or not np.allclose(np.abs(matrix), np.round(np.abs(matrix)), atol=1e-3))  # these are copied
    bend = draw_bend(Augmentation(elastic=1.0, bend=0.05), 32, random) if bent else None

    sampler = sampler_of(ready)
    centre = sampler._fit(0, np.array(place), matrix)

    patch, classes = sampler._cut(plane, plane.target, centre, matrix, bend)

    steps = np.arange(32) - 15.5
    places = np.einsum("ij,jyx->iyx", matrix, np.stack(np.meshgrid(steps, steps, indexing="ij")))
    places += centre[:, None, None] + (0 if bend is None else bend)
    margin = 120
    values, _ = ready.normalization.apply(plane.values, plane.statistics)
    wide = np.pad(values, [(0, 0), (margin, margin), (margin, margin)], mode="symmetric")
    expected = [ndimage.map_coordinates(channel, places - 0.5 + margin, order=1) for channel in wide]
    np.testing.assert_allclose(patch, expected, atol=1e-3)
    judged = np.pad(plane.target, margin, constant_values=-1)
    between = np.abs(places - np.round(places)).min(axis=0) < 1e-3  # rounding may choose either neighbour
    rows, columns = np.floor(places).astype(int) + margin
    np.testing.assert_array_equal(classes.numpy()[~between], judged[rows, columns][~between])


def test_right_angles_are_exact_and_agree_with_interpolation() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (100, 120), np.uint8)
    ready = examples(random.integers(0, 3, (100, 120)), image)
    plane, target = ready.planes[0], ready.planes[0].target
    sampler = sampler_of(ready)
    values, _ = ready.normalization.apply(plane.values, plane.statistics)
    whole = values[:, 34:66, 44:76]
    centre = np.array([50.0, 60.0])
    for swapped, row_sign, column_sign in product((False, True), (-1, 1), (-1, 1)):
        matrix = np.eye(2)[:: -1 if swapped else 1] * np.array([[row_sign], [column_sign]])
        copied, classes = sampler._cut(plane, target, centre, matrix, None)
        mixed, nearest = sampler._cut(plane, target, centre, matrix * 1.0001, None)
        assert set(copied.numpy().ravel()) <= set(whole.ravel())
        np.testing.assert_allclose(copied, mixed, atol=0.02)
        np.testing.assert_array_equal(classes, nearest)


def test_twice_the_size_is_not_taken_for_a_right_angle() -> None:
    ready = examples(blobs(), np.arange(300) * np.ones((300, 1)))
    plane = ready.planes[0]
    patch, _ = sampler_of(ready)._cut(plane, plane.target, np.array([150.0, 150.0]), 2 * np.eye(2), None)
    columns = patch[0, 0].numpy() * plane.statistics.std[0] + plane.statistics.mean[0]
    np.testing.assert_allclose(columns, 150 + 2 * (np.arange(32) - 15.5) - 0.5, atol=0.01)


def test_a_rare_class_is_in_many_patches() -> None:
    sampler = sampler_of(examples(blobs()), batch_size=8)
    patches = [target for step in range(25) for target in sampler.draw(step)[1]]
    share = np.mean([(target == 2).any().item() for target in patches])
    assert share > 1 / 12, "a class of 0.04 % of the pixels must be in about a ninth of the patches"
    assert sampler.counts.tolist() == [45_000 - 36, 45_000, 36]


@pytest.mark.parametrize("name", ["none", "flips"])
def test_a_patch_shows_a_labelled_pixel_that_it_was_drawn_for(name: str) -> None:
    """One labelled pixel in a large image: every patch must hold it, wherever in the patch."""
    labels = np.zeros((200, 200), int)
    labels[90, 110] = 1
    labels[91, 110] = 2
    sampler = sampler_of(examples(labels, np.ones((200, 200)), zero="unlabelled"), name, batch_size=200)
    _, targets = sampler.draw(0)
    assert (targets >= 0).any(dim=2).any(dim=1).all()
    rows = np.nonzero(targets.numpy() >= 0)[1]
    assert rows.min() < 4
    assert rows.max() > 27


def test_a_patch_depends_on_seed_and_key_only() -> None:
    ready = examples(blobs())
    keys = [(3, 1), (0, 0), (7,), (2, 5, 2**31)]
    sampler = sampler_of(ready, "strong", seed=7)
    forwards = [sampler.patch(key) for key in keys]
    again = sampler_of(ready, "strong", seed=7, batch_size=9)
    again.draw(11)
    backwards = [again.patch(key) for key in reversed(keys)][::-1]
    for (values, classes), (same_values, same_classes) in zip(forwards, backwards, strict=True):
        assert torch.equal(values, same_values)
        assert torch.equal(classes, same_classes)
    assert not torch.equal(forwards[0][0], sampler_of(ready, "strong", seed=8).patch(keys[0])[0])


def test_keys_of_any_length_are_all_different() -> None:
    sampler = sampler_of(examples(blobs()), "microscopy")
    keys = [(5,), (5, 0), (5, 0, 0), (0, 5), (0,), (0, 0), (), (5, 1), (5, 2**31)]
    patches = {sampler.patch(key)[0].numpy().tobytes() for key in keys}
    assert len(patches) == len(keys)


def test_a_part_of_a_batch_is_that_part_of_the_whole_batch() -> None:
    sampler = sampler_of(examples(blobs()), "microscopy", batch_size=6)
    values, classes = sampler.draw(4)
    first, second = sampler.draw(4, 3), sampler.draw(4, 3, 3)
    assert torch.equal(values, torch.cat([first[0], second[0]]))
    assert torch.equal(classes, torch.cat([first[1], second[1]]))
    sampler.batch_size = 3
    assert torch.equal(sampler.draw(4)[0], first[0])
    assert not torch.equal(sampler.draw(5)[0], first[0])


def test_threads_draw_what_one_draws() -> None:
    sampler = sampler_of(examples(blobs()), "strong", batch_size=3)
    serial = [sampler.draw(step) for step in range(24)]
    with ThreadPoolExecutor(8) as pool:
        parallel = list(pool.map(sampler.draw, range(24)))
    for (values, classes), (other_values, other_classes) in zip(serial, parallel, strict=True):
        assert torch.equal(values, other_values)
        assert torch.equal(classes, other_classes)


def test_remembered_places_depend_on_the_seed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_fcn.data.patches.REMEMBERED", 5)
    ready = examples(blobs())
    one, same, other = (sampler_of(ready, seed=seed) for seed in (1, 1, 2))
    assert [len(places) for places in one._places] == [5, 5, 5]
    assert one.counts.tolist() == [45_000 - 36, 45_000, 36]
    assert torch.equal(one.draw(0)[0], same.draw(0)[0])
    assert all((a == b).all() for a, b in zip(one._places, same._places, strict=True))
    assert any((a != b).any() for a, b in zip(one._places, other._places, strict=True))


def symmetries(window: np.ndarray) -> list[np.ndarray]:
    """The eight of `(..., p, p)`."""
    turned = [np.rot90(window, quarter, axes=(-2, -1)) for quarter in range(4)]
    return turned + [turn[..., ::-1] for turn in turned]


@pytest.mark.parametrize("size", [20, 120])
def test_flips_show_the_plain_place_all_eight_ways(size: int) -> None:
    random = np.random.default_rng(0)
    ready = examples(random.integers(0, 3, (size, size)), random.integers(0, 255, (size, size), np.uint8))
    sampler = sampler_of(ready, "flips")
    for key in [(0,), (1,), (4, 2)]:
        plain, classes = sampler.plain(key)
        expected = {view.tobytes() for view in symmetries(plain.numpy())}
        assert len(expected) == 8
        assert sampler.patch(key)[0].numpy().tobytes() in expected
        varied, targets = sampler.variations(key, 60)
        assert varied.shape == (60, 1, 32, 32)
        assert targets.shape == (60, 32, 32)
        assert {view.tobytes() for view in varied.numpy()} == expected
        assert {view.tobytes() for view in targets.numpy()} == {v.tobytes() for v in symmetries(classes.numpy())}


@pytest.mark.parametrize("size", [40, 300])
def test_plain_is_the_place_of_the_patch_without_variation(size: int) -> None:
    """The image tells its coordinates: the middle of plain, patch and variations is the same place."""
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    ready = prepare(
        [np.stack([rows, columns])], [np.uint8(rows > size / 2)], DataConfig(axes="CYX"), encoder_range=RANGE
    )
    sampler = sampler_of(ready, Augmentation(flips=True, oblique=1.0, scale=1.3))
    fitted = ready.planes[0].statistics

    def middle(patch: torch.Tensor) -> np.ndarray:
        return patch[:, 15:17, 15:17].mean(dim=(1, 2)).numpy() * fitted.std + fitted.mean

    for key in range(20):
        plain, classes = sampler.plain((key,))
        straight = plain.numpy() * fitted.std[:, None, None] + fitted.mean[:, None, None]
        np.testing.assert_allclose(np.diff(straight[0], axis=0), 1, atol=1e-3)
        np.testing.assert_allclose(np.diff(straight[1], axis=1), 1, atol=1e-3)
        np.testing.assert_array_equal(classes, np.round(straight[0]) > size / 2)
        patch, _ = sampler.patch((key,))
        # Plain is cut at whole pixels, and moved where it would reach beyond the image.
        np.testing.assert_allclose(np.clip(middle(patch), 15.5, size - 16.5), middle(plain), atol=0.51)
        for varied in sampler.variations((key,), 3)[0]:
            reach = 16 * 1.3 * np.sqrt(2) - 16
            np.testing.assert_allclose(middle(varied), middle(plain), atol=0.51 + reach)


def test_variations_are_different_and_repeat() -> None:
    sampler = sampler_of(examples(blobs()), "microscopy")
    values, classes = sampler.variations((1, 2), 5)
    assert len({view.numpy().tobytes() for view in values}) == 5
    more = sampler.variations((1, 2), 8)
    assert torch.equal(more[0][:5], values)
    assert torch.equal(more[1][:5], classes)


def test_without_augmentation_patch_and_plain_are_one() -> None:
    sampler = sampler_of(examples(blobs()))
    for key in range(5):
        for varied, plain in zip(sampler.patch((key,)), sampler.plain((key,)), strict=True):
            assert torch.equal(varied, plain)


def test_small_images_give_whole_patches_unlabelled_beyond_their_edge() -> None:
    patches, targets = sampler_of(examples(blobs(40)), patch_size=64, batch_size=2).draw(0)
    assert np.isfinite(patches.numpy()).all()
    assert (targets >= 0).sum(dim=(1, 2)).tolist() == [1600, 1600]


@pytest.mark.parametrize("name", list(registry.augmentations))
def test_small_images_stay_unlabelled_beyond_their_edge_under_every_preset(name: str) -> None:
    """An image of one class: what is labelled is as large as the image, up to the preset's scale and bends."""
    image = np.random.default_rng(0).integers(0, 255, (30, 30), np.uint8)
    labels = np.ones((30, 30), int)
    labels[0] = 2
    preset = registry.augmentations[name].target()
    values, targets = sampler_of(examples(labels, image), name, patch_size=96, batch_size=20).draw(0)
    assert np.isfinite(values.numpy()).all()
    area = (targets >= 0).sum(dim=(1, 2)).numpy()
    slack = 1.6 if preset.elastic else 1.1
    assert area.min() >= 900 / preset.scale**2 / slack
    assert area.max() <= 900 * preset.scale**2 * slack


def test_held_out_blocks_are_disjoint_and_leave_every_class_something_to_learn_from() -> None:
    labels = np.random.default_rng(1).integers(0, 4, (500, 700))
    ready = examples(labels)
    training, validation, notes = hold_out(ready, 0.2, np.random.default_rng(0))
    learnt, held = training[0] >= 0, validation[0] >= 0
    assert not (learnt & held).any()
    assert (learnt | held).all()
    assert 0.15 < held.mean() < 0.35
    assert not notes
    for index in range(4):
        assert (training[0] == index).sum() >= (validation[0] == index).sum()


def test_a_class_in_one_place_only_is_not_held_out_and_that_is_said() -> None:
    ready = prepare([blobs()], [blobs()], DataConfig(), encoder_range=RANGE, names={2: "spot"})
    training, validation, notes = hold_out(ready, 0.2, np.random.default_rng(0))
    assert (training[0] == 2).sum() == 36
    assert not (validation[0] == 2).any()
    assert "spot" in notes[0]


def test_slices_share_their_held_out_blocks() -> None:
    """Neighbouring slices show the same things: a block that is held out in one must not be learnt from the next."""
    labels = np.random.default_rng(1).integers(0, 2, (3, 300, 300))
    ready = prepare([labels], [labels], DataConfig(axes="ZYX"), encoder_range=RANGE)
    _, validation, _ = hold_out(ready, 0.2, np.random.default_rng(0))
    masks = [v >= 0 for v in validation]
    assert masks[0].any()
    np.testing.assert_array_equal(masks[0], masks[1])
    np.testing.assert_array_equal(masks[0], masks[2])


def test_missing_pixels_are_not_learnt_from() -> None:
    image = blobs().astype(np.float32)
    image[100:200] = np.nan
    ready = examples(blobs(), image)
    assert (ready.planes[0].target[100:200] == -1).all()
    assert (ready.planes[0].target[:100] >= 0).all()


def test_only_slices_with_labels_are_kept() -> None:
    labels = np.zeros((5, 64, 64), int)
    labels[2, 10:20], labels[2, 30:40] = 1, 2
    ready = prepare([labels], [labels], DataConfig(axes="ZYX", zero="unlabelled"), encoder_range=RANGE)
    assert len(ready.planes) == 1


@pytest.mark.parametrize(
    ("images", "labels", "sentence"),
    [
        ([np.ones((9, 9))], [np.eye(8, dtype=int)], "Got labels .8, 8. for an image .9, 9."),
        ([np.full((9, 9), np.nan)], [np.eye(9, dtype=int)], "every pixel is NaN"),
        ([np.ones((9, 9)), np.ones((9, 9, 3))], [np.eye(9, dtype=int)] * 2, "same number of channels. Got .1, 3."),
        ([np.ones((9, 9))], [np.eye(9)], "Labels must be integers"),
        ([np.ones((9, 9))], [], "As many labels as images"),
        ([], [], "at least one"),
    ],
)
def test_bad_input_is_one_sentence(images, labels, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        prepare(images, labels, DataConfig(), encoder_range=RANGE)
    assert "\n" not in str(caught.value)
