"""Fields of a widget, made from the one description that every setting has in `config`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from magicgui.widgets import ComboBox, FloatSpinBox, LineEdit, SpinBox, create_widget
from magicgui.widgets.bases import ValueWidget
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox

from ..config import Option
from ..registry import Registry

__all__ = ["OpenComboBox", "ParsedEdit", "field", "label", "layer_field", "slim"]

# A wider range is no longer something to step through.
WIDEST_SPIN = 1e6
STEP = 0.05


def label(name: str) -> str:
    """The label of a setting: 'time_budget' is shown as 'Time budget'."""
    return name.replace("_", " ").capitalize()


def field(name: str, default: Any, option: Option) -> ValueWidget[Any]:
    """A widget for the setting `name`, with its choices, bounds, explanation and default value."""
    common: dict[str, Any] = {"name": name, "label": label(name), "tooltip": _tooltip(option)}
    if option.choices is not None:
        if option.open or option.joined:
            names = option.names()
            extra = [default] if default not in names else []
            return slim(OpenComboBox(value=default, choices=names + extra, **common))
        return slim(_choice(default, option, common))
    if default is None or option.kind in ("text", "integers") or not _can_step(option):
        return ParsedEdit(value=default, parse=_parser(option), **common)
    low, high = option.minimum or 0, WIDEST_SPIN if option.maximum is None else option.maximum
    if option.kind == "integer":
        return SpinBox(value=default, min=int(low), max=int(high), step=option.multiple or 1, **common)
    return FloatSpinBox(value=default, min=low, max=high, step=1 if low >= 1 else STEP, **common)


def layer_field(name: str, kind: type[Layer], tooltip: str) -> ComboBox:
    """A list of the viewer's layers of one kind; it is None when there are none."""
    box = create_widget(name=name, label=label(name), annotation=kind, options={"tooltip": tooltip})
    if not isinstance(box, ComboBox):
        raise TypeError(f"napari shows layers in a ComboBox. Got {type(box).__name__}.")
    return slim(box)


def _can_step(option: Option) -> bool:
    low, high = option.minimum, option.maximum
    if low is None:
        return False
    # Learning rates and the like span powers of ten.
    return option.kind == "integer" or low == 0 or (WIDEST_SPIN if high is None else high) / low <= WIDEST_SPIN


def _tooltip(option: Option) -> str:
    text = option.help[:1].upper() + option.help[1:]
    if option.choices is None:
        return text
    return "\n".join([text + ":", *(f"  {name}: {meaning}" for name, meaning in _meanings(option))])


def _meanings(option: Option) -> Iterable[tuple[str, str]]:
    if isinstance(option.choices, Registry):
        return [(name, entry.summary) for name, entry in option.choices.items()]
    return list((option.choices or {}).items())


def _choice(default: Any, option: Option, common: dict[str, Any]) -> ComboBox:
    """A list of names; where each has a meaning of its own, the meaning is what is shown."""
    if isinstance(option.choices, Registry):
        box = ComboBox(value=default, choices=option.names(), **common)
    else:
        box = ComboBox(value=default, choices=[(_capital(text), name) for name, text in _meanings(option)], **common)
    for row, (_, meaning) in enumerate(_meanings(option)):
        box.native.setItemData(row, meaning, Qt.ItemDataRole.ToolTipRole)
    return box


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def slim(box: ComboBox) -> ComboBox:
    """Let long entries be cut in the field, where the dock is narrow, but not in the list that opens."""
    native: QComboBox = box.native
    native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    native.setMinimumContentsLength(10)
    view = native.view()
    if view is not None and native.count():
        view.setMinimumWidth(view.sizeHintForColumn(0) + 24)
    return box


class OpenComboBox(ComboBox):
    """A list of suggestions in which any other text can be typed."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        native: QComboBox = self.native
        native.setEditable(True)
        native.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        edit = native.lineEdit()
        if edit is not None:
            edit.editingFinished.connect(self._take_typed)

    def _take_typed(self) -> None:
        text = self.native.currentText().strip()
        if text and text != self.get_value():
            self.value = text

    @property
    def value(self) -> Any:
        """The chosen or typed text."""
        return ComboBox.value.fget(self)  # type: ignore[attr-defined]

    @value.setter
    def value(self, value: Any) -> None:
        if value not in self.choices:
            # Kept as a choice, so that refreshing the choices does not lose it.
            self.choices = (*self.choices, value)
        ComboBox.value.fset(self, value)  # type: ignore[attr-defined]

    def reset_choices(self, *_: Any) -> None:
        """Nothing to refresh: what was typed stays."""
        if not len(self):
            super().reset_choices()


class ParsedEdit(LineEdit):
    """A line for numbers or text that may stay empty, which is None.

    What cannot be read as a number stays the text that it is; the settings refuse it with a sentence.
    """

    def __init__(self, *, parse: Callable[[str], Any], **options: Any) -> None:
        self._parse = parse
        super().__init__(**options)

    def get_value(self) -> Any:
        """The number, numbers or text; None when the line is empty."""
        text = super().get_value().strip()
        return self._parse(text) if text else self._parse_empty()

    def _parse_empty(self) -> Any:
        return None

    def set_value(self, value: Any) -> None:
        """Show a value; None empties the line."""
        if isinstance(value, (tuple, list)):
            text = ", ".join(map(str, value))
        elif isinstance(value, float):
            text = f"{value:g}"
        else:
            text = "" if value is None else str(value)
        super().set_value(text)

    def _on_value_change(self, value: Any = None) -> None:
        self.changed.emit(self.get_value())


def _parser(option: Option) -> Callable[[str], Any]:
    kinds: dict[str, Callable[[str], Any]] = {
        "text": str,
        "integer": int,
        "number": float,
        "integers": lambda text: tuple(int(part) for part in text.replace(",", " ").split()),
    }

    def parse(text: str) -> Any:
        try:
            return kinds[option.kind](text)
        except ValueError:
            return text

    return parse
