"""Good manners of every widget: nothing is left of it, nobody else is disturbed, and what goes wrong is told."""

import gc
import sys
import threading
import weakref
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication

from napari_fcn import Segmenter
from napari_fcn.widgets import Train
from napari_fcn.widgets.panel import Work
from napari_fcn.widgets.preferences import data_folder
from napari_fcn.widgets.store import segmenters
from napari_fcn.widgets.worker import Progress

from .conftest import Threshold

RANDOM = np.random.default_rng(0)
SMALL = {"architecture": "unet-classic", "width": 8, "depth": 2, "batch_size": 2, "patch_size": 64}
SHORT, LONG = {"steps": 2, **SMALL}, {"steps": 1_000_000, **SMALL}
CODES = {"encoder": "classic", "depth": 1, "code": 4, "steps": 2, "batch_size": 2, "patch_size": 32}


def add_layers(viewer: napari.Viewer) -> None:
    """An image, and labels of its bright pixels in two layers."""
    picture = RANDOM.random((64, 64)).astype(np.float32)
    viewer.add_image(picture, name="cells")
    for name in ("painted", "found"):
        viewer.add_labels((picture > 0.5).astype(np.uint8), name=name)


def add_widget(viewer: napari.Viewer, name: str) -> Any:
    return viewer.window.add_plugin_dock_widget("napari-fcn", name)[1]


def train_briefly(viewer: napari.Viewer, widget: Any) -> None:
    widget(labels=viewer.layers["painted"], **SHORT)


def segment(viewer: napari.Viewer, widget: Any) -> None:
    segmenters.add(Threshold(), "threshold")  # type: ignore[arg-type]
    widget(image=viewer.layers["cells"])


def find_codes(viewer: napari.Viewer, widget: Any) -> None:
    widget(image=viewer.layers["cells"], kind="plain", **CODES)


def compare(viewer: napari.Viewer, widget: Any) -> None:
    widget(truth=viewer.layers["painted"], prediction=viewer.layers["found"])


def filter_image(viewer: napari.Viewer, widget: Any) -> None:
    widget(layer=viewer.layers["cells"], chain="gaussian:sigma=2")


#: What each widget is for, in its quickest form.
USES: dict[str, Callable[[napari.Viewer, Any], None]] = {
    "Train": train_briefly,
    "Segment": segment,
    "Autoencoder": find_codes,
    "Evaluate": compare,
    "Process": filter_image,
}


def settled(qtbot: QtBot) -> None:
    """Let Qt delete what is to be deleted, and Python what nobody holds."""
    qtbot.waitUntil(lambda: QThreadPool.globalInstance().activeThreadCount() == 0, timeout=10_000)
    qtbot.wait(50)
    gc.collect()
    qtbot.wait(0)


def forms() -> int:
    """How many widgets of ours Qt holds."""
    return sum(widget.metaObject().className() == "FormArea" for widget in QApplication.allWidgets())


@pytest.mark.both_qt
@pytest.mark.parametrize("name", USES)
def test_used_and_closed_nothing_is_left(viewer: napari.Viewer, qtbot: QtBot, name: str) -> None:
    add_layers(viewer)
    threads, before = set(threading.enumerate()), forms()
    widget = add_widget(viewer, name)
    assert forms() == before + 1
    USES[name](viewer, widget)
    widget.wait(120)
    gone = weakref.ref(widget)
    parts = [weakref.ref(part) for part in (widget._form, widget._run_button)]
    viewer.window.remove_dock_widget(widget.native)
    del widget
    settled(qtbot)
    assert gone() is None
    assert [part() for part in parts] == [None, None]
    assert forms() == before
    assert [type(thread).__name__ for thread in set(threading.enumerate()) - threads if not thread.daemon] == []
    assert notification_manager.records == []


@pytest.mark.parametrize("name", USES)
def test_what_nobody_foresaw_is_told_and_the_widget_works_on(
    viewer: napari.Viewer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(notification_manager, "catch_error", True)
    monkeypatch.setattr(notification_manager, "exit_on_error", False)
    add_layers(viewer)
    widget = add_widget(viewer, name)

    def fail(stop: threading.Event) -> Generator[Progress, None, None]:
        yield Progress(None, "Working…")
        raise RuntimeError("a wheel came off")

    with monkeypatch.context() as broken:
        broken.setattr(type(widget), "prepare", lambda self: Work(fail, "work that fails", lambda outcome: (None, "")))
        USES[name](viewer, widget)
        with pytest.raises(RuntimeError, match="a wheel came off"):
            widget.wait(60)
    assert "a wheel came off" in notification_manager.records[-1].message
    assert widget.run.enabled
    assert not widget.cancel_button.enabled
    USES[name](viewer, widget)
    widget.wait(120)
    assert len(notification_manager.records) == 1


def learning(train: Train, qtbot: QtBot) -> None:
    """Train until it is cancelled; wait until it learns."""
    train(**LONG)
    qtbot.waitUntil(lambda: "loss" in train.status.value, timeout=60_000)


def learns_on(train: Train, qtbot: QtBot) -> None:
    """It is not disturbed: steps follow."""
    step = train._live.history.loss[-1][0]
    qtbot.waitUntil(lambda: train._live.history.loss[-1][0] > step, timeout=30_000)


@pytest.mark.both_qt
@pytest.mark.parametrize("what", ["widget", "window"])
def test_closed_in_training_it_stops_and_saves_and_another_viewer_learns_on(
    make_napari_viewer: Callable[..., napari.Viewer], qtbot: QtBot, what: str
) -> None:
    viewers = [make_napari_viewer(), make_napari_viewer()]
    closed, other = (add_widget(viewer, "Train") for viewer in viewers)
    before = set(segmenters)
    for viewer, train in zip(viewers, (closed, other), strict=True):
        add_layers(viewer)
        learning(train, qtbot)
    if what == "widget":
        viewers[0].window.remove_dock_widget(closed.native)
    else:
        viewers[0].close()
    qtbot.waitUntil(lambda: not closed.running, timeout=60_000)
    (file,) = (data_folder() / "segmenters").iterdir()
    assert Segmenter.load(file).history["steps"] >= 1
    assert str(file) in notification_manager.records[-1].message
    learns_on(other, qtbot)
    other.cancel()
    assert other.wait(60).history["steps"] > 1
    for name in set(segmenters) - before:
        segmenters.remove(name)


@pytest.mark.both_qt
def test_two_widgets_in_one_viewer_learn_at_once(viewer: napari.Viewer, train: Train, qtbot: QtBot) -> None:
    add_layers(viewer)
    other = Train(viewer)
    viewer.window.add_dock_widget(other, name="Train again")
    for one in (train, other):
        learning(one, qtbot)
    train.cancel()
    first = train.wait(60)
    learns_on(other, qtbot)
    viewer.window.remove_dock_widget(train.native)
    learns_on(other, qtbot)
    other.cancel()
    second = other.wait(60)
    assert first is not second
    assert min(one.history["steps"] for one in (first, second)) > 1
    assert list(segmenters.values()) == [first, second]
    assert [layer.name for layer in viewer.layers] == ["cells", "painted", "found"]


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads as Linux lists them")
def test_trainings_leave_no_threads(viewer: napari.Viewer, train: Train, qtbot: QtBot) -> None:
    def tasks() -> int:
        return len(list(Path("/proc/self/task").iterdir()))

    add_layers(viewer)
    counts = []
    for _ in range(4):
        learning(train, qtbot)
        train.cancel()
        train.wait(60)
        settled(qtbot)
        counts.append(tasks())
    assert counts[-1] <= counts[0]
