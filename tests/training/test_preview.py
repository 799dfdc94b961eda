"""Previews show what the network makes of a window, and change nothing that training depends on."""

from typing import Any, cast

import numpy as np
import pytest

from napari_fcn.api import prepare_training
from napari_fcn.training import preview
from napari_fcn.training.events import Step
from napari_fcn.training.preview import Previewer, Window

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 255, (2, 96, 128), np.uint8)
LABELS = np.where(IMAGE > 128, 5, 2).astype(np.uint8)
SETTINGS = {"axes": "ZYX", "steps": 2, "batch_size": 1, "patch_size": 64, "weights": "none"}


def weights(*, look: bool) -> list[np.ndarray]:
    training = prepare_training(IMAGE, LABELS, **SETTINGS)
    previewer = Previewer(training, [IMAGE], "ZYX")
    for event in training.run():
        if look and isinstance(event, Step):
            assert previewer.segment(Window(0, (1,), slice(8, 72), slice(16, 112))) is not None
    return [tensor.numpy() for tensor in training.segmenter().network.state_dict().values()]


@pytest.mark.slow
def test_looking_changes_no_weight() -> None:
    for seen, unseen in zip(weights(look=True), weights(look=False), strict=True):
        np.testing.assert_array_equal(seen, unseen)


def test_a_window_has_the_labels_of_the_painted_values() -> None:
    training = prepare_training(IMAGE, LABELS, **SETTINGS)
    previewer = Previewer(training, [IMAGE], "ZYX")
    window = Window(0, (1,), slice(0, 64), slice(32, 128))
    found = previewer.segment(window)
    assert found is not None
    assert found.labels.shape == (64, 96)
    assert set(np.unique(found.labels)) <= {2, 5}
    assert previewer.segment(Window(0, (7,), slice(0, 64), slice(0, 64))) is None
    # The whole plane is what the segmenter makes of it.
    whole = previewer.segment(Window(0, (0,), slice(0, 96), slice(0, 128)))
    assert whole is not None
    assert (whole.labels == training.segmenter().predict(IMAGE, "ZYX")[0]).mean() > 0.999


@pytest.mark.parametrize("showing", [0.0, 0.1])
def test_previews_take_their_share_of_the_time_and_no_more(monkeypatch: pytest.MonkeyPatch, showing: float) -> None:
    clock = [100.0]
    monkeypatch.setattr(preview.time, "perf_counter", lambda: clock[0])
    previewer = Previewer(cast(Any, None), [IMAGE], "ZYX")  # its network is not asked
    sizes = []

    def segment(window: Window) -> preview.Preview:
        pixels = (window.rows.stop - window.rows.start) * (window.columns.stop - window.columns.start)
        clock[0] += 2e-6 * pixels
        sizes.append(pixels)
        labels = np.zeros((window.rows.stop - window.rows.start, window.columns.stop - window.columns.start))
        return preview.Preview(window, labels, 0)

    monkeypatch.setattr(previewer, "segment", segment)
    whole = Window(0, (0,), slice(0, 4000), slice(0, 4000))
    spent, when = 0.0, []
    while clock[0] < 400:
        clock[0] += 0.3  # a step
        before = clock[0]
        if previewer.turn(whole, showing * len(when)):
            spent += clock[0] - before + showing
            when.append(before)
    assert 0.8 * preview.SHARE < spent / 300 < 1.3 * preview.SHARE
    assert np.diff(when).mean() < 2 * preview.EVERY
    assert min(np.diff(when)) >= preview.EVERY
    assert previewer.turn(None) is None
    assert sizes[0] == preview.SMALLEST**2
