"""A scroll area that is as high as what it holds, where there is room for it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea, QSizePolicy, QWidget

from .keyboard import order_tabs

__all__ = ["FormArea"]

LEAST_HEIGHT = 150
BORDER = 2
"""Lines that a theme draws above and below."""
SPACE = 10
"""Between the longest label and the fields, beyond what a layout leaves."""


class FormArea(QScrollArea):
    """Shows a form whole, and scrolls it up and down in a window that is too low."""

    def __init__(self, form: QWidget) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setWidgetResizable(True)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # its fields have it, and are scrolled to
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self._form = form
        self.setWidget(form)
        form.installEventFilter(self)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """The form's size, and room for the scroll bar beside it."""
        return self._form.sizeHint() + QSize(self._bar_width(), BORDER)

    def minimumSizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """As wide as the form and a scroll bar, and a few lines high."""
        least = self._form.minimumSizeHint()
        return QSize(least.width() + self._bar_width(), min(least.height(), LEAST_HEIGHT))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802 (Qt's name)
        """Follow the form when fields appear or go, and when the theme changes the font."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show, QEvent.Type.StyleChange):
            self._align_labels()
            panel = self.parentWidget()
            if panel is not None:
                order_tabs(panel)
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def _bar_width(self) -> int:
        bar = self.verticalScrollBar()
        return 0 if bar is None else bar.sizeHint().width()

    def _align_labels(self) -> None:
        """Give all labels the width of the widest one that is seen, and what is left to the fields.

        magicgui measures them before the theme has chosen the font, and those that are folded away too.
        """
        labels: list[QLabel] = []
        for row in self._form.findChildren(QWidget, options=Qt.FindChildOption.FindDirectChildrenOnly):
            layout = row.layout()
            item = None if layout is None else layout.itemAt(0)
            first = None if item is None else item.widget()
            if isinstance(first, QLabel) and not row.isHidden():
                labels.append(first)
        # A label's own size hint is at least its minimum width, and would never become smaller again.
        widest = max((label.fontMetrics().horizontalAdvance(label.text()) for label in labels), default=0) + SPACE
        for label in labels:
            label.setSizePolicy(QSizePolicy.Policy.Fixed, label.sizePolicy().verticalPolicy())
            if label.minimumWidth() != widest or label.maximumWidth() != widest:
                label.setFixedWidth(widest)
