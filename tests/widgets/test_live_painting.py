"""Live mode in Train: strokes are answered while one paints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_fcn import samples
from napari_fcn.widgets import Train
from napari_fcn.widgets.next_place import show_next_place
from napari_fcn.widgets.store import segmenters

SECONDS = 60_000


def _stroke(labels: Any, value: int, start: tuple[int, int], stop: tuple[int, int]) -> None:
    """Paint as the brush does, in one go that can be undone."""
    labels.selected_label, labels.brush_size = value, 5
    with labels.block_history():
        for part in np.linspace(0, 1, 8):
            labels.paint(tuple(np.round(np.array(start) + part * (np.array(stop) - np.array(start)))), value)


@pytest.mark.both_qt
@pytest.mark.slow
def test_strokes_are_answered_and_the_answer_follows_the_view(
    viewer: napari.Viewer, train: Train, qtbot: QtBot, tmp_path: Path
) -> None:
    sample = samples.load("nuclei")
    picture, truth = sample.train_images[0][:128, :128], sample.train_labels[0][:128, :128]
    viewer.add_image(picture, name="cells", rgb=True, scale=(2, 2), translate=(5, 6))
    labels = viewer.add_labels(np.zeros((128, 128), np.uint8), name="painted", scale=(2, 2), translate=(5, 6))
    viewer.show()
    viewer.reset_view()
    train.zero.value = "unlabelled"
    train.go_live()
    qtbot.waitUntil(lambda: "two classes" in train.status.value, timeout=SECONDS)
    inside = np.argwhere(truth == 1)[::40]
    outside = np.argwhere(truth == 0)[::400]
    for place in inside[:6]:
        labels.paint(tuple(place), 1)
    for place in outside[:12]:
        labels.paint(tuple(place), 2)
    qtbot.waitUntil(lambda: "live" in viewer.layers and train._live.answered == train._live.version, timeout=SECONDS)
    layer = viewer.layers["live"]
    assert viewer.layers.index(layer) < viewer.layers.index(labels)
    start = np.rint(labels.world_to_data(layer.data_to_world((0, 0)))).astype(int)
    seen = tuple(slice(at, at + size) for at, size in zip(start, layer.data.shape, strict=True))
    assert (layer.data == np.where(truth[seen] == 1, 1, 2)).mean() > 0.6
    assert not viewer.layers["live uncertainty"].visible
    before, version = layer.data.copy(), train._live.version
    _stroke(labels, 3, (100, 10), (120, 60))
    qtbot.waitUntil(lambda: train._live.answered > version, timeout=SECONDS)
    qtbot.waitUntil(lambda: 3 in viewer.layers["live"].data, timeout=SECONDS)
    assert 3 not in before
    labels.undo()
    qtbot.waitUntil(lambda: 3 not in viewer.layers["live"].data, timeout=SECONDS)
    place = show_next_place(viewer)
    world = viewer.layers["live uncertainty"].data_to_world(place)
    assert labels.data[tuple(np.rint(labels.world_to_data(world)).astype(int))] == 0
    train.cancel()
    segmenter = train.wait(60)
    assert "live" not in viewer.layers
    assert "live uncertainty" not in viewer.layers
    assert segmenter.model.architecture == "pixel"
    assert segmenters[next(iter(segmenters))] is segmenter
    assert train.live_button.enabled
    script = train.script(tmp_path)
    assert "--architecture pixel " in script.command
    assert "--transfer head" in script.command
    assert "transfer='head'" in script.python


def test_one_class_is_not_enough_and_nothing_comes_of_it(viewer: napari.Viewer, train: Train, qtbot: QtBot) -> None:
    viewer.add_image(np.random.default_rng(0).random((64, 64)).astype(np.float32), name="noise")
    labels = viewer.add_labels(np.zeros((64, 64), np.uint8), name="painted")
    labels.paint((10, 10), 1)
    train.zero.value = "unlabelled"
    train.go_live()
    qtbot.waitUntil(lambda: "class" in train.status.value, timeout=SECONDS)
    train.cancel()
    assert train.wait(60) is None
    assert not train.running
