"""A list of filters that can be added, set, moved and removed; made from the registry."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from magicgui.widgets import ComboBox, Container
from magicgui.widgets.bases import ValueWidget, Widget
from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QHBoxLayout, QLabel, QListWidget, QPushButton, QVBoxLayout, QWidget

from ..errors import FcnError
from ..imaging import Chain, Filter
from ..registry import filters
from .fields import field, slim

__all__ = ["ChainEditor"]

ROWS = 4


class ChainEditor(QWidget):
    """Shows a chain and lets it be changed.

    Attributes
    ----------
    changed : signal, emitted with the chain that a person has made.
    refused : signal, emitted with a sentence when a setting cannot have the value that was given.
    """

    changed = Signal(Chain)
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._chain = Chain()
        self._stage = "before"
        self._fields: Container[Widget] | None = None
        self.choice = slim(ComboBox(name="filter", choices=lambda _: self._offered(), tooltip="A filter to add"))
        self.add_button = QPushButton("Add")
        self.add_button.setToolTip("Add this filter behind the others")
        self.add_button.clicked.connect(self._add)
        self.list = QListWidget()
        self.list.setToolTip("Filters in the order in which they work; choose one to set it")
        self.list.currentRowChanged.connect(self._show_settings)
        line = self.list.fontMetrics().height() + 6
        self.list.setFixedHeight(ROWS * line)
        self.buttons = {
            word: self._button(text, tip, action)
            for word, text, tip, action in (
                ("up", "▲", "Work earlier", lambda: self._move(-1)),
                ("down", "▼", "Work later", lambda: self._move(1)),
                ("remove", "✕", "Remove this filter (Delete)", self._remove),
            )
        }
        QShortcut(QKeySequence(Qt.Key.Key_Delete), self.list, self._remove, context=Qt.ShortcutContext.WidgetShortcut)
        top, middle, side = QHBoxLayout(), QHBoxLayout(), QVBoxLayout()
        top.addWidget(self.choice.native, 1)
        top.addWidget(self.add_button)
        for button in self.buttons.values():
            side.addWidget(button)
        side.addStretch()
        middle.addWidget(self.list, 1)
        middle.addLayout(side)
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 4, 0, 4)
        self._layout.addLayout(top)
        self._layout.addLayout(middle)
        self._show()

    @property
    def chain(self) -> Chain:
        """The filters; setting them emits nothing."""
        return self._chain

    @chain.setter
    def chain(self, chain: Chain) -> None:
        if chain != self._chain:
            row = self.list.currentRow()
            self._chain = chain
            self._show(min(max(row, 0), len(chain) - 1))

    def offer(self, stage: str) -> None:
        """Offer the filters of a stage."""
        if stage != self._stage:
            self._stage = stage
            self.choice.reset_choices()
            slim(self.choice)

    @property
    def settings(self) -> dict[str, ValueWidget[Any]]:
        """The fields of the chosen filter, by name."""
        return {} if self._fields is None else {w.name: w for w in self._fields if isinstance(w, ValueWidget)}

    def add(self, name: str) -> None:
        """Add a filter with its usual settings, and choose it."""
        self._take((*self._chain.steps, filters[name].target()), len(self._chain))

    def _add(self) -> None:
        self.add(self.choice.value)

    def _offered(self) -> list[tuple[str, str]]:
        return [
            (str(entry.details["title"]), name)
            for name, entry in filters.items()
            if entry.details["stage"] == self._stage
        ]

    def _button(self, text: str, tip: str, action: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.setFixedWidth(28)
        button.clicked.connect(lambda: action())
        return button

    def _move(self, by: int) -> None:
        row = self.list.currentRow()
        steps = list(self._chain.steps)
        if 0 <= row < len(steps) and 0 <= row + by < len(steps):
            steps.insert(row + by, steps.pop(row))
            self._take(tuple(steps), row + by)

    def _remove(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            steps = self._chain.steps[:row] + self._chain.steps[row + 1 :]
            self._take(steps, min(row, len(steps) - 1))

    def _take(self, steps: tuple[Filter, ...], row: int) -> None:
        try:
            self._chain = Chain(steps)
        except FcnError as error:
            self.refused.emit(str(error))
            return
        self._show(row)
        self.changed.emit(self._chain)

    def _show(self, row: int = -1) -> None:
        self.list.blockSignals(True)
        self.list.clear()
        for number, step in enumerate(self._chain, start=1):
            self.list.addItem(f"{number}  {_readable(step)}")
            self.list.item(number - 1).setToolTip(filters[step.name].summary)
        self.list.setCurrentRow(row)
        self.list.blockSignals(False)
        self._show_settings(row)

    def _show_settings(self, row: int) -> None:
        for word, button in self.buttons.items():
            last = {"up": row > 0, "down": 0 <= row < len(self._chain) - 1, "remove": row >= 0}
            button.setEnabled(last[word])
        if self._fields is not None:
            self._layout.removeWidget(self._fields.native)
            self._fields.native.hide()
            self._fields.native.deleteLater()
            self._fields = None
        if not 0 <= row < len(self._chain):
            return
        step = self._chain.steps[row]
        made: Container[Widget] = Container(labels=True)
        made.margins = (0, 0, 0, 0)
        for name, (default, option) in filters[step.name].details["settings"].items():
            edit = field(name, default, option)
            edit.value = getattr(step, name)
            edit.changed.connect(lambda value, name=name: self._set(name, value))
            made.append(edit)
        self._fields = made
        self._layout.addWidget(made.native)
        # magicgui measures labels before the theme has chosen the font.
        words = [each for each in made.native.findChildren(QLabel) if each.text()]
        widest = max((each.sizeHint().width() for each in words), default=0)
        for each in words:
            each.setMinimumWidth(widest)

    def _set(self, name: str, value: object) -> None:
        row = self.list.currentRow()
        step = self._chain.steps[row]
        if getattr(step, name) == value:
            return
        try:
            changed = type(step).from_json({**step.to_json(), name: value})
        except FcnError as error:
            self.refused.emit(str(error))
            return
        steps = list(self._chain.steps)
        steps[row] = changed
        # The fields stay: somebody is typing in one.
        self._chain = Chain(tuple(steps))
        self.list.item(row).setText(f"{row + 1}  {_readable(changed)}")
        self.changed.emit(self._chain)


def _readable(step: Filter) -> str:
    """'Percentile: low 1, high 99' for people."""
    shown = [
        f"{name.replace('_', ' ')} {', '.join(map(str, value)) if isinstance(value, tuple) else _number(value)}"
        for name, value in ((name, getattr(step, name)) for name in filters[step.name].details["settings"])
        if value is not None
    ]
    return str(filters[step.name].details["title"]) + (": " + ", ".join(shown) if shown else "")


def _number(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
