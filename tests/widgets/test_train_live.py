"""What Train shows while it learns, and how one goes on afterwards."""

from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari.settings import get_plugin_settings
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot

from napari_fcn import samples
from napari_fcn.errors import InputError
from napari_fcn.training import preview
from napari_fcn.widgets import Train
from napari_fcn.widgets.store import segmenters

SMALL = {"architecture": "unet-classic", "width": 8, "depth": 2, "batch_size": 2, "patch_size": 64}
SHORT, LONG = {"steps": 2, **SMALL}, {"steps": 1_000_000, **SMALL}


def add_nuclei(viewer: napari.Viewer, size: int = 128, **options: Any) -> tuple[Any, Any]:
    sample = samples.load("nuclei")
    image = viewer.add_image(sample.train_images[0][:size, :size], name="cells", rgb=True, **options)
    labels = viewer.add_labels(sample.train_labels[0][:size, :size].astype(np.uint8), name="painted", **options)
    return image, labels


@pytest.fixture
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Previews after every step."""
    monkeypatch.setattr(preview, "EVERY", 0.05)
    monkeypatch.setattr(preview, "SHARE", 100.0)


@pytest.mark.both_qt
@pytest.mark.usefixtures("eager")
def test_the_view_is_previewed_where_it_lies_and_goes_at_the_end(
    viewer: napari.Viewer, train: Train, qtbot: QtBot
) -> None:
    image, labels = add_nuclei(viewer, scale=(2, 3), rotate=20, translate=(4, 5))
    viewer.show()
    viewer.reset_view()
    viewer.scene.camera.zoom *= 2
    qtbot.wait(50)
    viewer.layers.selection.active = labels
    train(**LONG)
    qtbot.waitUntil(lambda: "preview" in viewer.layers, timeout=120_000)
    layer = viewer.layers["preview"]
    assert viewer.layers.selection.active is labels
    assert viewer.layers.index(layer) < viewer.layers.index(labels)
    start = image.world_to_data(layer.data_to_world((0, 0)))
    np.testing.assert_allclose(start, np.rint(start), atol=1e-6)
    start = np.rint(start)
    assert (start >= 0).all()
    assert (start + layer.data.shape <= (128, 128)).all()
    assert set(np.unique(layer.data)) <= {0, 1}
    qtbot.waitUntil(lambda: "steps/s" in train.status.value or "s a step," in train.status.value, timeout=60_000)
    assert "on cpu" in train.status.value
    viewer.layers.remove(layer)  # not wanted: it stays away
    qtbot.wait(500)
    assert "preview" not in viewer.layers
    train.cancel()
    train.wait(60)
    assert "preview" not in viewer.layers
    assert train._curves.isVisibleTo(train.native)
    assert train._live.history.loss
    assert train._live.history.scores


@pytest.mark.both_qt
def test_going_on_starts_from_the_result_with_the_labels_of_now(viewer: napari.Viewer, train: Train) -> None:
    labels = add_nuclei(viewer)[1]
    with pytest.raises(InputError, match="nothing to go on with"):
        train.go_on()
    train(**SHORT, time_budget=5)
    first = train.wait(60)
    assert train.run.text == "Start over"
    assert train.continue_button.enabled
    labels.data_setitem((np.repeat(np.arange(8), 8), np.tile(np.arange(8), 8)), 2)
    train.architecture.value = "fpn"  # for a new network, not for the one that is there
    train.go_on()
    second = train.wait(60)
    assert second.model == first.model
    if second is not first and second.history["best_step"]:
        assert second.classes.values == (0, 1, 2)
    assert "after training" in train.status.value
    assert notification_manager.records == []


def test_the_start_is_a_segmenter_of_this_session(viewer: napari.Viewer, train: Train) -> None:
    add_nuclei(viewer)
    train(**SHORT)
    train.wait(60)
    (name,) = segmenters
    train.architecture.value = "unet"
    assert train.start.choices == (None, name)
    train.start.value = name
    assert train.architecture.value == "unet-classic"
    assert train.width.value == 8
    assert train.job().init is segmenters[name]
    with pytest.raises(InputError, match="Start from one segmenter"):
        train(init="other.safetensors")


@pytest.mark.both_qt
def test_pairs_come_and_go(viewer: napari.Viewer, train: Train) -> None:
    pair = add_nuclei(viewer)
    train.add_pair(*pair)
    train.add_pair(*pair)
    assert len(train.pairs()) == 3
    train._form["pair_2"]["remove_2"].native.click()
    assert len(train.pairs()) == 2
    assert train._form.get_widget("pair_2") is None


def test_slices_without_paint_are_left_out_unless_wanted(viewer: napari.Viewer, train: Train) -> None:
    sample = samples.load("nuclei")
    viewer.add_image(np.stack([sample.train_images[0][:64, :64]] * 3), name="stack", rgb=True)
    painted = np.zeros((3, 64, 64), np.uint8)
    painted[1, :32, :32] = 1
    viewer.add_labels(painted, name="painted")
    assert len(train.job().prepare().examples.planes) == 1
    train.slices.value = "all"
    assert len(train.job().prepare().examples.planes) == 3


def test_channels_are_named_where_one_picks_them(viewer: napari.Viewer, train: Train) -> None:
    viewer.open_sample("napari-fcn", "landsat")
    train.image.value = viewer.layers["landsat"]
    hint = train.channels.native.placeholderText()
    assert hint.startswith("all of 0 ")
    assert "red" in hint
    train.channels.value = (3, 2, 1)
    assert train.job().prepare().examples.channels == 3


def test_what_transfer_means_is_said(train: Train) -> None:
    said = set()
    for value in train.transfer.choices:
        train.transfer.value = value
        said.add(train.meaning.value)
    assert len(said) == 4
    assert all(text.endswith(".") for text in said)


@pytest.mark.both_qt
def test_groups_fold_and_every_advanced_setting_is_in_one(train: Train) -> None:
    names = [name for group in train._groups.values() for name in group]
    assert len(names) == len(set(names)) > 30
    train.advanced.native.click()
    assert train.group_recipe.native.isVisibleTo(train.native)
    assert not train.rate.native.isVisibleTo(train.native)
    train.group_recipe.native.click()
    assert train.rate.native.isVisibleTo(train.native)
    assert not train.seed.native.isVisibleTo(train.native)
    train.advanced.native.click()
    assert not train.rate.native.isVisibleTo(train.native)


def test_the_essentials_come_back_in_the_next_session(viewer: napari.Viewer, train: Train) -> None:
    add_nuclei(viewer)
    train(steps=2, batch_size=2, patch_size=64, architecture="fpn", transfer="frozen", preview=False)
    train.wait(60)
    _, again = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
    again = Train(viewer)
    assert (again.architecture.value, again.transfer.value, again.preview.value) == ("fpn", "frozen", False)
    assert again.steps.value is None


@pytest.mark.both_qt
def test_preferences_are_the_defaults(viewer: napari.Viewer, tmp_path: Path) -> None:
    page = get_plugin_settings("napari-fcn").training
    page.run_folder, page.feature_memory, page.device = str(tmp_path), 64, "cpu"
    try:
        train = Train(viewer)
        add_nuclei(viewer)
        train.reset_choices()
        assert train.device.value == "cpu"
        train(**SHORT)
        train.wait(60)
        (folder,) = tmp_path.iterdir()
        assert {"config.json", "events.jsonl", "best.safetensors"} <= {path.name for path in folder.iterdir()}
        assert train.job().settings["feature_memory"] == 64
    finally:
        page.run_folder, page.feature_memory, page.device = "", 0, "auto"


def test_two_viewers_train_at_once(make_napari_viewer: Any) -> None:
    both = []
    for _ in range(2):
        viewer = make_napari_viewer()
        add_nuclei(viewer)
        both.append(viewer.window.add_plugin_dock_widget("napari-fcn", "Train")[1])
    for train in both:
        train(**SHORT)
    results = [train.wait(120) for train in both]
    assert results[0] is not results[1]
    for one, other in zip(*(result.network.state_dict().values() for result in results), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())  # the same seed, and nobody disturbed
