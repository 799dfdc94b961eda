"""Two small plots of a training, drawn with Qt alone: the loss, and the score of each class on held-out pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

from ..data.classes import PALETTE
from .history import History

__all__ = ["Curves"]

HEIGHT = 190
GAP = 6
DECK_COLUMNS = 2
SMOOTHING = 0.9
"""Weight of what was, in the line that is drawn over the raw losses."""

Points = Sequence[tuple[float, float]]


class Curves(QWidget):
    """The curves of a `History`: above the loss, below the IoU of each class, named in a legend with its last value.

    Colours are those of the classes where they are known; the rest follows napari's theme.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._history = History()
        self._colors: dict[str, str] = {}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Curves of loss and score")
        self._fit()

    def show_history(self, history: History, colors: Mapping[str, str] | None = None) -> None:
        """Draw this history from now on; `colors` by class name."""
        self._history = history
        if colors is not None:
            self._colors = dict(colors)
        self._fit()
        self.setToolTip(self.description())
        self.update()

    def description(self) -> str:
        """What the curves show, in words."""
        lines = []
        if self._history.loss:
            lines.append(f"loss {self._history.loss[-1][1]:.3f}")
        if self._history.scores:
            lines += [f"{name}: IoU {_number(value)}" for name, value in self._history.scores[-1][1].items()]
        return "\n".join(lines)

    def sizeHint(self) -> QSize:  # noqa: N802 (Qt's name)
        """As wide as there is room."""
        return QSize(220, self.height())

    def _names(self) -> list[str]:
        return list(self._history.scores[-1][1]) if self._history.scores else []

    def _fit(self) -> None:
        rows = -(-len(self._names()) // DECK_COLUMNS)
        self.setFixedHeight(HEIGHT + round(rows * self._line()))

    def _line(self) -> float:
        return QFontMetricsF(self._small()).height()

    def _small(self) -> QFont:
        font = self.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() * 0.85))
        return font

    def paintEvent(self, event: QPaintEvent | None) -> None:  # noqa: N802 (Qt's name)
        """Draw; some milliseconds."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(self._small())
        line, width = self._line(), float(self.width())
        loss = list(self._history.loss)
        top = max((value for _, value in loss if math.isfinite(value)), default=1.0)
        numbers = [_tick(value) for value in (top, top / 2, 0.5)]
        left = max(painter.fontMetrics().horizontalAdvance(number) for number in numbers) + GAP
        plots = self.height() - math.ceil(len(self._names()) / DECK_COLUMNS) * line - 2 * line - 2 * GAP - 2
        upper = QRectF(left, line + 2, width - left - GAP, plots * 0.45)
        lower = QRectF(left, upper.bottom() + GAP + line, width - left - GAP, plots * 0.55)
        text = self.palette().color(QPalette.ColorRole.WindowText)

        self._frame(painter, upper, "loss", top, text)
        self._draw(painter, upper, loss, top, _faint(text, 90), 1.0)
        self._draw(painter, upper, _smooth(loss), top, text, 1.6)

        self._frame(painter, lower, "IoU on held-out pixels", 1.0, text)
        scores = list(self._history.scores)
        for number, name in enumerate(self._names()):
            color = self._color(name, number)
            points = [(when, row[name]) for when, row in scores if name in row]
            self._draw(painter, lower, points, 1.0, color, 1.6, dots=True)
        self._draw(painter, lower, list(self._history.mean_scores), 1.0, text, 2.2, dashed=True)
        if self._history.mean_scores:
            mean = f"mean {_number(self._history.mean_scores[-1][1])} (dashed)"
            painter.setPen(text)
            painter.drawText(QRectF(left, lower.top() - line, lower.width(), line), Qt.AlignmentFlag.AlignRight, mean)
        self._legend(painter, lower.bottom() + GAP, text)
        painter.end()

    def _color(self, name: str, number: int) -> QColor:
        return QColor(self._colors.get(name, PALETTE[number % len(PALETTE)]))

    def _frame(self, painter: QPainter, box: QRectF, title: str, top: float, text: QColor) -> None:
        painter.setPen(QPen(_faint(text, 70), 1))
        painter.drawRect(box)
        painter.drawLine(QPointF(box.left(), box.center().y()), QPointF(box.right(), box.center().y()))
        painter.setPen(text)
        line = painter.fontMetrics().height()
        painter.drawText(QRectF(box.left(), box.top() - line, box.width(), line), Qt.AlignmentFlag.AlignLeft, title)
        for value, y in ((top, box.top()), (top / 2, box.center().y()), (0.0, box.bottom())):
            side = QRectF(0, y - line / 2, box.left() - GAP / 2, line)
            painter.drawText(side, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, _tick(value))

    def _draw(
        self,
        painter: QPainter,
        box: QRectF,
        points: Points,
        top: float,
        color: QColor,
        width: float,
        *,
        dots: bool = False,
        dashed: bool = False,
    ) -> None:
        style = Qt.PenStyle.DashLine if dashed else Qt.PenStyle.SolidLine
        painter.setPen(QPen(color, width, style))
        shown = [
            QPointF(box.left() + box.width() * when, box.bottom() - box.height() * min(value / top, 1) if top else 0)
            for when, value in points
            if math.isfinite(value)
        ]
        if len(shown) > 1:
            painter.drawPolyline(shown)
        if dots or len(shown) == 1:
            painter.setBrush(color)
            for point in shown:
                painter.drawEllipse(point, 2, 2)
            painter.setBrush(Qt.BrushStyle.NoBrush)

    def _legend(self, painter: QPainter, top: float, text: QColor) -> None:
        line, width = self._line(), self.width() / DECK_COLUMNS
        metrics = painter.fontMetrics()
        for number, name in enumerate(self._names()):
            row, column = divmod(number, DECK_COLUMNS)
            x, y = column * width, top + row * line
            painter.fillRect(QRectF(x + 2, y + line * 0.3, 10, line * 0.4), self._color(name, number))
            painter.setPen(text)
            value = _number(self._history.scores[-1][1][name])
            room = int(width - 18 - metrics.horizontalAdvance(f"{value}  "))
            shown = metrics.elidedText(name, Qt.TextElideMode.ElideRight, room)
            painter.drawText(QRectF(x + 16, y, width - 18, line), Qt.AlignmentFlag.AlignLeft, f"{shown} {value}")


def _smooth(points: Points) -> Points:
    """An exponential average, which begins at the first points' own mean."""
    smoothed, total, weight = [], 0.0, 0.0
    for when, value in points:
        if math.isfinite(value):
            total, weight = SMOOTHING * total + value, SMOOTHING * weight + 1
            smoothed.append((when, total / weight))
    return smoothed


def _faint(color: QColor, alpha: int) -> QColor:
    faint = QColor(color)
    faint.setAlpha(alpha)
    return faint


def _tick(value: float) -> str:
    return f"{value:.2g}"


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else "–"
