"""The order in which the Tab key goes through a form: as one reads it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLayout, QScrollArea, QWidget

__all__ = ["in_reading_order", "order_tabs"]


def order_tabs(form: QWidget) -> None:
    """Let Tab go through `form` in reading order; Qt's own order is that in which fields were made."""
    for before, after in pairwise(in_reading_order(form)):
        QWidget.setTabOrder(before, after)


def in_reading_order(form: QWidget) -> Iterator[QWidget]:
    """What can have the keyboard, from top to bottom; also what is hidden at present."""
    if form.focusPolicy() & Qt.FocusPolicy.TabFocus == Qt.FocusPolicy.TabFocus:
        yield form
        return
    inner = form.widget() if isinstance(form, QScrollArea) else None
    if inner is not None:
        yield from in_reading_order(inner)
    else:
        yield from _of_layout(form.layout())


def _of_layout(layout: QLayout | None) -> Iterator[QWidget]:
    for position in range(0 if layout is None else layout.count()):
        item = None if layout is None else layout.itemAt(position)
        widget = None if item is None else item.widget()
        if widget is not None:
            yield from in_reading_order(widget)
        elif item is not None:
            yield from _of_layout(item.layout())
