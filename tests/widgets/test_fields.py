from typing import Any

import pytest
from magicgui.widgets import Container
from pytestqt.qtbot import QtBot

from napari_fcn.config import DataConfig, ModelConfig, PredictionConfig, TrainingConfig, option, options, split
from napari_fcn.widgets.fields import OpenComboBox, field

SETTINGS = options(ModelConfig, DataConfig, TrainingConfig, PredictionConfig)


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_field_with_its_default_and_its_explanation(qtbot: QtBot, name: str) -> None:
    default, about = SETTINGS[name]
    widget = field(name, default, about)
    assert widget.value == default or (widget.value is None and not default)
    assert widget.name == name
    assert about.help[1:] in widget.tooltip
    for choice in about.names():
        widget.value = choice
        assert widget.value == choice
        assert choice in widget.tooltip
    widget.close()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 20), ("patch_size", 96), ("channels", (0, 2, 5)), ("ignore", (255,)), ("nodata", -9999.0),
        ("rate", 1e-5), ("axes", "TCYX"), ("encoder_rate", 0.25), ("seed", 2**32 - 1),
        ("encoder", "resnet34"), ("loss", "focal+dice"),
    ],
)  # fmt: skip
def test_a_field_gives_back_what_was_set(qtbot: QtBot, name: str, value: Any) -> None:
    widget = field(name, *SETTINGS[name])
    seen: list[Any] = []
    widget.changed.connect(seen.append)
    widget.value = value
    assert widget.value == value
    assert seen[-1] == value
    widget.close()


def test_text_that_is_no_number_reaches_the_settings_which_refuse_it(qtbot: QtBot) -> None:
    widget = field("steps", *SETTINGS["steps"])
    widget.native.setText("many")
    with pytest.raises(ValueError, match=r"`steps` must be a whole number\. Got 'many'"):
        split({"steps": widget.value}, TrainingConfig)
    widget.close()


def test_a_list_of_suggestions_takes_and_keeps_other_text(qtbot: QtBot) -> None:
    widget = field("encoder", *SETTINGS["encoder"])
    assert isinstance(widget, OpenComboBox)
    widget.native.lineEdit().setText("resnet18")
    widget.native.lineEdit().editingFinished.emit()
    assert widget.value == "resnet18"
    Container(widgets=[widget]).reset_choices()
    assert widget.value == "resnet18"
    widget.close()


def test_meanings_are_shown_and_names_are_values(qtbot: QtBot) -> None:
    about = option("a", "help", choices={"a": "first of them", "b": "second"}).metadata["option"]
    widget = field("kind", "a", about)
    assert widget.current_choice == "First of them"
    assert widget.value == "a"
    widget.close()
