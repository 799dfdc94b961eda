"""Segment in a real viewer; a threshold stands in for the network, which other tests cover."""

from pathlib import Path
from typing import Any, cast

import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot

from napari_fcn.errors import FcnError, InputError, SegmenterFileError
from napari_fcn.widgets import Segment
from napari_fcn.widgets.store import segmenters

from .conftest import Threshold, start_anew
from .geometries import IMAGES

RANDOM = np.random.default_rng(0)


def offer(name: str = "threshold", **options: Any) -> Threshold:
    stand_in = Threshold(**options)
    segmenters.add(cast(Any, stand_in), name)
    return stand_in


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari shows such layers as well as it can
def test_the_labels_lie_on_the_image(viewer: napari.Viewer, segment: Segment, subtests: pytest.Subtests) -> None:
    for name in IMAGES:
        with subtests.test(name):
            start_anew(viewer, segment)
            data, options, channels, axes = IMAGES[name]
            stand_in = offer(channels=channels)
            image = viewer.add_image(data, name="cells", **options)
            assert segment.axes.value == axes
            segment(image=image)
            layer = segment.wait(10)
            assert stand_in.calls[0][0] == axes
            assert layer is viewer.layers["cells segmentation"] or layer == viewer.layers["cells segmentation"]
            kept = [i for i, axis in enumerate(axes[:-1] if image.rgb else axes) if axis != "C"]
            np.testing.assert_allclose(layer.scale, image.scale[kept])
            np.testing.assert_allclose(layer.translate, image.translate[kept])
            for corner in ([0] * len(kept), [5] * len(kept)):
                position = np.zeros(image.ndim)
                position[kept] = corner
                np.testing.assert_allclose(layer.data_to_world(corner), np.asarray(image.data_to_world(position))[kept])
            assert layer.units == tuple(image.units[i] for i in kept)
            assert layer.axis_labels == tuple(image.axis_labels[i] for i in kept)
            assert list(layer.features["name"]) == ["background", "bright"]
            assert layer.colormap.map(3)[:3] == pytest.approx(np.array([255, 128, 0]) / 255)
            assert set(np.unique(layer.data)) == {0, 3}
            # What else can be asked for lies there too; probabilities have an axis of classes before the others.
            segment(image=image, with_probabilities=True, with_uncertainty=True, with_objects=True)
            segment.wait(20)
            for kind, more in (("probabilities", 1), ("uncertainty", 0), ("objects", 0)):
                other = viewer.layers[f"cells {kind}"]
                assert other.data.shape[more:] == layer.data.shape
                assert other.units[more:] == layer.units
                assert other.axis_labels[more:] == layer.axis_labels
                for corner in ([0] * layer.ndim, [5] * layer.ndim):
                    place = other.data_to_world([0] * more + corner)
                    np.testing.assert_allclose(place[more:], layer.data_to_world(corner), atol=1e-9)


def test_the_newest_segmenter_is_chosen(viewer: napari.Viewer) -> None:
    offer("older")
    offer("newer")
    assert Segment(viewer).segmenter.value == "newer"


@pytest.mark.both_qt
def test_the_same_image_again_updates_the_layer(viewer: napari.Viewer, segment: Segment) -> None:
    offer()
    image = viewer.add_image(RANDOM.random((24, 32)), name="cells")
    segment(image=image)
    first = segment.wait(10)
    image.data = RANDOM.random((24, 32))
    image.scale = (2, 2)
    segment(image=image)
    assert segment.wait(10).name == first.name
    assert len(viewer.layers) == 2
    np.testing.assert_array_equal(first.data == 3, image.data > image.data.mean())
    np.testing.assert_array_equal(first.scale, (2, 2))


