from typing import Any

import napari
import pytest
from magicgui.widgets import Container
from pytestqt.qtbot import QtBot

from napari_fcn.config import DataConfig, ModelConfig, PredictionConfig, TrainingConfig
from napari_fcn.options import option, options, split
from napari_fcn.widgets import Train
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


def type_text(widget: OpenComboBox, text: str) -> None:
    """As a person does, who then leaves the field."""
    widget.native.lineEdit().setText(text)
    widget.native.lineEdit().editingFinished.emit()


def test_what_is_usual_can_be_left_and_chosen_again(qtbot: QtBot) -> None:
    widget = field("upsampling", *SETTINGS["upsampling"], usual="nearest")
    seen: list[Any] = []
    widget.changed.connect(seen.append)
    assert widget.value is None
    assert widget.native.currentText() == "nearest (usual)"
    widget.native.setCurrentIndex(widget.native.findText("bilinear"))
    assert widget.value == "bilinear"
    Container(widgets=[widget]).reset_choices()
    assert widget.value == "bilinear"
    widget.native.setCurrentIndex(0)
    assert widget.value is None
    widget.value = "bilinear"
    widget.value = None
    assert widget.native.currentText() == "nearest (usual)"
    assert seen == ["bilinear", None, "bilinear", None]
    widget.close()


@pytest.mark.both_qt
def test_what_is_usual_can_be_left_by_typing_and_chosen_again(qtbot: QtBot) -> None:
    widget = field("encoder", *SETTINGS["encoder"], usual="tf_efficientnet_lite0")
    assert isinstance(widget, OpenComboBox)
    edit = widget.native.lineEdit()

    def shows_usual(name: str) -> bool:
        return widget.value is None and edit.text() == "" and edit.placeholderText() == f"{name} (usual)"

    assert shows_usual("tf_efficientnet_lite0")
    type_text(widget, "densenet121")
    assert widget.value == "densenet121"
    widget.native.setCurrentIndex(0)
    assert shows_usual("tf_efficientnet_lite0")
    widget.native.activated.emit(0)  # chosen once more
    assert shows_usual("tf_efficientnet_lite0")
    widget.value = "densenet121"
    type_text(widget, "")
    assert shows_usual("tf_efficientnet_lite0")
    widget.show_usual("efficientnet-b4")
    assert shows_usual("efficientnet-b4")
    type_text(widget, "efficientnet-b4 (usual)")
    assert shows_usual("efficientnet-b4")
    widget.value = "densenet121"
    widget.show_usual("classic")
    assert widget.value == edit.text() == "densenet121"
    widget.value = None
    assert shows_usual("classic")
    widget.close()


@pytest.mark.parametrize(
    ("name", "allowed", "texts"),
    [
        ("output_stride", (16, 8), ["16 (usual)", "8", "16"]),
        ("upsampling", ("nearest", "max_unpool"), ["nearest (usual)", "nearest", "max_unpool"]),
        ("norm", ("group", "none"), [
            "Group normalisation (usual)",
            "Group normalisation",
            "Nothing, as in the first paper",
        ]),
    ],
)  # fmt: skip
def test_only_what_is_allowed_is_offered(qtbot: QtBot, name: str, allowed: tuple[Any, ...], texts: list[str]) -> None:
    widget = field(name, *SETTINGS[name], usual=allowed[0], allowed=allowed)
    assert [widget.native.itemText(row) for row in range(widget.native.count())] == texts
    assert set(widget.choices) == {None, *allowed}
    for value in (*allowed, None):
        widget.value = value
        assert widget.value == value
    assert "bilinear" not in widget.tooltip
    assert "Batch" not in widget.tooltip
    widget.close()


def test_a_usual_number_is_shown_until_another_is_typed(qtbot: QtBot) -> None:
    widget = field("width", *SETTINGS["width"], usual=32)
    assert widget.native.placeholderText() == "32 (usual)"
    assert widget.value is None
    widget.value = 16
    assert widget.value == 16
    widget.native.setText("")
    assert widget.value is None
    widget.close()


def test_the_beginning_of_a_long_text_is_shown(qtbot: QtBot) -> None:
    widget = field("loss", *SETTINGS["loss"])
    assert widget.native.lineEdit().cursorPosition() == 0
    widget.value = "dice+cross_entropy"
    assert widget.native.lineEdit().cursorPosition() == 0
    widget.close()


def test_meanings_are_shown_and_names_are_values(qtbot: QtBot) -> None:
    about = option("a", "help", choices={"a": "first of them", "b": "second"}).metadata["option"]
    widget = field("kind", "a", about)
    assert widget.current_choice == "First of them"
    assert widget.value == "a"
    widget.close()


@pytest.mark.both_qt
def test_what_is_said_in_words_is_not_cut_in_the_dock(viewer: napari.Viewer, train: Train, qtbot: QtBot) -> None:
    viewer.show()
    qtbot.wait(50)
    narrow = train.image.native.x()
    for name in ("zero", "transfer"):
        box = getattr(train, name).native
        texts = [box.itemText(row) for row in range(box.count())]
        # Beside the text there is an arrow.
        room = box.width() - 44
        assert [text for text in texts if box.fontMetrics().horizontalAdvance(text) > room] == []
    train.unfold()
    qtbot.wait(50)
    wide = train.image.native.x()
    train.advanced.native.click()
    qtbot.wait(50)
    # Labels that nobody sees take no room.
    assert train.image.native.x() == narrow < wide
    least = train.native.minimumSizeHint().width()
    train.add_pair()
    qtbot.wait(50)
    assert train.native.minimumSizeHint().width() == least
