"""The plugin without a mouse: Tab goes through every widget as one reads it, and Space presses what has the focus."""

from itertools import pairwise
from typing import Any

import napari
import pytest
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QPushButton, QWidget

from napari_fcn.widgets.keyboard import in_reading_order
from napari_fcn.widgets.scroll import FormArea

WIDGETS = ("Train", "Segment", "Autoencoder", "Evaluate", "Process")


def focus_order(panel: QWidget) -> list[QWidget]:
    """Where Tab goes from the first field on, as far as it is inside the panel and seen."""
    found, here = [], next(in_reading_order(panel))
    while here is not None and panel.isAncestorOf(here) and here not in found:
        takes = here.focusPolicy() & Qt.FocusPolicy.TabFocus == Qt.FocusPolicy.TabFocus
        if takes and here.isVisibleTo(panel) and here.isEnabled():
            found.append(here)
        here = here.nextInFocusChain()
    return found


def middle(part: QWidget) -> QPoint:
    return QPoint(0, part.height() // 2)


@pytest.mark.both_qt
@pytest.mark.parametrize("name", WIDGETS)
def test_tab_goes_from_top_to_bottom(viewer: napari.Viewer, qtbot: QtBot, name: str) -> None:
    viewer.show()
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", name)
    widget.unfold()
    if name == "Train":
        widget.architecture.value = "unet-classic"  # fields are exchanged
        widget.add_pair()
    qtbot.wait(50)
    panel = widget.native
    order = focus_order(panel)
    assert len(order) > 8
    form = panel.findChild(FormArea).widget()
    # What is scrolled out of sight comes before what is below the form.
    places = [
        (not form.isAncestorOf(part), part.mapTo(form if form.isAncestorOf(part) else panel, middle(part)))
        for part in order
    ]
    keys = [(below, at.y(), at.x()) for below, at in places]
    start = keys.index(min(keys))
    rows = keys[start:] + keys[:start]
    # What stands in one row may differ in height.
    backwards = [(first, then) for first, then in pairwise(rows) if then[:2] < (first[0], first[1] - 12)]
    assert backwards == []


@pytest.mark.parametrize("name", WIDGETS)
def test_space_presses_the_button(viewer: napari.Viewer, qtbot: QtBot, name: str) -> None:
    viewer.show()
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", name)
    button: Any = widget.run.native
    assert isinstance(button, QPushButton)
    qtbot.keyClick(button, Qt.Key.Key_Space)
    assert len(notification_manager.records) == 1  # there is nothing to work on, which is said
    assert not widget.advanced.text.startswith("▾")
    qtbot.keyClick(widget.advanced.native, Qt.Key.Key_Space)
    assert widget.advanced.text.startswith("▾")
