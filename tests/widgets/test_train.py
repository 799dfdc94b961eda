"""Train in a real viewer, with real training on the sample that comes with the package."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot

from napari_fcn import Segmenter, samples
from napari_fcn.errors import FcnError, InputError, OutputError
from napari_fcn.widgets import Segment, Train
from napari_fcn.widgets.store import segmenters

SMALL = {"architecture": "unet-classic", "width": 8, "depth": 2, "batch_size": 2, "patch_size": 64}
SHORT, LONG = {"steps": 2, **SMALL}, {"steps": 1_000_000, **SMALL}


def add_nuclei(viewer: napari.Viewer, size: int = 128) -> tuple[Any, Any]:
    sample = samples.load("nuclei")
    image = viewer.add_image(sample.train_images[0][:size, :size], name="cells", rgb=True)
    labels = viewer.add_labels(sample.train_labels[0][:size, :size].astype(np.uint8), name="painted")
    return image, labels


def messages() -> list[str]:
    return [record.message for record in notification_manager.records]


@pytest.mark.both_qt
def test_it_learns_and_hands_over_a_segmenter_with_names_and_colours(viewer: napari.Viewer, train: Train) -> None:
    labels = add_nuclei(viewer)[1]
    labels.features = {"index": [0, 1], "name": ["tissue", "nucleus"]}
    labels.colormap = DirectLabelColormap(color_dict={None: "red", 0: "transparent", 1: "#12ab34"})
    worker = train(steps=2, batch_size=2, patch_size=64)  # with the usual network
    assert worker.is_running or train.running
    segmenter = train.wait(60)
    assert isinstance(segmenter, Segmenter)
    assert segmenter.channels == 3
    assert {entry.value: entry.name for entry in segmenter.classes} == {0: "tissue", 1: "nucleus"}
    assert {entry.value: entry.color for entry in segmenter.classes}[1] == "#12ab34"
    assert list(segmenters.values()) == [segmenter]
    assert "held-out pixels" in train.status.value
    assert train.save_button.enabled
    assert not train.running
    assert messages() == []


@pytest.mark.slow
def test_what_it_learns_beats_the_start_and_the_majority_class(viewer: napari.Viewer, train: Train) -> None:
    viewer.open_sample("napari-fcn", "nuclei")
    train(image=viewer.layers["nuclei"], labels=viewer.layers["nuclei labels"], steps=30, batch_size=4, patch_size=64)
    segmenter = train.wait(400)
    sample = samples.load("nuclei")
    truth = np.stack(sample.test_labels)
    found = segmenter.predict(np.stack(sample.test_images), "TYXC")
    overlap = np.logical_and(found == 1, truth == 1).sum() / np.logical_or(found == 1, truth == 1).sum()
    majority = (truth == 0).mean() / 2  # mean IoU of an image that is all background
    background = np.logical_and(found == 0, truth == 0).sum() / np.logical_or(found == 0, truth == 0).sum()
    assert (overlap + background) / 2 > majority + 0.2
    assert segmenter.history["scores"]["mean_iou"] > segmenter.history["start_scores"]["mean_iou"]


@pytest.mark.both_qt
def test_cancel_stops_soon_and_keeps_what_was_learnt(viewer: napari.Viewer, train: Train, qtbot: QtBot) -> None:
    add_nuclei(viewer)
    train(**LONG)
    qtbot.waitUntil(lambda: "loss" in train.status.value, timeout=60_000)
    assert train.cancel_button.enabled
    assert not train.run.enabled
    train.cancel()
    segmenter = train.wait(60)
    assert segmenter.history["steps"] >= 1
    assert len(segmenters) == 1
    assert train.run.enabled


@pytest.mark.both_qt
def test_painting_and_deleting_layers_during_training_is_safe(
    viewer: napari.Viewer, train: Train, qtbot: QtBot
) -> None:
    labels = add_nuclei(viewer)[1]
    train(**LONG)
    labels.data_setitem((np.arange(40), np.arange(40)), 9)
    qtbot.waitUntil(lambda: "loss" in train.status.value, timeout=60_000)
    viewer.layers.clear()
    train.cancel()
    assert train.wait(60).classes.values == (0, 1)


def test_several_images_of_different_size(viewer: napari.Viewer, train: Train) -> None:
    sample = samples.load("nuclei")
    layers = []
    for number, size in enumerate((128, 96)):
        image = viewer.add_image(sample.train_images[number][:size], name=f"image {number}", rgb=True)
        layers.append((image, viewer.add_labels(sample.train_labels[number][:size], name=f"labels {number}")))
    train.image.value, train.labels.value = layers[0]
    train.add_pair(*layers[1])
    assert train.pairs() == layers
    train(**SHORT)
    assert train.wait(60).channels == 3


def test_channels_first_and_strokes(viewer: napari.Viewer, train: Train) -> None:
    viewer.open_sample("napari-fcn", "landsat")
    train.image.value = viewer.layers["landsat"]
    assert train.axes.value == "CYX"
    assert train.zero.value == "unlabelled"
    train(**SHORT)
    segmenter = train.wait(60)
    assert segmenter.channels == 8
    assert 0 not in segmenter.classes.values
    assert segmenter.pixel_size == pytest.approx(30)


def test_segment_offers_the_new_segmenter_at_once(viewer: napari.Viewer, train: Train, segment: Segment) -> None:
    image, labels = add_nuclei(viewer)
    train(**SHORT)
    train.wait(60)
    assert segment.segmenter.value == next(iter(segmenters))
    segment(image=image)
    layer = segment.wait(60)
    assert layer.data.shape == labels.data.shape
    assert set(np.unique(layer.data)) <= {0, 1}


@pytest.mark.both_qt
def test_saved_and_loaded_again(viewer: napari.Viewer, train: Train, segment: Segment, tmp_path: Path) -> None:
    add_nuclei(viewer)
    path = tmp_path / "cells.safetensors"
    with pytest.raises(InputError, match="train one first"):
        train.save(path)
    train(**SHORT)
    train.wait(60)
    train.save(path)
    with pytest.raises(OutputError):
        train.save(path)
    segment.load(path)
    loaded = segment.wait(60)
    assert loaded.classes == train.result.classes
    assert segment.segmenter.value == "cells"


def empty_labels(viewer: napari.Viewer) -> None:
    labels = add_nuclei(viewer)[1]
    labels.data = np.zeros_like(labels.data)


def no_number_in_the_image(viewer: napari.Viewer) -> None:
    viewer.add_image(np.full((96, 96), np.nan), name="nothing", contrast_limits=(0, 1))
    viewer.add_labels(np.eye(96, dtype=int), name="painted")


@pytest.mark.parametrize("prepare", [empty_labels, no_number_in_the_image])
def test_what_cannot_be_learnt_from_is_told_and_the_widget_works_on(
    viewer: napari.Viewer, train: Train, qtbot: QtBot, prepare: Callable[[napari.Viewer], None]
) -> None:
    prepare(viewer)
    train.steps.value = 1
    train.run.native.click()
    assert train.running
    with pytest.raises(FcnError) as error:
        train.wait(60)
    assert messages() == [str(error.value)]
    assert train.run.enabled
    assert not train.cancel_button.enabled
    assert len(segmenters) == 0


@pytest.mark.both_qt
def test_wrong_layers_and_settings_are_told_before_anything_starts(viewer: napari.Viewer, train: Train) -> None:
    def told() -> str:
        notification_manager.records.clear()
        train.run.native.click()
        assert not train.running
        (message,) = messages()
        return message

    assert "needs an image layer" in told()
    viewer.layers.remove(add_nuclei(viewer)[1])
    assert "Training needs a labels layer for 'cells'" in told()
    small = viewer.add_labels(np.eye(64, dtype=int), name="small")
    assert "'cells' is 128 x 128 x 3" in told()
    assert "64 x 64 in 'small'" in told()
    small.data = np.eye(128, dtype=int)
    train.patch_size.value = 50
    assert "`patch_size` must be a multiple of 32" in told()
    train.patch_size.value = None
    train.encoder.value = "resnet"
    train.axes.value = "YX"
    assert "`axes` must have one letter for each of the 3 axes of 'cells'" in told()


def test_calling_twice_is_refused(viewer: napari.Viewer, train: Train) -> None:
    add_nuclei(viewer)
    train(**LONG)
    with pytest.raises(FcnError, match="running here already"):
        train()
    train.cancel()
    train.wait(60)


def test_an_image_that_fits_the_labels_is_chosen(viewer: napari.Viewer, train: Train) -> None:
    viewer.add_image(np.zeros((40, 40)), name="other")
    viewer.add_image(np.zeros((3, 50, 60)), name="fitting")
    viewer.add_labels(np.zeros((50, 60), int))
    assert train.image.value.name == "fitting"
    assert train.axes.value == "CYX"


def test_a_number_of_steps_takes_the_place_of_seconds(train: Train) -> None:
    assert train.time_budget.enabled
    train.steps.value = 10
    assert not train.time_budget.enabled
    train.steps.value = None
    assert train.time_budget.enabled


def test_opening_widgets_loads_no_torch() -> None:
    """Train does, in a thread of its own, for whoever opens it is going to need it."""
    program = (
        "import sys, napari; viewer = napari.Viewer(show=False);"
        "names = ('Segment', 'Classes', 'Evaluate', 'Process', 'Autoencoder');"
        "[viewer.window.add_plugin_dock_widget('napari-fcn', name) for name in names];"
        "assert 'torch' not in sys.modules; viewer.close()"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)
