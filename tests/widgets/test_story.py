"""The whole story, as the tutorial tells it: paint, train, correct, train on, segment, tidy, measure, save, export."""

from pathlib import Path

import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager

import napari_fcn as fcn
from napari_fcn.cli import main
from napari_fcn.widgets import Classes, Segment, Train, layers

SHORT = {"batch_size": 4, "patch_size": 64, "weights": "imagenet", "steps": 16}
"""Steps, where the tutorial has 20 seconds: how many these are depends on what else the machine does."""


def stroke(labels: napari.layers.Labels, value: int, truth: np.ndarray, wanted: int, count: int) -> None:
    """Paint a little where the truth has a class, as a person would."""
    places = np.argwhere(truth[0] == wanted)
    for row, column in places[:: max(1, len(places) // count)][:count]:
        labels.selected_label = value
        labels.paint((0, row, column), value)


@pytest.mark.both_qt
@pytest.mark.slow
def test_from_a_few_strokes_to_a_measured_stack(
    viewer: napari.Viewer, train: Train, segment: Segment, classes: Classes, tmp_path: Path
) -> None:
    viewer.open_sample("napari-fcn", "nuclei")
    image, truth = viewer.layers["nuclei"], viewer.layers["nuclei labels"]
    painted = viewer.add_labels(np.zeros(truth.data.shape, np.uint8), name="painted", axis_labels=("image", "y", "x"))
    classes.labels.value = train.labels.value = painted
    background, nucleus = classes.add("background"), classes.add("nucleus")
    classes.recolor(nucleus, "#ff00aa")
    assert train.zero.value == "unlabelled"  # for two classes have names, and what is not painted has none
    painted.brush_size = 4
    stroke(painted, background, truth.data, 0, 12)
    stroke(painted, nucleus, truth.data, 1, 12)

    train(image=image, **SHORT)
    first = train.wait(300)
    stroke(painted, nucleus, truth.data, 1, 30)
    stroke(painted, background, truth.data, 0, 60)
    train.go_on()
    second = train.wait(300)
    assert second.history["data"] != first.history["data"] or second is first

    segment(image=viewer.layers["nuclei, not for training"])
    result = segment.wait(300)
    assert layers.class_names(result) == {background: "background", nucleus: "nucleus"}
    assert layers.class_colors(result.colormap, [nucleus]) == {nucleus: "#ff00aa"}

    segment.postprocess.value = "remove_small_objects:size=20"
    segment(image=image)
    found = segment.wait(300)
    _, evaluate = viewer.window.add_plugin_dock_widget("napari-fcn", "Evaluate")
    evaluate(prediction=found, truth=truth, boundaries=False)
    scores = evaluate.wait(60).scores  # classes are matched by their names
    assert [row.name for row in scores.classes] == ["background", "nucleus"]
    assert scores.mean_iou > (truth.data == 0).mean() / 2 + 0.1  # beyond what "everything is background" has
    assert "nuclei segmentation errors" in viewer.layers
    evaluate.save(tmp_path / "scores.csv")

    path, exported = tmp_path / "nuclei.safetensors", tmp_path / "nuclei.onnx"
    segment.save(path)
    np.testing.assert_array_equal(fcn.Segmenter.load(path).predict(image.data, "TYXC"), found.data)
    assert main(["export", "--model", str(path), "--format", "onnx", "--output", str(exported)]) == 0
    assert exported.stat().st_size > 1_000_000
    assert notification_manager.records == []
