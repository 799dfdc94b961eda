"""What Segment can segment beside a whole layer, and what it can make of it."""

from pathlib import Path
from typing import Any, cast

import dask.array as da
import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot

from napari_fcn.errors import FcnError
from napari_fcn.io import read_labels, write_array
from napari_fcn.widgets import Segment, layers
from napari_fcn.widgets.next_place import show_next_place
from napari_fcn.widgets.store import segmenters

from .conftest import Threshold

RANDOM = np.random.default_rng(0)


def offer(name: str = "threshold", **options: Any) -> Threshold:
    stand_in = Threshold(**options)
    segmenters.add(cast(Any, stand_in), name)
    return stand_in


def look_at(viewer: napari.Viewer, qtbot: QtBot, centre: tuple[float, ...], zoom: float) -> None:
    viewer.show()
    viewer.window._qt_window.resize(900, 700)
    viewer.scene.camera.center, viewer.scene.camera.zoom = centre, zoom
    qtbot.wait(100)


GEOMETRIES: dict[str, tuple[Any, dict[str, Any], int]] = {
    "anisotropic and moved": (RANDOM.random((300, 400)), {"scale": (0.5, 2), "translate": (30, -40)}, 1),
    "turned and sheared": (RANDOM.random((300, 400)), {"rotate": 30, "shear": [0.2], "scale": (2, 3)}, 1),
    "affine, micrometres": (RANDOM.random((300, 400)), {"affine": np.diag([2, 3, 1]), "units": ("um", "um")}, 1),
    "colours": (RANDOM.random((300, 400, 3)), {"rgb": True, "scale": (2, 3)}, 3),
    "channels first": (RANDOM.random((5, 300, 400)), {"scale": (1, 2, 3)}, 5),
    "slices": (RANDOM.random((6, 300, 400)), {"scale": (9, 2, 3), "translate": (18, 0, 0)}, 1),
    "time and slices": (RANDOM.random((2, 3, 300, 400)), {"translate": (1, 2, 3, 4)}, 1),
    "dask": (da.from_array(RANDOM.random((3, 300, 400))), {}, 1),
    "pyramid": ([RANDOM.random((1200, 1600)), RANDOM.random((300, 400))], {"multiscale": True, "scale": (2, 3)}, 1),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_what_is_seen_is_segmented_as_in_the_whole_and_lies_there(
    viewer: napari.Viewer, segment: Segment, qtbot: QtBot, name: str
) -> None:
    data, options, channels = GEOMETRIES[name]
    offer(channels=channels)
    image = viewer.add_image(data, name="cells", **options)
    segment(image=image)
    whole = segment.wait(60)
    middle = np.asarray(whole.extent.world).mean(axis=0)
    viewer.dims.point = np.r_[np.zeros(viewer.dims.ndim - middle.size), middle]
    look_at(viewer, qtbot, tuple(middle[-2:]), viewer.scene.camera.zoom * 4)
    segment(image=image, scope="view")
    part = segment.wait(60)
    assert part.name != whole.name
    assert part.data.shape[-1] < whole.data.shape[-1]
    assert part.data.shape[:-2] == (1,) * (whole.ndim - 2)
    start = np.rint(whole.world_to_data(part.data_to_world([0] * part.ndim))).astype(int)
    window = tuple(slice(first, first + size) for first, size in zip(start, part.data.shape, strict=True))
    np.testing.assert_array_equal(part.data, whole.data[window])
    for corner in np.ndindex((2,) * part.ndim):
        inside = np.array(corner) * (np.array(part.data.shape) - 1)
        np.testing.assert_allclose(part.data_to_world(inside), whole.data_to_world(inside + start), atol=1e-9)
    assert part.units == whole.units


def test_a_slice_alone(viewer: napari.Viewer, segment: Segment, qtbot: QtBot) -> None:
    offer()
    image = viewer.add_image(RANDOM.random((5, 40, 50)), name="stack", scale=(4, 1, 1))
    viewer.dims.set_point(0, 12)
    look_at(viewer, qtbot, (20, 25), 5)
    segment(image=image, scope="slice")
    layer = segment.wait(60)
    assert layer.data.shape == (1, 40, 50)
    np.testing.assert_array_equal(layer.data[0] == 3, image.data[3] > image.data.mean())
    assert layer.translate[0] == 12


@pytest.mark.both_qt
def test_it_writes_into_a_layer_and_undo_takes_it_back(viewer: napari.Viewer, segment: Segment) -> None:
    offer()
    image = viewer.add_image(RANDOM.random((40, 50)), name="cells")
    mine = viewer.add_labels(np.full((40, 50), 7, np.uint8), name="mine")
    segment(image=image, into=mine)
    assert segment.wait(60) is mine
    np.testing.assert_array_equal(mine.data == 3, image.data > image.data.mean())
    assert "Changed 'mine'" in segment.status.value
    assert len(viewer.layers) == 2
    mine.undo()
    assert (mine.data == 7).all()


def test_a_layer_of_another_shape_is_not_written_into(viewer: napari.Viewer, segment: Segment) -> None:
    offer()
    image = viewer.add_image(RANDOM.random((40, 50)), name="cells")
    other = viewer.add_labels(np.zeros((40, 51), int), name="other")
    with pytest.raises(FcnError, match="40 x 51 in 'other'"):
        segment(image=image, into=other)


def test_probabilities_uncertainty_and_objects_are_layers_on_the_image(viewer: napari.Viewer, segment: Segment) -> None:
    offer()
    data = np.zeros((60, 80))
    rows, columns = np.indices(data.shape)
    for column in (25, 41):
        data[np.hypot(rows - 30, columns - column) <= 10] = 0.9
    image = viewer.add_image(data, name="cells", scale=(2, 3), translate=(5, 6), rotate=10, units=("um", "um"))
    segment(image=image, with_probabilities=True, with_uncertainty=True, with_objects=True)
    labels = segment.wait(60)
    chances, doubt, objects = (viewer.layers[f"cells {kind}"] for kind in ("probabilities", "uncertainty", "objects"))
    assert chances.data.shape == (2, 60, 80)
    np.testing.assert_allclose(chances.data.sum(axis=0), 1, atol=1e-6)
    assert list(layers.facts(chances)["classes"]) == ["background", "bright"]
    assert set(np.unique(objects.data)) == {0, 1, 2}
    np.testing.assert_array_equal(objects.data > 0, labels.data == 3)
    place = np.array([7.0, 11.0])
    for layer in (doubt, objects):
        np.testing.assert_allclose(layer.data_to_world(place), image.data_to_world(place))
    np.testing.assert_allclose(chances.data_to_world(np.r_[0, place])[1:], image.data_to_world(place))
    assert tuple(chances.units[1:]) == tuple(image.units)
    # Again: the same layers, with new contents.
    segment()
    segment.wait(60)
    assert len(viewer.layers) == 5


def test_several_layers_one_after_the_other(viewer: napari.Viewer, segment: Segment) -> None:
    offer()
    images = [viewer.add_image(RANDOM.random((20 + n, 30)), name=f"image {n}") for n in range(3)]
    segment(scope="layers", images=images[:2])
    made = segment.wait(60)
    assert [layer.name for layer in made] == ["image 0 segmentation", "image 1 segmentation"]
    assert [layer.data.shape for layer in made] == [(20, 30), (21, 30)]


def test_a_folder_of_files(viewer: napari.Viewer, segment: Segment, tmp_path: Path) -> None:
    stand_in = offer()
    stand_in.axes_for = lambda shape, axes: "YX"  # type: ignore[attr-defined]
    for n in range(2):
        write_array(tmp_path / f"cells{n}.tif", RANDOM.random((24, 32)).astype(np.float32), axes="YX")
    target = tmp_path / "results"
    segment(scope="folder", source=tmp_path, target=target)
    assert [path.name for path in segment.wait(60)] == ["cells0.tif", "cells1.tif"]
    assert set(np.unique(read_labels(target / "cells1.tif"))) == {0, 3}
    segment()
    with pytest.raises(FcnError, match="exists"):
        segment.wait(60)
    segment(overwrite=True)
    assert len(segment.wait(60)) == 2
    notification_manager.records.clear()


def test_only_fields_that_matter_are_shown(viewer: napari.Viewer, segment: Segment) -> None:
    def shown(name: str) -> bool:
        return bool(getattr(segment, name).native.isVisibleTo(segment.native))

    assert [name for name in ("image", "images", "source", "into") if shown(name)] == ["image", "into"]
    segment.scope.value = "folder"
    assert [name for name in ("image", "images", "source", "into", "with_objects") if shown(name)] == ["source"]


def test_where_to_paint_next_is_where_it_is_unsure_and_unpainted(
    viewer: napari.Viewer, segment: Segment, qtbot: QtBot
) -> None:
    with pytest.raises(FcnError, match="no uncertainty layer"):
        show_next_place(viewer)
    offer()
    data = np.zeros((3, 200, 300))
    data[1, 40:80, 200:240] = 0.5  # undecided, once the middle is known
    data[2, 100:130, 50:80] = 0.49
    viewer.add_image(data, name="cells", scale=(5, 2, 2), translate=(10, 0, 0))
    segment(with_uncertainty=True)
    segment.wait(60)
    doubt = viewer.layers["cells uncertainty"]
    doubt.data = np.where(data > 0, data, 0).astype(np.float32)
    look_at(viewer, qtbot, (0, 0), 0.05)
    segment.next_button.native.click()
    np.testing.assert_allclose(viewer.dims.point[0], 15)
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], (2 * 60, 2 * 220), atol=2 * 8)
    assert viewer.scene.camera.zoom > 0.05
    strokes = viewer.add_labels(np.zeros(data.shape, np.uint8), name="strokes", scale=(5, 2, 2), translate=(10, 0, 0))
    strokes.data[1, 60, 220] = 1
    assert show_next_place(viewer)[0] in (1, 2)
    strokes.data[1, 40:80:8, 200:240:8] = 1
    assert show_next_place(viewer)[0] == 2
    strokes.data[:] = 1
    with pytest.raises(FcnError, match="unsure and not painted"):
        show_next_place(viewer)


def test_a_closed_widget_still_hands_over_its_layer(viewer: napari.Viewer, qtbot: QtBot) -> None:
    dock, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Segment")
    offer()
    image = viewer.add_image(RANDOM.random((20, 30)), name="cells")
    widget(image=image)
    viewer.window.remove_dock_widget(dock)
    dock.deleteLater()
    qtbot.waitUntil(lambda: not widget.running, timeout=60_000)
    assert notification_manager.records == []
