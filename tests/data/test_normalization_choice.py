"""How images are standardised follows from where their classes can be told apart."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.config import DataConfig
from napari_fcn.data.examples import prepare


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def images(rng: np.random.Generator, *, calibrated: bool) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Six images with dark and bright ground in shares that differ; values mean the same everywhere, or nowhere."""
    pictures, labels = [], []
    for number in range(6):
        label = np.zeros((64, 64), np.uint8)
        label[:, : (8, 56, 20, 44, 12, 52)[number]] = 1
        value = 100 + 40 * label + 4 * rng.standard_normal(label.shape)
        if not calibrated:
            value = value * rng.uniform(0.3, 3) + rng.uniform(0, 500)
        pictures.append(value.astype(np.float32))
        labels.append(label + 1)
    return pictures, labels


def test_values_that_mean_the_same_everywhere(rng: np.random.Generator) -> None:
    pictures, labels = images(rng, calibrated=True)
    # Some show one class only, as a scene of nothing but forest: by itself it looks like nothing in particular.
    pictures[0] = (140 + 4 * rng.standard_normal((64, 64))).astype(np.float32)
    labels[0][:] = 2
    pictures[1] = (100 + 4 * rng.standard_normal((64, 64))).astype(np.float32)
    labels[1][:] = 1
    ready = prepare(pictures, labels, DataConfig(), encoder_range=(1, 0))
    assert ready.normalization.mode == "dataset"
    assert ready.normalization.dataset is not None
    assert ready.normalization.dataset.mean == pytest.approx(np.mean(pictures), rel=0.02)
    assert ready.notes[0].startswith("Brightness and contrast are taken as they are. In images that were left out")


def test_values_that_vary_from_image_to_image(rng: np.random.Generator) -> None:
    ready = prepare(*images(rng, calibrated=False), DataConfig(), encoder_range=(1, 0))
    assert ready.normalization.mode == "image"
    assert ready.notes[0].startswith("Brightness and contrast of each image are evened out. In images")


def test_one_image_cannot_tell_how_others_vary(rng: np.random.Generator) -> None:
    pictures, labels = images(rng, calibrated=True)
    ready = prepare(pictures[2:3], labels[2:3], DataConfig(), encoder_range=(1, 0))
    assert (ready.normalization.mode, ready.notes) == ("image", ())


def test_two_images_with_a_place_on_earth_are_taken_as_calibrated(rng: np.random.Generator) -> None:
    pictures, labels = images(rng, calibrated=True)
    for mode, config in (("image", DataConfig()), ("dataset", DataConfig(normalization="auto-dataset"))):
        ready = prepare(pictures[4:], labels[4:], config, encoder_range=(1, 0))
        assert ready.normalization.mode == mode
    alone = prepare(pictures[4:5], labels[4:5], config, encoder_range=(1, 0))
    assert (alone.normalization.mode, alone.notes) == ("image", ())


def test_labels_that_speak_clearly_outweigh_the_place_on_earth(rng: np.random.Generator) -> None:
    config = DataConfig(normalization="auto-dataset")
    ready = prepare(*images(rng, calibrated=False), config, encoder_range=(1, 0))
    assert ready.normalization.mode == "image"


@pytest.mark.parametrize(("count", "mode"), [(2, "image"), (6, "dataset")])
def test_two_images_have_to_speak_more_clearly_than_many(
    count: int, mode: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter((0.7, 0.9))  # each by itself, all together
    monkeypatch.setattr("napari_fcn.data.normalization_choice._told_apart", lambda *_: next(scores))
    pictures, labels = images(rng, calibrated=True)
    ready = prepare(pictures[:count], labels[:count], DataConfig(), encoder_range=(1, 0))
    assert ready.normalization.mode == mode
    assert ("which 2 images are too few to go by" in ready.notes[0]) == (count == 2)


@pytest.mark.parametrize("mode", ["image", "dataset"])
def test_a_given_mode_is_taken(mode: str, rng: np.random.Generator) -> None:
    pictures, labels = images(rng, calibrated=mode == "image")
    ready = prepare(pictures, labels, DataConfig(normalization=mode), encoder_range=(1, 0))
    assert (ready.normalization.mode, ready.notes) == (mode, ())


def test_a_few_strokes_are_enough(rng: np.random.Generator) -> None:
    pictures, labels = images(rng, calibrated=False)
    strokes = [np.where(rng.random(label.shape) < 0.01, label, 0) for label in labels]
    ready = prepare(pictures, strokes, DataConfig(zero="unlabelled"), encoder_range=(1, 0))
    assert ready.normalization.mode == "image"


def test_missing_pixels_tell_nothing(rng: np.random.Generator) -> None:
    pictures, labels = images(rng, calibrated=False)
    for picture in pictures:
        picture[40:] = np.nan
    ready = prepare(pictures, labels, DataConfig(), encoder_range=(1, 0))
    assert ready.normalization.mode == "image"
