"""The whole story, as the tutorial tells it: paint, train, look, correct, train on, segment, measure, save."""

from pathlib import Path

import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager

import napari_fcn as fcn
from napari_fcn.widgets import Classes, Segment, Train, layers

SHORT = {"batch_size": 4, "patch_size": 64, "zero": "unlabelled", "weights": "imagenet"}


def stroke(labels: napari.layers.Labels, value: int, truth: np.ndarray, wanted: int, count: int) -> None:
    """Paint a little where the truth has a class, as a person would."""
    places = np.argwhere(truth[0] == wanted)
    for row, column in places[:: max(1, len(places) // count)][:count]:
        labels.selected_label = value
        labels.paint((0, row, column), value)


@pytest.mark.both_qt
@pytest.mark.slow
def test_from_three_strokes_to_a_measured_stack(
    viewer: napari.Viewer, train: Train, segment: Segment, classes: Classes, tmp_path: Path
) -> None:
    viewer.open_sample("napari-fcn", "nuclei")
    image, truth = viewer.layers["nuclei"], viewer.layers["nuclei labels"].data
    painted = viewer.add_labels(np.zeros(truth.shape, np.uint8), name="painted", axis_labels=("image", "y", "x"))
    classes.labels.value = painted
    tissue, nucleus = classes.add("tissue"), classes.add("nucleus")
    classes.recolor(nucleus, "#ff00aa")
    painted.brush_size = 4
    stroke(painted, tissue, truth, 0, 12)
    stroke(painted, nucleus, truth, 1, 12)

    train(image=image, labels=painted, steps=30, **SHORT)
    first = train.wait(300)
    assert first.history["steps"] == 30
    stroke(painted, nucleus, truth, 1, 30)
    stroke(painted, tissue, truth, 0, 60)
    train.go_on(steps=30)
    second = train.wait(300)
    assert second.history["data"] != first.history["data"] or second is first

    segment(image=viewer.layers["nuclei, not for training"])
    result = segment.wait(300)
    assert layers.class_names(result) == {tissue: "tissue", nucleus: "nucleus"}
    assert layers.class_colors(result.colormap, [nucleus]) == {nucleus: "#ff00aa"}

    segment(image=image)
    found = segment.wait(300).data
    scores = fcn.evaluate(found, truth + 1, class_names={tissue: "tissue", nucleus: "nucleus"})
    majority = (truth == 0).mean() / 2
    assert scores.mean_iou > majority
    path = tmp_path / "nuclei.safetensors"
    train.save(path)
    np.testing.assert_array_equal(fcn.Segmenter.load(path).predict(image.data, "TYXC"), found)
    assert notification_manager.records == []
