"""The table of classes in a real viewer."""

import gc
import weakref

import napari
import numpy as np
import pytest
from napari.layers import Labels
from napari.utils.colormaps import label_colormap
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_fcn import samples
from napari_fcn.errors import FcnError
from napari_fcn.widgets import Classes, Train, layers
from napari_fcn.widgets.class_table import FEW, meaning_of_zero


def painted(viewer: napari.Viewer, size: int = 256) -> napari.layers.Labels:
    data = np.zeros((size, size), np.uint8)
    data[:20, :20], data[-20:, -20:], data[100:110, :3] = 1, 1, 4
    return viewer.add_labels(data, name="painted", features={"index": [0, 1], "name": ["paper", "ink"]})


def wait_for(qtbot: QtBot, classes: Classes, value: int, pixels: int) -> None:
    qtbot.waitUntil(lambda: {row.value: row.pixels for row in classes.rows}.get(value) == pixels, timeout=5000)


@pytest.mark.both_qt
def test_it_shows_values_names_colours_and_pixels(viewer: napari.Viewer, classes: Classes) -> None:
    labels = painted(viewer)
    rows = {row.value: row for row in classes.rows}
    assert {value: (row.name, row.pixels) for value, row in rows.items()} == {
        0: ("paper", 256 * 256 - 830),
        1: ("ink", 800),
        4: ("class 4", 30),
    }
    assert rows[1].color == layers.class_colors(labels.colormap, [1])[1]
    table = classes._table
    assert [table.item(row, 2).text() for row in range(3)] == ["paper", "ink", "class 4"]


@pytest.mark.both_qt
def test_painting_is_counted_after_the_stroke(viewer: napari.Viewer, classes: Classes, qtbot: QtBot) -> None:
    labels = painted(viewer)
    labels.selected_label = 2
    labels.brush_size = 1
    labels.paint((50, 50), 2)
    wait_for(qtbot, classes, 2, 1)
    labels.undo()
    qtbot.waitUntil(lambda: 2 not in {row.value for row in classes.rows if row.pixels}, timeout=5000)


def test_names_are_written_into_the_layer_and_other_columns_stay(viewer: napari.Viewer, classes: Classes) -> None:
    labels = painted(viewer)
    labels.features = {"index": [0, 1], "name": ["paper", "ink"], "weight": [7.0, 8.0]}
    classes._table.item(2, 2).setText("stain")  # as if typed
    assert layers.class_names(labels) == {0: "paper", 1: "ink", 4: "stain"}
    assert list(labels.features["weight"][:2]) == [7.0, 8.0]


@pytest.mark.both_qt
def test_a_colour_changes_alone(viewer: napari.Viewer, classes: Classes) -> None:
    labels = painted(viewer)
    labels.colormap = label_colormap(20)
    before = layers.class_colors(labels.colormap, [1, 4])
    classes.recolor(4, "#12ab34")
    assert layers.class_colors(labels.colormap, [1, 4]) == {1: before[1], 4: "#12ab34"}
    assert labels.colormap.map(0)[3] == 0  # not painted is not seen


@pytest.mark.both_qt
def test_a_new_class_gets_the_next_value_and_is_painted_with(viewer: napari.Viewer, classes: Classes) -> None:
    labels = painted(viewer)
    assert classes.add("dust") == 5
    assert labels.selected_label == 5
    assert classes._table.currentRow() == 3
    labels.data = np.full((4, 4), 255, np.uint8)
    classes._count()
    with pytest.raises(FcnError, match="values up to 255"):
        classes.add()


@pytest.mark.both_qt
def test_removing_erases_and_undo_brings_the_pixels_back(viewer: napari.Viewer, classes: Classes) -> None:
    labels = painted(viewer)
    labels.selected_label = 4
    classes._remove.native.click()
    assert not (labels.data == 4).any()
    labels.undo()
    assert (labels.data == 4).sum() == 30


@pytest.mark.both_qt
def test_what_is_painted_too_thinly_is_told(viewer: napari.Viewer, classes: Classes) -> None:
    labels = painted(viewer)
    classes.rename(9, "glass")
    told = {row.name: row.warning for row in classes.rows}
    assert told["ink"] == ""  # two places, and enough
    assert f"{FEW} or more" in told["class 4"]
    assert "Nothing is painted" in told["glass"]
    labels.data[120:180, 120:130] = 9  # in one place
    labels.refresh()
    classes._count()
    told = {row.name: row.warning for row in classes.rows}
    assert "in one place only" in told["glass"]
    assert "glass" in classes._warning.value


@pytest.mark.both_qt
def test_a_row_and_a_key_choose_the_class(viewer: napari.Viewer, classes: Classes, qtbot: QtBot) -> None:
    labels = painted(viewer)
    classes._table.selectRow(2)
    assert labels.selected_label == 4
    viewer.layers.selection.active = labels
    viewer.show()
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_1)
    assert labels.selected_label == 1
    classes._keys.value = False
    labels.mode = "pan_zoom"
    qtbot.keyClick(viewer.window._qt_viewer.canvas.native, Qt.Key.Key_2)
    assert labels.selected_label == 1
    assert labels.mode != "pan_zoom"  # napari's own tool again


