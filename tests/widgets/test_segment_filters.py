"""Filters of labels in Segment: shown, changed, applied, kept with the segmenter and saved."""

from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
import torch
from pytestqt.qtbot import QtBot

from napari_fcn import Segmenter
from napari_fcn.config import ModelConfig
from napari_fcn.data import ClassTable, LabelClass
from napari_fcn.data.normalization import Normalization
from napari_fcn.errors import InputError, OutputError
from napari_fcn.imaging import Chain
from napari_fcn.models import NetworkSpec, build
from napari_fcn.processing import process_labels
from napari_fcn.widgets import Segment
from napari_fcn.widgets.segment_job import MARGIN
from napari_fcn.widgets.store import segmenters


@pytest.fixture
def noisy() -> Segmenter:
    """An untrained network, whose labels are full of specks."""
    torch.manual_seed(3)
    model = ModelConfig(architecture="unet-classic", weights="none", depth=2, width=4)
    classes = ClassTable((LabelClass(1, "tissue", "#404040"), LabelClass(4, "nucleus", "#ff8000")))
    network = build(NetworkSpec(model, 1, 2), pretrained=False).eval()
    with torch.no_grad():  # both classes, half and half
        logits = network(torch.randn(1, 1, 64, 64))[0]
        network.head.bias[0] += (logits[1] - logits[0]).median()
    return Segmenter(network, model, 1, classes, Normalization("image"))


@pytest.fixture
def image(viewer: napari.Viewer) -> Any:
    return viewer.add_image(np.random.default_rng(1).random((70, 90)).astype(np.float32), name="cells")


def filtered(labels: np.ndarray[Any, Any], text: str) -> np.ndarray[Any, Any]:
    steps = process_labels(labels, Chain.parse(text), "YX")
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.both_qt
def test_filters_are_applied_kept_and_saved(
    viewer: napari.Viewer, segment: Segment, noisy: Segmenter, image: Any, tmp_path: Path
) -> None:
    name = segmenters.add(noisy, "noisy")
    assert "none" in segment._filters.fold.text
    segment(image=image)
    plain = segment.wait(30).data.copy()
    segment._filters.fold.native.click()
    assert not segment._filters.editor.isHidden()
    segment._filters.editor.add("remove_small_objects")
    segment._filters.editor.settings["size"].value = 20
    assert segment.postprocess.value == "remove_small_objects:size=20"
    segment.run.native.click()
    tidy = segment.wait(30).data
    np.testing.assert_array_equal(tidy, filtered(plain, "remove_small_objects:size=20"))
    assert (tidy != plain).any()
    assert str(segmenters[name].postprocess) == "remove_small_objects:size=20"
    assert segmenters[name].network is noisy.network
    assert not noisy.postprocess  # whoever holds the old one keeps it

    path = tmp_path / "tidy.safetensors"
    segment.save(path)
    np.testing.assert_array_equal(Segmenter.load(path).predict(image.data), tidy)
    with pytest.raises(OutputError):
        segment.save(path)
    segment.load(path)
    segment.wait(30)
    assert segment.segmenter.value == "tidy"
    assert segment.postprocess.value == "remove_small_objects:size=20"
    segment.postprocess.value = ""
    segment(image=image)
    np.testing.assert_array_equal(segment.wait(30).data, plain)


def test_the_filters_of_each_segmenter_are_shown(segment: Segment, noisy: Segmenter) -> None:
    segmenters.add(noisy, "one")
    segment.postprocess.value = "smooth"
    segmenters.add(noisy, "other")
    assert segment.postprocess.value == ""
    segment.segmenter.value = "one"
    assert segment.postprocess.value == "smooth"
    assert "smooth" in segment._filters.fold.text


def test_what_is_no_filter_of_labels_is_told(segment: Segment, noisy: Segmenter, image: Any) -> None:
    segmenters.add(noisy, "noisy")
    segment.postprocess.value = "smoth"
    assert "smooth" in segment.status.value
    with pytest.raises(InputError, match="smooth"):
        segment(image=image)
    with pytest.raises(InputError, match=r"takes filters that work on labels"):
        segment(image=image, postprocess="clahe")
    assert not segment.running


def test_numbered_objects_have_colours_of_their_own(
    viewer: napari.Viewer, segment: Segment, noisy: Segmenter, image: Any
) -> None:
    segmenters.add(noisy, "noisy")
    segment(image=image)
    segment.wait(30)
    segment.postprocess.value = "watershed"
    segment(image=image)
    layer = segment.wait(30)
    count = len(np.unique(layer.data)) - 1
    assert count > 2
    assert f"{count} objects" in segment.status.value
    assert len({tuple(layer.colormap.map(number)) for number in range(1, 4)}) == 3
    with pytest.raises(InputError, match="number the objects already"):
        segment(with_objects=True)
    small = viewer.add_labels(np.zeros((70, 90), np.uint8), name="small")
    with pytest.raises(InputError, match=r"32 bits or more\. Got uint8 in 'small'"):
        segment(with_objects=False, into=small)


def test_the_view_is_filtered_with_its_surroundings_and_that_is_said(
    viewer: napari.Viewer, segment: Segment, noisy: Segmenter, image: Any, qtbot: QtBot
) -> None:
    segmenters.add(noisy, "noisy")
    segment(image=image, postprocess="smooth:radius=2")
    whole = segment.wait(30)
    assert "no more" not in segment.status.value
    viewer.show()
    viewer.scene.camera.zoom *= 3
    qtbot.wait(100)
    segment(image=image, scope="view")
    part = segment.wait(30)
    start = np.rint(part.translate).astype(int)
    window = tuple(slice(first, first + size) for first, size in zip(start, part.data.shape, strict=True))
    np.testing.assert_array_equal(part.data, whole.data[window])  # a radius of 2 is less than what surrounds
    assert f"{MARGIN} pixels around it" in segment.status.value


def test_labels_say_the_place_on_earth_that_their_image_says(
    viewer: napari.Viewer, segment: Segment, noisy: Segmenter, image: Any, qtbot: QtBot
) -> None:
    info = {"crs": "EPSG:32632", "transform": (10, 0, 500, 0, -10, 900), "height": 70, "width": 90, "dtype": "float32"}
    image.metadata["geo"] = {**info, "bands": ("red",), "nodata": -1.0, "overviews": ()}
    segmenters.add(noisy, "noisy")
    segment(image=image)
    geo = segment.wait(30).metadata["geo"]
    assert geo == {**info, "bands": (), "nodata": None, "overviews": ()}
    viewer.show()
    viewer.scene.camera.zoom *= 4
    qtbot.wait(100)
    segment(scope="view")
    part = segment.wait(30)
    row, column = np.rint(part.translate)
    assert row > 0
    place = part.metadata["geo"]
    assert place["transform"] == (10, 0, 500 + 10 * column, 0, -10, 900 - 10 * row)
    assert (place["height"], place["width"]) == part.data.shape
