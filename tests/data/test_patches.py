"""Patches show rare classes, keep image and labels together, and never show what was held out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from napari_fcn import registry
from napari_fcn.config import DataConfig
from napari_fcn.data.augmentation import Augmentation
from napari_fcn.data.examples import hold_out, prepare
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


@pytest.mark.parametrize("preset", list(registry.augmentations))
def test_labels_stay_on_what_they_label(preset: str) -> None:
    """The image is its own labels, so that every patch must agree with itself, however it was turned and scaled."""
    ready = examples(blobs())
    geometry = registry.augmentations[preset].target()
    geometry = Augmentation(geometry.flips, geometry.oblique, geometry.scale)
    sampler = PatchSampler(
        ready, [p.target for p in ready.planes], patch_size=64, batch_size=4, augmentation=geometry, seed=0
    )
    fitted = ready.planes[0].statistics
    for _ in range(10):
        patches, targets = sampler.draw()
        assert patches.shape == (4, 1, 64, 64)
        assert targets.shape == (4, 64, 64)
        seen = (patches[:, 0].numpy() * fitted.std[0] + fitted.mean[0]) / 50
        judged = targets.numpy() >= 0
        flat = np.abs(seen - np.round(seen)) < 0.02  # interpolated edges lie between two classes
        right = np.round(seen).astype(int) == targets.numpy()
        assert right[judged & flat & (np.round(seen) < 2)].mean() > 0.99


def test_right_angles_are_exact_and_agree_with_interpolation() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (100, 120), np.uint8)
    ready = examples(random.integers(0, 3, (100, 120)), image)
    plane, target = ready.planes[0], ready.planes[0].target
    sampler = PatchSampler(ready, [target], patch_size=32, batch_size=1, augmentation=Augmentation(), seed=0)
    centre = np.array([50.0, 60.0])
    for swapped, row_sign, column_sign in product((False, True), (-1, 1), (-1, 1)):
        matrix = np.eye(2)[:: -1 if swapped else 1] * np.array([[row_sign], [column_sign]])
        copied, classes = sampler._cut(plane, target, centre, matrix, np.array([16.0, 16.0]))
        mixed, nearest = sampler._cut(plane, target, centre, matrix * 1.0001, np.array([17.0, 17.0]))
        np.testing.assert_allclose(copied, mixed, atol=0.02)
        np.testing.assert_array_equal(classes, nearest)


def test_a_rare_class_is_in_many_patches() -> None:
    ready = examples(blobs())
    sampler = PatchSampler(
        ready, [p.target for p in ready.planes], patch_size=32, batch_size=8, augmentation=Augmentation(), seed=0
    )
    patches = [target for _ in range(25) for target in sampler.draw()[1]]
    share = np.mean([(target == 2).any().item() for target in patches])
    assert share > 1 / 12, "a class of 0.04 % of the pixels must be in about a ninth of the patches"


def test_the_same_seed_draws_the_same_patches() -> None:
    ready = examples(blobs())
    preset = registry.augmentations["default"].target()

    def first(seed: int):
        sampler = PatchSampler(
            ready, [p.target for p in ready.planes], patch_size=32, batch_size=2, augmentation=preset, seed=seed
        )
        return sampler.draw()[0].numpy()

    np.testing.assert_array_equal(first(7), first(7))
    assert not np.array_equal(first(7), first(8))


def test_small_images_give_whole_patches_unlabelled_beyond_their_edge() -> None:
    ready = examples(blobs(40))
    sampler = PatchSampler(
        ready, [p.target for p in ready.planes], patch_size=64, batch_size=2, augmentation=Augmentation(), seed=0
    )
    patches, targets = sampler.draw()
    assert np.isfinite(patches.numpy()).all()
    assert (targets >= 0).sum(dim=(1, 2)).tolist() == [1600, 1600]


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
