"""Fields of a widget, made from the one description that every setting has in `config`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from magicgui.widgets import ComboBox, FloatSpinBox, LineEdit, SpinBox, create_widget
from magicgui.widgets.bases import ValueWidget, Widget
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QComboBox

from ..options import Option
from ..registry import Registry

__all__ = ["OpenComboBox", "ParsedEdit", "SettingBox", "field", "groups", "label", "layer_field", "slim"]

# A wider range is no longer something to step through.
WIDEST_SPIN = 1e6
STEP = 0.05
LETTER = 0.68
"""Width of a usual letter in those by which Qt measures, which are wide."""
LEAST_LETTERS, MOST_LETTERS = 10, 19
"""For which there is room in a field of choices."""


def label(name: str) -> str:
    """The label of a setting: 'time_budget' is shown as 'Time budget'."""
    return name.replace("_", " ").capitalize()


def field(
    name: str, default: Any, option: Option, *, usual: Any = None, allowed: Sequence[Any] | None = None
) -> ValueWidget[Any]:
    """A widget for the setting `name`, with its choices, bounds, explanation and default value.

    Parameters
    ----------
    name, default, option : the setting, as `napari_fcn.options.options` describes it. A default of None stands for
        what is usual in the given case, and can be chosen again.
    usual : what that is, to be shown.
    allowed : the values to choose from, where these are fewer than `option` knows.
    """
    common: dict[str, Any] = {"name": name, "label": label(name), "tooltip": _tooltip(option, allowed)}
    if option.choices is not None or allowed is not None:
        box: type[SettingBox] = OpenComboBox if option.open or option.joined else SettingBox
        return box(_offered(option, allowed), value=default, usual=usual, **common)
    if default is None or option.kind in ("text", "integers") or not _can_step(option):
        edit = ParsedEdit(value=default, parse=_parser(option), **common)
        if usual is not None:
            edit.show_usual(usual)
        return edit
    low, high = option.minimum or 0, WIDEST_SPIN if option.maximum is None else option.maximum
    if option.kind == "integer":
        return SpinBox(value=default, min=int(low), max=int(high), step=option.multiple or 1, **common)
    return FloatSpinBox(value=default, min=low, max=high, step=1 if low >= 1 else STEP, **common)


def layer_field(name: str, kind: type[Layer], tooltip: str) -> ComboBox:
    """A list of the viewer's layers of one kind; it is None when there are none, and says so."""
    box = create_widget(name=name, label=label(name), annotation=kind, options={"tooltip": tooltip})
    if not isinstance(box, ComboBox):
        raise TypeError(f"napari shows layers in a ComboBox. Got {type(box).__name__}.")
    box.native.setPlaceholderText(f"no {kind.__name__.lower()} layer yet")
    return slim(box)


def groups(settings: Mapping[str, tuple[Any, Option]], fields: Mapping[str, Widget]) -> dict[str, list[Widget]]:
    """Fields under the headings that their settings have, in the settings' order; one heading alone is left out."""
    found: dict[str, list[Widget]] = {}
    for name, (_, option) in settings.items():
        if name in fields:
            found.setdefault(option.group, []).append(fields[name])
    return found if len(found) > 1 else {"": list(fields.values())}


def _can_step(option: Option) -> bool:
    low, high = option.minimum, option.maximum
    if low is None:
        return False
    # Learning rates and the like span powers of ten.
    return option.kind == "integer" or low == 0 or (WIDEST_SPIN if high is None else high) / low <= WIDEST_SPIN


def _tooltip(option: Option, allowed: Sequence[Any] | None) -> str:
    text = option.help[:1].upper() + option.help[1:]
    if option.choices is None:
        return text
    return "\n".join([text + ":", *(f"  {value}: {meaning}" for _, value, meaning in _offered(option, allowed))])


def _offered(option: Option, allowed: Sequence[Any] | None) -> list[tuple[str, Any, str]]:
    """What can be chosen: the text that is shown, the value, and its meaning.

    Where each value has a meaning of its own, and no name that somebody registered, the meaning is what is shown.
    """
    if option.choices is None:
        return [(str(value), value, "") for value in sorted(allowed or ())]
    values = option.names() if allowed is None else allowed
    if isinstance(option.choices, Registry):
        return [(value, value, option.choices[value].summary) for value in values]
    # "keep the features: quick" is shown as "Keep the features", and wholly in the tooltip.
    return [(_capital(option.choices[value].partition(":")[0]), value, option.choices[value]) for value in values]


