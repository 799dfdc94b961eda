"""Evaluate in a real viewer: set fields, press buttons, look at what is shown."""

import csv
from pathlib import Path
from typing import Any

import dask.array as da
import napari
import numpy as np
import pytest
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QApplication, QTableWidget

from napari_fcn import evaluate as score
from napari_fcn import samples
from napari_fcn.errors import InputError, OutputError
from napari_fcn.metrics import Comparison
from napari_fcn.widgets import Evaluate


@pytest.fixture
def evaluate(viewer: napari.Viewer) -> Evaluate:
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Evaluate")
    return widget


def add_pair(viewer: napari.Viewer, **options: Any) -> tuple[Any, Any]:
    """Real nuclei, and the same labels moved a bit."""
    labels = samples.load("nuclei").train_labels[0][:96, :120].astype(np.uint8)
    truth = viewer.add_labels(labels, name="truth", **options)
    prediction = viewer.add_labels(np.roll(labels, (1, 2), (0, 1)), name="prediction", **options)
    return truth, prediction


@pytest.mark.both_qt
def test_scores_tables_and_error_map(viewer: napari.Viewer, evaluate: Evaluate, qtbot: QtBot) -> None:
    colormap = DirectLabelColormap(color_dict={None: "red", 0: "transparent", 1: "#12ab34"})
    place = {"scale": (0.5, 0.25), "translate": (3, 4), "rotate": 30, "units": ("um", "um"), "axis_labels": ("y", "x")}
    features = {"index": [0, 1], "name": ["tissue", "nucleus"]}
    truth, prediction = add_pair(viewer, features=features, colormap=colormap, **place)
    chosen = set(viewer.layers.selection)
    evaluate.truth.value, evaluate.prediction.value = truth, prediction
    with qtbot.waitSignal(evaluate.ended, timeout=20_000):
        evaluate.run.native.click()
    result = evaluate.result
    assert isinstance(result, Comparison)
    assert result.scores == score(prediction.data, truth.data, class_names={0: "tissue", 1: "nucleus"})
    assert result.unit == "micrometer"
    assert result.boundaries[0].hausdorff <= np.hypot(0.5, 2 * 0.25) + 1e-6
    titles = [evaluate.tables.tabText(page) for page in range(evaluate.tables.count())]
    assert titles == ["Pixels", "Objects", "Boundaries", "Confusion"]
    table = evaluate.tables.widget(0)
    assert isinstance(table, QTableWidget)
    assert table.verticalHeaderItem(1).text() == "nucleus"
    assert table.item(1, 0).text() == f"{result.scores.classes[1].iou:.3f}"
    assert "pixel accuracy" in evaluate.status.value
    errors = viewer.layers["prediction errors"]
    np.testing.assert_array_equal(errors.data, truth.data != prediction.data)
    np.testing.assert_allclose(errors.data_to_world((5, 7)), truth.data_to_world((5, 7)))
    assert (errors.units, errors.axis_labels) == (truth.units, truth.axis_labels)
    assert set(viewer.layers.selection) == chosen
    assert notification_manager.records == []
    evaluate(zero="unlabelled")
    evaluate.wait(20)
    assert len(viewer.layers) == 3
    assert errors.data.sum() == (truth.data != prediction.data)[truth.data > 0].sum()


LABELS: dict[str, dict[str, Any]] = {
    "anisotropic and moved": {"scale": (4, 0.5, 0.25), "translate": (1, 2, 3), "units": ("um", "um", "um")},
    "turned in space": {"rotate": (10, 20, 30), "shear": (0.1, 0.2, 0.3)},
    "affine": {"affine": np.diag([1, 2, 3, 1])},
    "frames and slices": {"scale": (60, 4, 0.5, 0.5), "axis_labels": ("t", "z", "y", "x")},
    "dask": {"scale": (2, 2, 2)},
    "pyramid": {"scale": (2, 2, 2), "translate": (1, 2, 3)},
}


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari shows such layers as well as it can
def test_the_error_map_lies_on_the_truth(viewer: napari.Viewer, evaluate: Evaluate) -> None:
    values = np.random.default_rng(0).integers(0, 3, (2, 3, 24, 32), np.uint8)
    for name, options in LABELS.items():
        true = values if name == "frames and slices" else values[0]
        made = np.roll(true, 1, -1)
        given: list[Any] = [made, true]
        if name == "dask":
            given = [da.from_array(each) for each in given]
        elif name == "pyramid":
            given, options = [[each, each[:, ::2, ::2]] for each in given], {**options, "multiscale": True}
        prediction, truth = (
            viewer.add_labels(data, name=title, **options) for data, title in zip(given, ("made", "true"), strict=True)
        )
        evaluate(prediction=prediction, truth=truth, boundaries=False, objects="none")
        evaluate.wait(20)
        errors = viewer.layers["made errors"]
        np.testing.assert_array_equal(errors.data, true != made)
        for corner in ([0] * truth.ndim, [1] * truth.ndim):
            np.testing.assert_allclose(errors.data_to_world(corner), truth.data_to_world(corner))
        assert (errors.units, errors.axis_labels) == (truth.units, truth.axis_labels)
        viewer.layers.clear()


