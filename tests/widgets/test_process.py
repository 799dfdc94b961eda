"""Process in a real viewer: choose filters, look at the preview, apply."""

from pathlib import Path
from typing import Any

import dask.array as da
import napari
import numpy as np
import pytest
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot

import napari_fcn as fcn
from napari_fcn import samples
from napari_fcn.errors import InputError, OutputError
from napari_fcn.widgets import Process

RANDOM = np.random.default_rng(0)


@pytest.fixture
def process(viewer: napari.Viewer) -> Process:
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Process")
    return widget


def nuclei(size: int = 96) -> tuple[Any, Any]:
    sample = samples.load("nuclei")
    return sample.train_images[0][:size, : size + 20], sample.train_labels[0][:size, : size + 20].astype(np.uint8)


def wait_for_preview(qtbot: QtBot, process: Process) -> None:
    qtbot.waitUntil(lambda: not process._latest.busy, timeout=10_000)


TURNED = {"rotate": 30, "shear": [0.1], "affine": np.diag([2, 3, 1]), "units": ("um", "um"), "axis_labels": ("y", "x")}
PYRAMID = [da.from_array(RANDOM.random((64, 64))), da.from_array(RANDOM.random((32, 32)))]
IMAGES: dict[str, tuple[Any, dict[str, Any], str]] = {
    "turned": (RANDOM.random((24, 32)), TURNED, "YX"),
    "colours": (RANDOM.integers(0, 255, (24, 32, 3), np.uint8), {"rgb": True, "scale": (2, 3)}, "YXC"),
    "channels": (RANDOM.random((3, 24, 32)), {"axis_labels": ("c", "y", "x"), "scale": (1, 2, 3)}, "CYX"),
    "time and slices": (RANDOM.random((2, 3, 24, 32)), {"translate": (1, 2, 3, 4)}, "TZYX"),
    "pyramid": (PYRAMID, {"multiscale": True, "scale": (2, 3)}, "YX"),
}


@pytest.mark.parametrize("name", IMAGES)
def test_the_result_lies_on_the_layer_and_is_that_of_python(
    viewer: napari.Viewer, process: Process, qtbot: QtBot, name: str
) -> None:
    data, options, axes = IMAGES[name]
    layer = viewer.add_image(data, name="cells", **options)
    assert process.axes.value == axes
    viewer.dims.current_step = tuple(1 for _ in viewer.dims.current_step)
    process.chain.value = "gaussian:sigma=2"
    wait_for_preview(qtbot, process)
    preview = viewer.layers["Process preview"]
    process(layer=layer)
    result = process.wait(20)
    array = np.asarray(data[0] if layer.multiscale else data)
    np.testing.assert_array_equal(result.data, fcn.process(array, "gaussian:sigma=2", axes))
    assert [entry.name for entry in viewer.layers] == ["cells", "cells filtered"]
    assert "Process preview" not in viewer.layers
    for corner in ([0] * layer.ndim, [1] * layer.ndim):
        np.testing.assert_allclose(result.data_to_world(corner), layer.data_to_world(corner))
    np.testing.assert_allclose(preview.data_to_world((3, 4)), layer.data_to_world([1] * (layer.ndim - 2) + [3, 4])[-2:])
    assert (result.units, result.axis_labels, result.rgb) == (layer.units, layer.axis_labels, layer.rgb)
    # The preview was the visible plane of it.
    at = (1,) * (layer.ndim - 2)
    np.testing.assert_array_equal(preview.data, result.data[at])
    assert notification_manager.records == []


@pytest.mark.both_qt
def test_filters_are_added_set_moved_and_removed_by_hand(viewer: napari.Viewer, process: Process, qtbot: QtBot) -> None:
    image, _ = nuclei()
    layer = viewer.add_image(image, name="cells", rgb=True)
    viewer.layers.selection = {layer}
    editor = process.editor
    for name in ("percentile", "median"):
        editor.choice.value = name
        editor.add_button.click()
    assert process.chain.value == "percentile + median"
    editor.settings["radius"].value = 3
    assert process.chain.value == "percentile + median:radius=3"
    assert editor.list.item(1).text() == "2  Median: radius 3"
    editor.buttons["up"].click()
    assert process.chain.value == "median:radius=3 + percentile"
    wait_for_preview(qtbot, process)
    np.testing.assert_array_equal(
        viewer.layers["Process preview"].data, fcn.process(image, "median:radius=3 + percentile")
    )
    assert viewer.layers.selection == {layer}
    assert [entry.name for entry in viewer.layers] == ["cells", "Process preview"]
    editor.list.setCurrentRow(1)
    editor.settings["low"].value = 99.5  # above `high`
    assert "`low` must be less than `high`" in process.status.value
    editor.buttons["remove"].click()
    editor.buttons["remove"].click()
    assert process.chain.value == ""
    assert "Process preview" not in viewer.layers
    assert not editor.settings


