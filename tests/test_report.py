"""Pictures are drawn for any training and any scores, without a screen and from any thread."""

from __future__ import annotations

import sys
import threading

import numpy as np
import pytest
from PIL import Image

from napari_fcn.data import ClassTable
from napari_fcn.metrics import score_pairs
from napari_fcn.report import Panel, display, evaluation_report, training_report
from napari_fcn.training import Step, Validated

random = np.random.default_rng(0)
TRUTH = random.integers(1, 4, (40, 50), dtype=np.uint8)
CLASSES = ClassTable.from_labels([TRUTH], zero="background", colors={1: "#00ff00", 2: "#0000ff", 3: "#ff0000"})
SCORES = score_pairs([(TRUTH, TRUTH)])


def panel(channels=3, dtype=np.uint8):
    return Panel("cells.tif", random.integers(0, 99, (channels, 40, 50)).astype(dtype), TRUTH, TRUTH)


def events(steps, scored):
    yield from (Step(n, 1 / n, 0.1, n * 0.5, n / steps) for n in range(1, steps + 1))
    yield from (Validated(n, n * 0.5, SCORES, True) for n in scored)


@pytest.mark.parametrize("steps", [0, 1, 2, 40])
@pytest.mark.parametrize("scored", [[], [0], [0, 1, 2]])
def test_any_training_has_a_picture(tmp_path, steps, scored):
    training_report(tmp_path / "a.png", list(events(steps, scored)), [panel()] if steps else [], CLASSES)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300


def test_classes_have_their_colours(tmp_path):
    training_report(tmp_path / "a.png", list(events(3, [0])), [panel()], CLASSES)
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3)
    for colour in ((0, 255, 0), (0, 0, 255), (255, 0, 0)):
        assert (pixels == colour).all(axis=1).sum() > 1000


@pytest.mark.parametrize("classes", [2, 30])
def test_any_scores_have_a_picture_of_a_size_to_look_at(tmp_path, classes):
    truth = random.integers(0, classes, (50, 50))
    evaluation_report(tmp_path / "a.png", score_pairs([(truth, truth)], names={999: "nowhere"}))
    with Image.open(tmp_path / "a.png") as picture:
        assert 300 < min(picture.size) < max(picture.size) < 5000


def test_drawing_from_a_thread_touches_nothing_global(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    thread = threading.Thread(target=evaluation_report, args=(tmp_path / "a.png", SCORES))
    thread.start()
    thread.join()
    assert (tmp_path / "a.png").exists()
    assert ("matplotlib.pyplot" in sys.modules) == before


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint16), (2, np.int16), (3, np.uint8), (8, np.float32)])
def test_any_image_can_be_shown(channels, dtype):
    shown = display(panel(channels, dtype).image)
    assert shown.shape == (40, 50, 3)
    assert shown.min() >= 0
    assert shown.max() <= 1


def test_eight_bit_colours_are_shown_as_they_are():
    image = panel().image
    np.testing.assert_allclose(display(image), np.moveaxis(image, 0, -1) / 255, atol=1e-6)
