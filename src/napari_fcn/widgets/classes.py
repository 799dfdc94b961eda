"""The Classes widget: names, colours and painted pixels of a labels layer's classes."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from magicgui.widgets import CheckBox, ComboBox, Container, PushButton
from magicgui.widgets.bases import Widget
from napari.layers import Labels, Shapes
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QColorDialog, QHeaderView, QTableWidget, QTableWidgetItem

from ..errors import FcnError
from . import layers
from .class_table import ClassRow, add_class, class_rows, count, recolor, remove_class, rename
from .fields import layer_field
from .panel import wrapping_label
from .shapes import paint_shapes

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["Classes"]

COLOR, VALUE, NAME, PIXELS = range(4)
DELAY = 250
"""Milliseconds after a stroke in which others may follow before pixels are counted."""
PATIENCE = 10
"""Counting takes at most this part, one tenth, of the time."""
EVENTS = ("features", "colormap", "selected_label", "paint", "labels_update", "data", "set_data")
KEYS = tuple("123456789")


class Classes(Container[Widget]):
    """A table of a labels layer's classes.

    Click a row to paint with the class, double-click its colour or its name for another one. While the widget is open,
    and as long as `number_keys` is set, the keys 1 to 9 choose the first nine classes beside 0; napari's tools have
    these keys otherwise.

    Parameters
    ----------
    napari_viewer : whose layers are offered.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._layer: Labels | None = None
        self._counts: dict[int, int] | None = None
        self._filling = False
        self._docked = False
        self._rows: list[ClassRow] = []
        self._field = layer_field("labels", Labels, "The labels whose classes these are")
        self._table = QTableWidget(0, 4)
        self._add = PushButton(text="Add class", name="add", tooltip="A new class with the next free value")
        self._remove = PushButton(
            text="Remove",
            name="remove",
            tooltip="Forget the chosen class and erase its pixels (Ctrl+Z brings these back)",
        )
        self._keys = CheckBox(
            text="Keys 1 to 9 choose classes",
            name="number_keys",
            value=True,
            tooltip="While the labels layer is chosen; off, these keys choose napari's tools again",
        )
        self._shapes: ComboBox = layer_field("shapes", Shapes, "Polygons, ellipses, lines to be painted as labels")
        self._paint = PushButton(
            text="Paint shapes",
            name="paint",
            tooltip="Fill the shapes with the chosen class, or with the one that their feature 'class' names",
        )
        self._warning = wrapping_label("warning")
        buttons: Container[Widget] = Container(widgets=[self._add, self._remove], layout="horizontal", labels=False)
        row: Container[Widget] = Container(
            widgets=[self._shapes, self._paint], layout="horizontal", labels=False, name="shape_row"
        )
        for part in (buttons, row):
            part.margins = (0, 0, 0, 0)
        super().__init__(widgets=[self._field, buttons, self._warning, row, self._keys], labels=False)
        self._prepare_table()
        self.native.layout().insertWidget(1, self._table)
        self._timer = QTimer(self.native)
        self._timer.setSingleShot(True)
        self._timer.setInterval(DELAY)
        self._timer.timeout.connect(self._count)
        self._add.clicked.connect(lambda: self._attempt(self.add))
        self._remove.clicked.connect(lambda: self._attempt(self._remove_chosen))
        self._paint.clicked.connect(lambda: self._attempt(self.paint_shapes))
        self._field.changed.connect(self._watch)
        self._keys.changed.connect(self._bind_keys)
        self.native.destroyed.connect(self._leave)
        self.native_parent_changed.connect(self._parent_changed)
        self._watch()

    @property  # type: ignore[misc]  # magicgui's property of that name says whether fields have labels
    def labels(self) -> Any:
        """The field of the labels layer."""
        return self._field if self._initialized else self._labels

    @property
    def rows(self) -> list[ClassRow]:
        """What the table shows."""
        return list(self._rows)

    def add(self, name: str = "") -> int:
        """Add a class and choose it; its value."""
        return add_class(self._chosen_layer(), name, self._counts)

    def rename(self, value: int, name: str) -> None:
        """Give a class another name."""
        rename(self._chosen_layer(), value, name)

    def recolor(self, value: int, color: str) -> None:
        """Give a class another colour, such as '#ff8000'."""
        recolor(self._chosen_layer(), value, color)

    def paint_shapes(self) -> int:
        """Paint the chosen shapes with the chosen class; the number of pixels that changed."""
        shapes = self._shapes.value
        if shapes is None:
            raise FcnError("There is no shapes layer to paint; add one and draw in it.")
        layer = self._chosen_layer()
        return paint_shapes(shapes, layer, int(layer.selected_label))

    def _chosen_layer(self) -> Labels:
        if self._layer is None:
            raise FcnError("There is no labels layer; add one first.")
        return self._layer

    def _remove_chosen(self) -> None:
        layer = self._chosen_layer()
        remove_class(layer, int(layer.selected_label))

    def _attempt(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except FcnError as error:
            show_error(str(error))

    def _prepare_table(self) -> None:
        table = self._table
        table.setHorizontalHeaderLabels(["", "Value", "Name", "Pixels"])
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setMinimumHeight(140)
        rows, columns = table.verticalHeader(), table.horizontalHeader()
        if rows is not None and columns is not None:
            rows.hide()
            columns.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            columns.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        table.setTabKeyNavigation(False)  # Tab goes on to the buttons
        table.setAccessibleName("Classes")
        table.cellChanged.connect(self._edited)
        table.cellDoubleClicked.connect(self._double_clicked)
        table.itemSelectionChanged.connect(self._picked)

    def _watch(self) -> None:
        """Follow the chosen layer."""
        self._forget()
        self._layer = self._field.value
        if self._layer is not None:
            for name in EVENTS:
                getattr(self._layer.events, name).connect(self._changed)
            self._bind_keys()
        self._counts = None
        self._count()

    def _forget(self) -> None:
        if self._layer is None:
            return
        for name in EVENTS:
            getattr(self._layer.events, name).disconnect(self._changed)
        self._unbind_keys()
        self._layer = None

    def _changed(self, event: Any) -> None:
        if event.type == "selected_label":
            self._show_picked()
        elif event.type in ("features", "colormap"):
            self._fill()
        if not self._timer.isActive():
            self._timer.start()

    def _count(self) -> None:
        """Count pixels, unless that would read a file."""
        if self._layer is None:
            self._fill()
            return
        data = layers.array(self._layer)
        begin = time.perf_counter()
        self._counts = count(data) if hasattr(data, "__array_interface__") else None
        self._fill()
        # A large layer is counted less often.
        self._timer.setInterval(max(DELAY, round(1000 * PATIENCE * (time.perf_counter() - begin))))

    def _fill(self) -> None:
        zero = "unlabelled" if self._layer is None else layers.facts(self._layer).get("zero", "unlabelled")
        self._rows = [] if self._layer is None else class_rows(self._layer, self._counts, zero)
        self._filling = True
        table = self._table
        table.setRowCount(len(self._rows))
        for number, row in enumerate(self._rows):
            shown = "" if row.pixels is None else f"{row.pixels:,}" + (" ⚠" if row.warning else "")
            for column, text in ((COLOR, ""), (VALUE, str(row.value)), (NAME, row.name), (PIXELS, shown)):
                item = QTableWidgetItem(text)
                item.setToolTip(row.warning or ("Double-click for another colour" if column == COLOR else ""))
                if column != NAME:
                    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
                if column == COLOR:
                    item.setIcon(_swatch(row.color))  # a background would not be seen in the chosen row
                table.setItem(number, column, item)
        self._filling = False
        warned = [f"{row.name}: {row.warning}" for row in self._rows if row.warning]
        self._warning.value = "\n".join(warned)
        self._show_picked()

    def _edited(self, row: int, column: int) -> None:
        item = self._table.item(row, column)
        if not self._filling and column == NAME and item is not None and item.text().strip():
            self._attempt(partial(self.rename, self._rows[row].value, item.text()))

    def _double_clicked(self, row: int, column: int) -> None:
        if column != COLOR:
            return
        color = QColorDialog.getColor(QColor(self._rows[row].color), self.native, f"Colour of {self._rows[row].name}")
        if color.isValid():
            self._attempt(partial(self.recolor, self._rows[row].value, color.name()))

    def _picked(self) -> None:
        row = self._table.currentRow()
        if not self._filling and self._layer is not None and 0 <= row < len(self._rows):
            self._layer.selected_label = self._rows[row].value

    def _show_picked(self) -> None:
        if self._layer is None:
            return
        for number, row in enumerate(self._rows):
            if row.value == self._layer.selected_label and self._table.currentRow() != number:
                self._filling = True
                self._table.selectRow(number)
                self._filling = False

    def _bind_keys(self) -> None:
        self._unbind_keys()
        if self._layer is None or not self._keys.value:
            return
        for key in KEYS:
            self._layer.bind_key(key, self._chooser(int(key)), overwrite=True)

    def _chooser(self, position: int) -> Callable[[Labels], None]:
        def choose(layer: Labels) -> None:
            values = [row.value for row in class_rows(layer, None) if row.value != 0]
            if position <= len(values):
                layer.selected_label = values[position - 1]

        return choose

    def _unbind_keys(self) -> None:
        if self._layer is not None:
            for key in KEYS:
                with contextlib.suppress(KeyError):
                    self._layer.bind_key(key, None)

    def _parent_changed(self, parent: Any) -> None:
        if self._docked and parent is None:
            self._forget()
        self._docked = parent is not None

    def _leave(self) -> None:
        self._forget()


def _swatch(color: str) -> QIcon:
    picture = QPixmap(16, 16)
    picture.fill(QColor(color))
    icon = QIcon()
    for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected):
        icon.addPixmap(picture, mode)
    return icon