@pytest.mark.both_qt
def test_copy_and_save(viewer: napari.Viewer, evaluate: Evaluate, tmp_path: Path) -> None:
    truth, prediction = add_pair(viewer)
    with pytest.raises(InputError, match="press Evaluate first"):
        evaluate.save(tmp_path / "a.csv")
    assert not evaluate.copy_button.enabled
    evaluate(truth=truth, prediction=prediction, error_map=False)
    result = evaluate.wait(20)
    assert len(viewer.layers) == 2
    evaluate.copy_button.native.click()
    assert QApplication.clipboard().text() == result.to_csv("\t")
    path = evaluate.save(tmp_path / "a.csv")
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    assert float(rows[1]["iou"]) == result.scores.classes[1].iou
    assert evaluate.save(tmp_path / "a.png").stat().st_size > 5000
    with pytest.raises(OutputError, match="exists already"):
        evaluate.save(path)
    with pytest.raises(OutputError, match=r"saved as \.csv"):
        evaluate.save(tmp_path / "a.xls")


@pytest.mark.both_qt
def test_shapes_and_masks_as_regions(viewer: napari.Viewer, evaluate: Evaluate) -> None:
    truth, prediction = add_pair(viewer, scale=(2, 2))
    # Drawn in pixels of another size: 10..40 x 20..60 of the labels.
    box = np.array([[10, 20], [10, 60], [40, 60], [40, 20]]) * 2 - 1.0
    shapes = viewer.add_shapes([box, box[:2]], shape_type=["polygon", "line"], name="region")
    evaluate(truth=truth, prediction=prediction, region=shapes, objects="none", boundaries=False)
    inside = evaluate.wait(20)
    expected = score(prediction.data[10:40, 20:60], truth.data[10:40, 20:60])
    assert abs(sum(map(sum, inside.scores.confusion)) - 30 * 40) <= 71  # whose the outline is, is nobody's
    assert inside.scores.pixel_accuracy == pytest.approx(expected.pixel_accuracy, abs=0.02)
    mask = np.zeros_like(truth.data)
    mask[10:40, 20:60] = 1
    evaluate(region=viewer.add_labels(mask, name="mask", scale=(2, 2)))
    assert evaluate.wait(20).scores == expected
    line = viewer.add_shapes([box[:2]], shape_type="line", name="line")
    with pytest.raises(InputError, match="'line' encloses nothing of 'truth'"):
        evaluate(region=line)


def test_classes_are_matched_by_name_and_else_by_value(viewer: napari.Viewer, evaluate: Evaluate) -> None:
    truth, prediction = add_pair(viewer)
    prediction.data = np.where(prediction.data > 0, 7, 0).astype(np.uint8)
    truth.features = {"index": [0, 1], "name": ["tissue", "nucleus"]}
    prediction.features = {"index": [0, 7], "name": ["tissue", "nucleus"]}
    evaluate(truth=truth, prediction=prediction)
    by_name = evaluate.wait(20).scores
    assert [row.name for row in by_name.classes] == ["tissue", "nucleus"]
    assert by_name.classes[1].iou > 0.5
    evaluate(match="values")
    assert evaluate.wait(20).scores.classes[1].iou == 0


def test_numbered_objects(viewer: napari.Viewer, evaluate: Evaluate) -> None:
    cells = np.kron(np.arange(1, 401).reshape(20, 20), np.pad(np.ones((4, 4), int), 1))
    truth = viewer.add_labels(cells, name="truth")
    prediction = viewer.add_labels(np.where(cells % 4, cells + 5, 0), name="found")
    evaluate(truth=truth, prediction=prediction, objects="numbers")
    assert evaluate.wait(20).objects[0].half.recall == 0.75


def test_what_is_wrong_becomes_a_sentence(viewer: napari.Viewer, evaluate: Evaluate) -> None:
    evaluate.run.native.click()
    assert "needs two labels layers" in notification_manager.records[-1].message
    truth, _ = add_pair(viewer)
    with pytest.raises(InputError, match="Got 'truth' twice"):
        evaluate(truth=truth, prediction=truth)
    other = viewer.add_labels(np.zeros((4, 5), int), name="other")
    with pytest.raises(InputError, match=r"Got \(4, 5\) in 'other' and \(96, 120\) in 'truth'"):
        evaluate(truth=truth, prediction=other)


def test_two_new_layers_are_chosen_as_a_pair(viewer: napari.Viewer, evaluate: Evaluate) -> None:
    add_pair(viewer)
    assert evaluate.truth.value is not evaluate.prediction.value