def test_the_text_and_the_list_are_one(viewer: napari.Viewer, process: Process) -> None:
    viewer.add_image(nuclei()[0], name="cells", rgb=True)
    process.chain.value = "gaussian:sigma=3 + clahe"
    assert [process.editor.list.item(row).text()[:12] for row in range(2)] == ["1  Gaussian:", "2  CLAHE: ti"]
    process.chain.value = "gausian"
    assert "the nearest is 'gaussian'" in process.status.value
    with pytest.raises(InputError, match="nearest"):
        process()


@pytest.mark.both_qt
def test_labels_keep_names_and_colours_and_become_objects(
    viewer: napari.Viewer, process: Process, qtbot: QtBot
) -> None:
    image, labels = nuclei()
    viewer.add_image(image, name="cells", rgb=True)
    colormap = DirectLabelColormap(color_dict={None: "red", 0: "transparent", 1: "#12ab34"})
    features = {"index": [0, 1], "name": ["tissue", "nucleus"]}
    layer = viewer.add_labels(labels, name="nuclei", colormap=colormap, features=features)
    process.layer.value = layer
    assert "smooth" in process.editor.choice.choices
    process.chain.value = "smooth:radius=3 + remove_small_objects:size=200"
    wait_for_preview(qtbot, process)
    expected = fcn.process(labels, "smooth:radius=3 + remove_small_objects:size=200")
    np.testing.assert_array_equal(viewer.layers["Process preview"].data, expected)
    process()
    result = process.wait(20)
    np.testing.assert_array_equal(result.data, expected)
    assert list(result.features["name"]) == ["tissue", "nucleus"]
    assert result.colormap.map(1)[:3] == pytest.approx(np.array([0x12, 0xAB, 0x34]) / 255)
    process(chain="watershed")
    objects = process.wait(20)
    assert objects.data.max() > 3
    assert "objects" in process.status.value
    process(chain="random_walker:margin=2", image=viewer.layers["cells"])
    walked = process.wait(60)
    np.testing.assert_array_equal(walked.data, fcn.process(labels, "random_walker:margin=2", image=image))


@pytest.mark.both_qt
def test_the_preview_follows_the_slice_and_goes_when_it_is_not_wanted(
    viewer: napari.Viewer, process: Process, qtbot: QtBot
) -> None:
    stack = RANDOM.random((4, 20, 24))
    layer = viewer.add_image(stack, name="stack", scale=(3, 1, 1))
    process.chain.value = "gaussian"
    for step in (2, 3):
        viewer.dims.set_current_step(0, step)
        wait_for_preview(qtbot, process)
        np.testing.assert_array_equal(viewer.layers["Process preview"].data, fcn.process(stack[step], "gaussian"))
    assert len(viewer.layers) == 2
    assert layer in process.layer.choices
    assert viewer.layers["Process preview"] not in process.layer.choices
    process.preview.value = False
    assert len(viewer.layers) == 1
    process.preview.value = True
    wait_for_preview(qtbot, process)
    viewer.layers.remove("Process preview")  # by hand: it does not come back
    assert process.preview.value is False
    process.preview.value = True
    viewer.dims.ndisplay = 3
    wait_for_preview(qtbot, process)
    assert "choose the 2D view" in process.status.value
    viewer.dims.ndisplay = 2
    wait_for_preview(qtbot, process)
    viewer.window.remove_dock_widget("all")
    assert [entry.name for entry in viewer.layers] == ["stack"]


@pytest.mark.both_qt
def test_the_filters_are_saved_with_a_segmenter(viewer: napari.Viewer, process: Process, tmp_path: Path) -> None:
    image = RANDOM.integers(0, 99, (64, 64), np.uint8)
    labels = (image > 50).astype(np.uint8)
    fcn.train(image, labels, steps=1, batch_size=1, patch_size=64, device="cpu").save(tmp_path / "a.safetensors")
    viewer.add_labels(labels, name="labels")
    process.chain.value = "smooth"
    process.save_with(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    assert process.wait(60) == tmp_path / "b.safetensors"
    assert str(fcn.Segmenter.load(tmp_path / "b.safetensors").postprocess) == "smooth"
    process.save_with(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    with pytest.raises(OutputError, match="exists already"):
        process.wait(60)


def test_what_is_wrong_becomes_a_sentence(viewer: napari.Viewer, process: Process) -> None:
    process.run.native.click()
    assert "needs an image or labels layer" in notification_manager.records[-1].message
    layer = viewer.add_image(RANDOM.random((8, 9)), name="cells")
    with pytest.raises(InputError, match="needs a filter"):
        process(layer=layer)
    with pytest.raises(InputError, match="takes filters that work on images"):
        process(chain="smooth")
    with pytest.raises(InputError, match="`nodata` must be a number"):
        process(chain="gaussian", nodata="x")
