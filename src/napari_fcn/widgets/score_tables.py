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
HEIGHT = 210


class ScoreTables(QTabWidget):
    """One page for each kind of score; empty pages are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(HEIGHT)
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
        self.addTab(_matrix(scores.confusion, names), "Confusion")
        self.setVisible(True)

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
        columns = {
            "95 %": f"95 % Hausdorff distance, {unit}: nearly all of the outline is nearer than this",
            "Hausdorff": f"Hausdorff distance, {unit}: the farthest that the outlines are apart",
            "Mean": f"Mean distance of the outlines, {unit}",
        }
        rows = [(e.hausdorff95, e.hausdorff, e.mean_distance) for e in comparison.boundaries]
        names = [(e.name, colors.get(e.value)) for e in comparison.boundaries]
        page = _table(names, columns, rows, decimals=2)
        short = {"pixels": "px", "micrometer": "µm"}.get(unit, unit)
        self.addTab(page, f"Boundaries ({short})")


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
            table.setItem(row, column, _cell(_text(value, decimals)))
    return _finished(table, names)


def _matrix(confusion: Sequence[Sequence[int]], names: Sequence[tuple[str, str | None]]) -> QTableWidget:
    """Rows truth, columns prediction, the part of each true class; the darker the more."""
    table = QTableWidget(len(names), len(names))
    for column, (name, color) in enumerate(names):
        header = QTableWidgetItem(_swatch(color), _short(name))
        header.setToolTip(f"predicted as {name}")
        table.setHorizontalHeaderItem(column, header)
    for row, counts in enumerate(confusion):
        total = sum(counts)
        for column, count in enumerate(counts):
            share = count / total if total else 0.0
            item = _cell(f"{share:.1%}" if total else "–")
            item.setBackground(QColor(*MATRIX_BLUE, round(255 * share)))
            item.setToolTip(f"{count:,} pixels of {names[row][0]} predicted as {names[column][0]}")
            table.setItem(row, column, item)
    return _finished(table, names)


def _finished(table: QTableWidget, names: Sequence[tuple[str, str | None]]) -> QTableWidget:
    for row, (name, color) in enumerate(names):
        header = QTableWidgetItem(_swatch(color), _short(name))
        header.setToolTip(name)
        table.setVerticalHeaderItem(row, header)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setShowGrid(False)
    table.setAlternatingRowColors(False)
    for header, mode in (
        (table.horizontalHeader(), QHeaderView.ResizeMode.ResizeToContents),
        (table.verticalHeader(), QHeaderView.ResizeMode.ResizeToContents),
    ):
        if header is not None:
            header.setSectionResizeMode(mode)
            header.setHighlightSections(False)
            header.setMinimumSectionSize(20)
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
    return f"{value:,}"


def _short(name: str) -> str:
    return name if len(name) <= 16 else name[:15] + "…"


def _swatch(color: str | None) -> QIcon:
    picture = QPixmap(SWATCH, SWATCH)
    picture.fill(QColor(color) if color else QColor(0, 0, 0, 0))
    return QIcon(picture)