def _usual_text(usual: Any) -> str:
    return "as usual" if usual is None else f"{usual} (usual)"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def slim(box: ComboBox, texts: Sequence[str] = ()) -> ComboBox:
    """Let long entries be cut in the field, where the dock is narrow, but not in the list that opens.

    There is room for all of `texts`, unless one of them is very long.
    """
    native: QComboBox = box.native
    native.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    longest = round(LETTER * max(map(len, texts), default=0))
    native.setMinimumContentsLength(min(max(LEAST_LETTERS, longest), MOST_LETTERS))
    view = native.view()
    if view is not None and native.count():
        view.setMinimumWidth(view.sizeHintForColumn(0) + 24)
    return box


class SettingBox(ComboBox):
    """A list of values.

    Parameters
    ----------
    offered : text, value and meaning of each.
    value : the chosen one; None, which stands for what is usual, makes an entry for it.
    usual : what that entry says.
    options : as for any widget.
    """

    def __init__(
        self, offered: Sequence[tuple[str, Any, str]], *, value: Any, usual: Any = None, **options: Any
    ) -> None:
        self._texts = {choice: text for text, choice, _ in offered}
        self.null_string = _usual_text(self._texts.get(usual, usual))
        choices = [(text, choice) for text, choice, _ in offered]
        if value is not None and value not in self._texts:
            choices.append((str(value), value))
        super().__init__(value=value, choices=choices, nullable=value is None, **options)
        for row, (_, _, meaning) in enumerate(offered, start=int(self._nullable)):
            self.native.setItemData(row, meaning, Qt.ItemDataRole.ToolTipRole)
        # What is said in words is to be read; names of networks and the like may be cut.
        self._phrases = [text for text, choice, _ in offered if text != choice]
        slim(self, self._phrases)

    def show_usual(self, usual: Any) -> None:
        """Say what None stands for."""
        text = _usual_text(self._texts.get(usual, usual))
        if self._nullable and text != self.null_string:
            self.null_string = text
            self.native.setItemText(self.choices.index(None), text)
            slim(self, self._phrases)


class OpenComboBox(SettingBox):
    """A list of suggestions in which any other text can be typed; what is usual stands in grey until then."""

    def __init__(self, offered: Sequence[tuple[str, Any, str]], **options: Any) -> None:
        super().__init__(offered, **options)
        native: QComboBox = self.native
        native.setEditable(True)
        native.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        edit = native.lineEdit()
        if edit is not None:
            edit.editingFinished.connect(self._take_typed)
        # Choosing an entry again shows its text again.
        native.currentIndexChanged.connect(self._show_text)
        native.activated.connect(self._show_text)
        self._show_text()

    def show_usual(self, usual: Any) -> None:
        """Say what None stands for."""
        super().show_usual(usual)
        self._show_text()

    def _show_text(self) -> None:
        """Show the beginning of a long text, and what is usual in grey, so that one can type at once."""
        edit = self.native.lineEdit()
        if edit is None:
            return
        if self._nullable:
            edit.setPlaceholderText(self.null_string)
            if self.get_value() is None:
                edit.clear()
        edit.setCursorPosition(0)

    def _take_typed(self) -> None:
        text = self.native.currentText().strip()
        if self._nullable and text in ("", self.null_string):
            self.value = None
            self._show_text()
        elif text and text != self.get_value():
            self.value = text

    @property
    def value(self) -> Any:
        """The chosen or typed text; None for what is usual."""
        return ComboBox.value.fget(self)  # type: ignore[attr-defined]

    @value.setter
    def value(self, value: Any) -> None:
        if value not in self.choices:
            # Kept as a choice, so that refreshing the choices does not lose it.
            self.choices = tuple(choice for choice in (*self.choices, value) if choice is not None)
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

    def show_usual(self, usual: Any) -> None:
        """Say in grey what an empty line stands for."""
        self.native.setPlaceholderText(_usual_text(usual))

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
