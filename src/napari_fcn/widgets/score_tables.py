"""Scores as tables that stay readable in a narrow dock: pixels, objects, boundaries, confusion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QTabWidget

from ..metrics import Comparison

__all__ = ["ScoreTables"]

SWATCH = 12
MATRIX_BLUE = (49, 130, 189)
WIDTH = 365
MOST_ROWS = 9
STYLE = "QHeaderView::section { padding: 2px 3px; } QTableWidget::item { padding: 0px 3px; }"
"""The theme's margins leave no room for five columns."""


class ScoreTables(QTabWidget):
    """One page for each kind of score; empty pages are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumWidth(WIDTH)
        self.setUsesScrollButtons(False)
        bar = self.tabBar()
        if bar is not None:
            bar.setStyleSheet("QTabBar::tab { padding: 4px 6px; }")
        self.setVisible(False)

    def show_comparison(self, comparison: Comparison, colors: Mapping[int, str]) -> None:
        """Show scores; `colors` are those of the classes, by label value."""
        while self.count():
            page = self.widget(0)
            self.removeTab(0)
            if page is not None:
                page.deleteLater()
        scores = comparison.scores
        rows: list[Sequence[Any]] = [
            (entry.iou, entry.dice, entry.precision, entry.recall, entry.pixels) for entry in scores.classes
        ]
        rows.append((scores.mean_iou, scores.mean_dice, None, None, sum(entry.pixels for entry in scores.classes)))
        names = [(entry.name, colors.get(entry.value)) for entry in scores.classes]
        columns = {
            "IoU": "Intersection over union: shared pixels / pixels of either",
            "Dice": "Twice the shared pixels / pixels of both",
            "Prec.": "Precision: the part of the prediction that is right",
            "Recall": "The part of the truth that was found",
            "Pixels": "Pixels of the class in the truth",
        }
        self.addTab(_table([*names, ("mean", None)], columns, rows), "Pixels")
        if comparison.objects:
            self._add_objects(comparison, colors)
        if comparison.boundaries:
            self._add_boundaries(comparison, colors)
        self.addTab(_matrix(scores.confusion, scores.values, names), "Confusion")
        self._fit(len(scores.classes) + 1)
        self.setVisible(True)

    def _fit(self, rows: int) -> None:
        """As high as the longest table, up to a point: the form above needs room too."""
        line = self.fontMetrics().height() + 8
        self.setFixedHeight(round((min(rows, MOST_ROWS) + 3.5) * line) + 12)

    def _add_objects(self, comparison: Comparison, colors: Mapping[int, str]) -> None:
        columns = {
            "F1": "Harmonic mean of precision and recall of objects that overlap by an IoU of at least 0.5",
            "AP": "Average precision at IoU 0.5: found / (found + false + missed)",
            "AP mean": "Mean of the average precision at IoU 0.5, 0.55 ... 0.95",
            "Found": "Objects of the truth that were found, at IoU 0.5",
            "Missed": "Objects of the truth that were not found",
            "False": "Objects of the prediction that are none",
        }
        rows = [
            (e.half.f1, e.half.average_precision, e.mean_average_precision, e.half.found, e.half.missed, e.half.false)
            for e in comparison.objects
        ]
        self.addTab(_table([(e.name, colors.get(e.value)) for e in comparison.objects], columns, rows), "Objects")

    def _add_boundaries(self, comparison: Comparison, colors: Mapping[int, str]) -> None:
        unit = comparison.unit
        short = {"pixels": "px", "micrometer": "µm", "nanometer": "nm", "meter": "m"}.get(unit, unit)
        columns = {
            f"95 % ({short})": f"95 % Hausdorff distance, {unit}: nearly all of the outline is nearer than this",
            f"Max ({short})": f"Hausdorff distance, {unit}: the farthest that the outlines are apart",
            f"Mean ({short})": f"Mean distance of the outlines, {unit}",
        }
        rows = [(e.hausdorff95, e.hausdorff, e.mean_distance) for e in comparison.boundaries]
        names = [(e.name, colors.get(e.value)) for e in comparison.boundaries]
        page = _table(names, columns, rows, decimals=2)
        self.addTab(page, "Boundaries")


def _table(
    names: Sequence[tuple[str, str | None]],
    columns: Mapping[str, str],
    rows: Sequence[Sequence[Any]],
    decimals: int = 3,
) -> QTableWidget:
    table = QTableWidget(len(rows), len(columns))
    for column, (title, explanation) in enumerate(columns.items()):
        header = QTableWidgetItem(title)
        header.setToolTip(explanation)
        table.setHorizontalHeaderItem(column, header)
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            cell = _cell(_text(value, decimals))
            if value is not None:
                cell.setToolTip(f"{value:,}")
            table.setItem(row, column, cell)
    return _finished(table, names)


def _matrix(
    confusion: Sequence[Sequence[int]], values: Sequence[int], names: Sequence[tuple[str, str | None]]
) -> QTableWidget:
    """Rows truth, columns prediction, the part of each true class; the darker the more."""
    table = QTableWidget(len(names), len(names))
    for column, (name, color) in enumerate(names):
        header = QTableWidgetItem(_swatch(color), str(values[column]))
        header.setToolTip(f"predicted as {name}")
        table.setHorizontalHeaderItem(column, header)
    for row, counts in enumerate(confusion):
        total = sum(counts)
        for column, count in enumerate(counts):
            share = count / total if total else 0.0
            item = _cell(f"{share:.0%}" if total else "–")
            item.setBackground(QColor(*MATRIX_BLUE, round(255 * share)))
            item.setToolTip(f"{count:,} pixels of {names[row][0]} predicted as {names[column][0]}")
            table.setItem(row, column, item)
    return _finished(table, [(f"{v}  {name}", color) for v, (name, color) in zip(values, names, strict=True)])


def _finished(table: QTableWidget, names: Sequence[tuple[str, str | None]]) -> QTableWidget:
    for row, (name, color) in enumerate(names):
        header = QTableWidgetItem(_swatch(color), _short(name))
        header.setToolTip(name)
        table.setVerticalHeaderItem(row, header)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.setStyleSheet(STYLE)
    table.setAlternatingRowColors(False)
    for side in (table.horizontalHeader(), table.verticalHeader()):
        if side is not None:
            side.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            side.setHighlightSections(False)
            side.setMinimumSectionSize(20)
    return table


def _cell(text: str) -> QTableWidgetItem:
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item


def _text(value: Any, decimals: int) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float):
        return "∞" if math.isinf(value) else f"{value:.{decimals}f}"
    return _count(value)


def _count(value: int) -> str:
    """Three digits of a large number, which is what a narrow column has room for."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 10 * size:
            return f"{value / size:.3g}{letter}"
    return str(value)


def _short(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "…"


def _swatch(color: str | None) -> QIcon:
    picture = QPixmap(SWATCH, SWATCH)
    picture.fill(QColor(color) if color else QColor(0, 0, 0, 0))
    return QIcon(picture)