def test_two_layers_do_not_mix(viewer: napari.Viewer, classes: Classes) -> None:
    first = painted(viewer)
    second = viewer.add_labels(np.eye(30, dtype=int), name="second")
    classes.labels.value = second
    classes.add("only here")
    assert "only here" not in layers.class_names(first).values()
    viewer.layers.remove(second)
    assert classes.labels.value is first


@pytest.mark.both_qt
def test_shapes_become_labels_where_they_lie(viewer: napari.Viewer, classes: Classes) -> None:
    data = np.zeros((2, 50, 60), np.uint8)
    labels = viewer.add_labels(data, scale=(5, 2, 2), translate=(0, 10, 0), name="painted")
    labels.features = {"index": [1, 2], "name": ["tree", "road"]}
    square = np.array([[5, 30, 20], [5, 30, 39], [5, 49, 39], [5, 49, 20]], float)
    shapes = viewer.add_shapes([square], shape_type="polygon", features={"class": ["road"]})
    shapes.add_ellipses(np.array([[5, 60, 60], [5, 60, 100], [5, 100, 100], [5, 100, 60]], float))
    shapes.features = {"class": ["road", ""]}
    labels.selected_label = 1
    assert classes.paint_shapes() > 0
    assert not labels.data[0].any()
    # World 30 to 49 is pixels 10 to 19.5 down, and 20 to 39 is 10 to 19.5 across.
    found = np.argwhere(labels.data[1] == 2)
    np.testing.assert_allclose((found.min(axis=0), found.max(axis=0)), [[10, 10], [19, 19]], atol=1)
    ellipse = labels.data[1] == 1
    assert abs(ellipse.sum() - np.pi * 10 * 10) < 25
    np.testing.assert_allclose(np.argwhere(ellipse).mean(axis=0), [35, 40], atol=0.6)
    labels.undo()
    assert not labels.data.any()


def test_shapes_that_lie_elsewhere_are_told(viewer: napari.Viewer, classes: Classes) -> None:
    painted(viewer)
    with pytest.raises(FcnError, match="no shapes layer"):
        classes.paint_shapes()
    viewer.add_shapes([np.array([[900, 900], [900, 950], [950, 950]], float)], shape_type="polygon")
    with pytest.raises(FcnError, match="nothing was painted"):
        classes.paint_shapes()


@pytest.mark.both_qt
def test_closed_it_lets_go_of_layer_and_keys(viewer: napari.Viewer, qtbot: QtBot) -> None:
    dock, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Classes")
    labels = painted(viewer)
    gone = weakref.ref(widget)
    viewer.window.remove_dock_widget(dock)
    assert not [key for key in labels.keymap if str(key) in "123456789"]
    del widget, dock
    qtbot.wait(50)
    gc.collect()
    assert gone() is None
    labels.selected_label = 1


def strokes(*values: int) -> np.ndarray:
    data = np.zeros((64, 64), np.uint8)
    for number, value in enumerate(values):
        data[8 * number, :8] = value
    return data


NUCLEI = samples.load("nuclei").train_labels[0].astype(np.uint8)
ALLOY = np.repeat(np.array([[0, 1, 2, 1]], np.uint8), 4, 0)


@pytest.mark.parametrize(
    ("data", "options", "meaning"),
    [
        (strokes(1, 2), {}, "unlabelled"),
        (strokes(1), {}, "background"),
        (NUCLEI, {}, "background"),
        (ALLOY, {}, "background"),
        (strokes(), {"features": {"index": [1, 2], "name": ["tissue", "nucleus"]}}, "unlabelled"),
        (strokes(1, 2), {"features": {"index": [0, 1, 2], "name": ["paper", "ink", "dirt"]}}, "background"),
        (strokes(1, 2), {"metadata": {"napari_fcn": {"zero": "background"}}}, "background"),
    ],
)
def test_what_zero_means_is_told_by_names_and_pixels(data: np.ndarray, options: dict, meaning: str) -> None:
    assert meaning_of_zero(Labels(data, **options)) == meaning


def hold_and_paint(labels: Labels, place: tuple[int, int], value: int) -> None:
    """What the mouse does: all that it paints while its button is held is one step that can be undone."""
    with labels.block_history():
        labels.paint(place, value)


def test_train_follows_what_zero_means_until_somebody_says_it(viewer: napari.Viewer, train: Train) -> None:
    viewer.add_image(np.zeros((64, 64)), name="cells")
    labels = viewer.add_labels(strokes(), name="painted")
    assert train.zero.value == "background"
    hold_and_paint(labels, (10, 10), 1)
    assert train.zero.value == "background"
    hold_and_paint(labels, (40, 40), 2)
    assert train.zero.value == "unlabelled"
    train.zero.value = "background"
    hold_and_paint(labels, (50, 50), 2)
    assert train.zero.value == "background"