@pytest.mark.parametrize("what", ["foreign", "painted", "renamed", "copied", "other image"])
def test_layers_of_others_stay_as_they_are(viewer: napari.Viewer, segment: Segment, what: str) -> None:
    offer()
    image = viewer.add_image(RANDOM.random((24, 32)), name="cells")
    if what == "foreign":
        mine = viewer.add_labels(np.full((24, 32), 7), name="cells segmentation")
    else:
        segment(image=image)
        mine = viewer.layers[segment.wait(10).name]
    if what == "painted":
        mine.data_setitem((np.array([3]), np.array([4])), 9)
    elif what == "renamed":
        mine.name = "good one"
    elif what == "copied":
        copy = napari.layers.Layer.create(*mine.as_layer_data_tuple())
        viewer.layers.remove(mine)
        mine = viewer.add_layer(copy)
    elif what == "other image":
        viewer.layers.remove(image)
        image = viewer.add_image(RANDOM.random((24, 32)), name="cells")
    before = mine.data.copy()
    layers = len(viewer.layers)
    segment(image=image)
    result = segment.wait(10)
    assert len(viewer.layers) == layers + 1
    assert result.name != mine.name
    np.testing.assert_array_equal(mine.data, before)


def test_typed_axes_are_kept_for_their_image(viewer: napari.Viewer, segment: Segment) -> None:
    stand_in = offer(channels=3)
    image = viewer.add_image(RANDOM.random((6, 24, 32)), name="cells")
    segment.axes.value = "cyx"
    offer("second")
    assert segment.axes.value == "cyx"
    segment(segmenter="threshold")
    assert segment.wait(10).data.shape == (24, 32)
    assert stand_in.calls[0][0] == "CYX"
    segment.image.value = viewer.add_image(RANDOM.random((24, 32)))
    assert segment.axes.value == "YX"
    assert image in viewer.layers


@pytest.mark.both_qt
def test_cancel_changes_nothing(viewer: napari.Viewer, segment: Segment, qtbot: QtBot) -> None:
    offer(rows=100_000_000)
    image = viewer.add_image(RANDOM.random((24, 32)))
    segment(image=image)
    qtbot.waitUntil(lambda: "segmented" in segment.status.value)
    segment.cancel()
    assert segment.wait(10) is None
    assert list(viewer.layers) == [image]
    assert segment.run.enabled


def test_an_image_that_is_deleted_meanwhile_is_still_segmented(viewer: napari.Viewer, segment: Segment) -> None:
    offer()
    image = viewer.add_image(RANDOM.random((24, 32)), name="cells", scale=(2, 3))
    segment(image=image)
    viewer.layers.remove(image)
    layer = segment.wait(10)
    np.testing.assert_array_equal(layer.scale, (2, 3))
    assert layer.name == "cells segmentation"


@pytest.mark.parametrize("error", [InputError("This segmenter was trained on 3 channels."), RuntimeError("no memory")])
def test_errors_are_told_and_the_widget_works_on(
    viewer: napari.Viewer, segment: Segment, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(notification_manager, "catch_error", True)
    monkeypatch.setattr(notification_manager, "exit_on_error", False)
    offer(error=error)
    image = viewer.add_image(RANDOM.random((24, 32)))
    segment(image=image)
    with pytest.raises(type(error), match=str(error)):
        segment.wait(10)
    assert str(error) in notification_manager.records[-1].message
    assert list(viewer.layers) == [image]
    assert segment.run.enabled


def test_what_is_missing_is_told(viewer: napari.Viewer, segment: Segment) -> None:
    with pytest.raises(FcnError, match="needs an image layer"):
        segment()
    viewer.add_image(RANDOM.random((24, 32)), name="cells")
    with pytest.raises(FcnError, match="needs a segmenter"):
        segment()
    offer()
    with pytest.raises(FcnError, match=r"2 axes of 'cells', whose shape is 24 x 32\. Got 'ZYX'"):
        segment(axes="ZYX")
    with pytest.raises(FcnError, match="`tile_size` must be a multiple of 32"):
        segment(axes="YX", tile_size=100)


def test_a_file_that_is_no_segmenter_is_told(viewer: napari.Viewer, segment: Segment, tmp_path: Path) -> None:
    file = tmp_path / "other.safetensors"
    file.write_bytes(b"nothing")
    segment.load(file)
    with pytest.raises(SegmenterFileError) as error:
        segment.wait(60)
    assert notification_manager.records[-1].message == str(error.value)
    assert len(segmenters) == 0
