"""Large layers: labels appear while they are made, what is seen first, in a Zarr with a pyramid."""

from typing import Any, cast

import napari
import numpy as np
import pytest
import torch
import zarr

from napari_fcn.config import ModelConfig
from napari_fcn.data import ClassTable, Normalization
from napari_fcn.models import NetworkSpec, build
from napari_fcn.segmenter import Segmenter
from napari_fcn.widgets import Segment, live
from napari_fcn.widgets.segment_job import WatchedJob
from napari_fcn.widgets.store import segmenters
from napari_fcn.widgets.worker import Stop


@pytest.fixture(scope="module")
def small() -> Segmenter:
    torch.manual_seed(1)
    model = ModelConfig(architecture="unet-classic", depth=1, width=4, convolutions=1)
    network = build(NetworkSpec(model, 1, 3)).eval()
    with torch.no_grad():
        network.head.weight *= 8
    classes = ClassTable.from_labels([np.array([3, 7, 9])], zero="unlabelled")
    return Segmenter(network, model, 1, classes, Normalization("image"))


@pytest.fixture
def segmented(segment: Segment, small: Segmenter, monkeypatch: pytest.MonkeyPatch) -> Segment:
    """The widget, for which small planes are large already."""
    monkeypatch.setattr(live, "WORTH", 1000)
    monkeypatch.setattr(live, "ONE_LEVEL", 200)
    monkeypatch.setattr(live, "SMALLEST", 100)
    monkeypatch.setattr(live, "SECONDS", 0.0)
    segmenters.add(small, "small")
    segment.tile_size.value, segment.overlap.value = 64, 16
    return segment


def noise(*shape: int) -> Any:
    return np.random.default_rng(0).integers(0, 200, shape, np.uint8)


def test_what_is_seen_is_finished_first(small: Segmenter) -> None:
    image = noise(2, 300, 310)
    seen = (1,), slice(200, 260), slice(120, 190)
    job = WatchedJob(image, "ZYX", seen, small, {"tile_size": 64, "overlap": 16, "device": "cpu"})
    steps = job.run(Stop())
    next(steps)
    expected = small.predict(image, "ZYX", tile_size=64, overlap=16, device="cpu")
    counted = []
    try:
        while True:
            labels = cast(live.Live, next(steps).detail).data[:]
            window = labels[1, 200:260, 120:190]
            counted.append((float((window != 0).mean()), float((labels != 0).mean())))
    except StopIteration as end:
        outcome = end.value
    complete = next(share for inside, share in counted if inside == 1)
    assert complete == pytest.approx(60 * 70 / image.size)  # and nothing else was
    assert outcome.fraction == 1
    np.testing.assert_array_equal(outcome.live.data[:], expected)


def test_labels_appear_before_the_end(viewer: napari.Viewer, segmented: Segment, small: Segmenter) -> None:
    image = noise(500, 410)
    place = {"crs": None, "transform": (1, 0, 0, 0, -1, 0), "height": 500, "width": 410, "bands": (), "nodata": None}
    source = zarr.array(image, chunks=(128, 128))
    layer = viewer.add_image(source, name="slide", scale=(2, 3), metadata={"geo": place})
    parts = []
    show = segmented.show_detail

    def shown(detail: Any) -> None:
        show(detail)
        parts.append(float((np.asarray(viewer.layers["slide segmentation"].data[0]) != 0).mean()))

    segmented.show_detail = shown  # type: ignore[method-assign]
    segmented(image=layer)
    labels = segmented.wait(60)
    assert parts
    assert parts[0] < 1
    assert labels == viewer.layers["slide segmentation"]
    assert labels.multiscale
    assert [level.shape for level in labels.data] == [(500, 410), (250, 205), (125, 103), (63, 52)]
    expected = small.predict(image, "YX", tile_size=64, overlap=16, device="cpu")
    for number, level in enumerate(labels.data):
        np.testing.assert_array_equal(np.asarray(level), expected[:: 2**number, :: 2**number])
    np.testing.assert_allclose(labels.scale, (2, 3))
    assert labels.metadata["geo"] == place
    assert viewer.layers.selection.active == layer
    segmented(image=layer)
    assert segmented.wait(60) != labels
    assert [each.name for each in viewer.layers] == ["slide", "slide segmentation"]


@pytest.mark.both_qt
def test_cancelling_keeps_what_there_is(viewer: napari.Viewer, segmented: Segment, small: Segmenter) -> None:
    image = noise(190, 190)
    layer = viewer.add_image(image, name="slide")
    show = segmented.show_detail

    def shown(detail: Any) -> None:
        show(detail)
        segmented.cancel()

    segmented.show_detail = shown  # type: ignore[method-assign]
    segmented(image=layer)
    labels = segmented.wait(60)
    assert not labels.multiscale
    made = np.asarray(labels.data)
    expected = small.predict(image, "YX", tile_size=64, overlap=16, device="cpu")
    assert (made != 0).any()
    np.testing.assert_array_equal(made[made != 0], expected[made != 0])


def test_small_images_and_wanted_extras_are_not_watched(viewer: napari.Viewer, segmented: Segment) -> None:
    layer = viewer.add_image(noise(190, 190), name="slide")
    segmented.with_uncertainty.value = True
    segmented(image=layer)
    assert isinstance(segmented.wait(60).data, np.ndarray)
    assert "slide uncertainty" in viewer.layers
