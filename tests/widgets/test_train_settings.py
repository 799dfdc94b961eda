"""Train shows the settings that the chosen architecture has, and only these reach the training."""

from typing import Any

import napari
import numpy as np
import pytest
from magicgui.widgets.bases import ValueWidget
from napari.utils.notifications import notification_manager
from pytestqt.qtbot import QtBot
from qtpy.QtWidgets import QWidget

from napari_fcn import samples
from napari_fcn.config import ARCHITECTURE_SETTINGS, DataConfig, ModelConfig, TrainingConfig, settings_of
from napari_fcn.errors import InputError
from napari_fcn.options import options
from napari_fcn.registry import architectures
from napari_fcn.widgets import Train
from napari_fcn.widgets.panel import values
from napari_fcn.widgets.store import segmenters

SHORT = {"steps": 2, "batch_size": 2, "patch_size": 64}
OWN = [name for name, entry in architectures.items() if "encoder" in entry.details]


def add_nuclei(viewer: napari.Viewer) -> None:
    sample = samples.load("nuclei")
    viewer.add_image(sample.train_images[0][:128, :128], name="cells", rgb=True)
    viewer.add_labels(sample.train_labels[0][:128, :128].astype(np.uint8), name="painted")


def shown(train: Train) -> set[str]:
    """The settings of architectures that a person sees, in an open window."""
    return {name for name in ARCHITECTURE_SETTINGS if getattr(train, name).native.isVisibleTo(train.native)}


def text(field: Any) -> str:
    """What a field shows, in grey or not."""
    native = field.native
    edit = native if hasattr(native, "placeholderText") and hasattr(native, "setEchoMode") else native.lineEdit()
    if edit is None:
        return str(native.currentText())
    return str(edit.text() or edit.placeholderText())


@pytest.fixture
def opened(train: Train) -> Train:
    """Train with its advanced fields shown."""
    train.unfold()
    return train


def test_every_setting_is_a_field_of_its_name(train: Train) -> None:
    for name in options(ModelConfig, DataConfig, TrainingConfig):
        assert getattr(train, name).name == name
        assert isinstance(getattr(train, name), ValueWidget)


def test_settings_that_the_architecture_has_are_shown_with_their_usual_values(
    opened: Train, subtests: pytest.Subtests
) -> None:
    for name in architectures:
        with subtests.test(name):
            opened.architecture.value = name
            having = settings_of(name)
            assert shown(opened) == set(having)
            model = ModelConfig(architecture=name)
            for setting, allowed in having.items():
                field, usual = getattr(opened, setting), getattr(model, setting)
                assert field.value is None
                meanings = options(ModelConfig)[setting][1].choices
                word = "automatic" if usual is None else usual
                if isinstance(meanings, dict) and usual is not None:
                    word = meanings[usual].partition(":")[0]
                assert text(field).lower() == f"{word} (usual)".lower()
                if isinstance(allowed, tuple):
                    assert set(field.choices) == {None, *allowed}
            assert text(opened.weights) == f"{model.weights} (usual)"
            assert model.encoder in text(opened.encoder)


def test_closed_they_stay_closed(train: Train) -> None:
    for name in ("deeplabv3", "unet-classic", "unet"):
        train.architecture.value = name
        assert shown(train) == set()


def test_another_architecture_starts_anew(opened: Train) -> None:
    opened.architecture.value = "unet-classic"
    opened.depth.value, opened.width.value, opened.upsampling.value = 2, 8, "max_unpool"
    opened.architecture.value = "unet"
    assert values(opened._form, ARCHITECTURE_SETTINGS) == {}
    with pytest.raises(ValueError, match="max_unpool"):
        opened.upsampling.value = "max_unpool"
    opened.architecture.value = "unet-classic"
    assert values(opened._form, ARCHITECTURE_SETTINGS) == {}


@pytest.mark.parametrize("name", OWN)
def test_an_encoder_of_its_own_is_shown_and_the_chosen_one_comes_back(train: Train, name: str) -> None:
    own = architectures[name].details["encoder"]
    train.encoder.value = "resnet34"
    train.architecture.value = name
    assert train.encoder.value == own
    assert not train.encoder.enabled
    train.architecture.value = "fpn"
    assert train.encoder.enabled
    assert train.encoder.value == "resnet34"
    train.encoder.value = None
    train.architecture.value = name
    train.architecture.value = "unet"
    assert train.encoder.value is None
    assert text(train.encoder) == "tf_efficientnet_lite0 (usual)"


def test_encoder_and_weights_say_what_goes_with_each_other(train: Train) -> None:
    train.weights.value = "csmask-4b-l1c"
    assert text(train.encoder) == "efficientnet-b4 (usual)"
    train.weights.value = None
    assert text(train.encoder) == "tf_efficientnet_lite0 (usual)"
    train.encoder.value = "classic"
    assert text(train.weights) == "none (usual)"


def test_it_learns_with_the_settings_and_nothing_is_left_over(viewer: napari.Viewer, train: Train) -> None:
    add_nuclei(viewer)
    train.architecture.value = "unet-classic"
    train.upsampling.value, train.width.value = "max_unpool", 8
    given = train.prepare().task.__self__.settings  # type: ignore[attr-defined]
    assert "encoder" not in given
    train(**SHORT)
    model = train.wait(60).model
    assert (model.architecture, model.encoder) == ("unet-classic", "classic")
    assert (model.upsampling, model.width, model.depth) == ("max_unpool", 8, 4)
    train.architecture.value = "unet"
    train()
    assert train.wait(60).model == ModelConfig()
    assert notification_manager.records == []


def test_values_of_layers_with_a_place_on_earth_are_presumed_to_mean_the_same(
    viewer: napari.Viewer, train: Train
) -> None:
    add_nuclei(viewer)
    assert "normalization" not in train.job().settings or train.job().settings["normalization"] == "auto"
    place = {"crs": "EPSG:32615", "transform": (30.0, 0.0, 0.0, 0.0, -30.0, 0.0), "height": 128, "width": 128}
    viewer.layers["cells"].metadata["geo"] = place
    assert train.job().settings["normalization"] == "auto-dataset"
    train.normalization.value = "image"
    assert train.job().settings["normalization"] == "image"


def test_where_little_is_painted_the_head_is_recommended(viewer: napari.Viewer, train: Train) -> None:
    add_nuclei(viewer)
    assert "mostly better, in seconds" not in train._meaning.value
    strokes = np.zeros((128, 128), np.uint8)
    strokes[10:14, 10:40], strokes[60:64, 10:40] = 1, 2
    viewer.add_labels(strokes, name="strokes")
    train.labels.value = viewer.layers["strokes"]
    assert train.zero.value == "unlabelled"
    assert "For so few strokes, 'fit a pixel head" in train._meaning.value
    train.transfer.value = "head"
    assert "mostly better, in seconds" not in train._meaning.value


def test_a_head_that_is_fitted_goes_with_the_network_that_can_be(viewer: napari.Viewer, train: Train) -> None:
    train.transfer.value = "head"
    assert train.architecture.value == "pixel"
    train.architecture.value = "unet"
    assert train.transfer.value == "head"  # the pixel head, and this network behind it
    train.transfer.value = TrainingConfig().transfer
    train.architecture.value = "pixel"
    assert train.transfer.value == "head"
    add_nuclei(viewer)
    train()
    assert train.wait(120).model.architecture == "pixel"
    train.start.value = next(iter(segmenters))
    train.architecture.value = "unet"
    assert train.transfer.value == "head"  # of the segmenter that it starts from


def test_by_name_the_order_does_not_matter(viewer: napari.Viewer, train: Train) -> None:
    add_nuclei(viewer)
    train(upsampling="max_unpool", depth=2, width=8, architecture="unet-classic", **SHORT)
    assert train.wait(60).model.upsampling == "max_unpool"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"architecture": "fpn", "depth": 3}, "`depth` can be chosen for unet, .*, not for 'fpn'"),
        ({"architecture": "unet-classic", "encoder": "resnet18"}, "made of its own encoder, 'classic'"),
        ({"upsampling": "nearest", "upsampling_kernel": 4}, "`upsampling_kernel` belongs to upsampling 'transposed'"),
    ],
)
def test_what_does_not_fit_is_refused_not_ignored(
    viewer: napari.Viewer, train: Train, given: dict[str, Any], sentence: str
) -> None:
    add_nuclei(viewer)
    with pytest.raises(InputError, match=sentence):
        train(**given)
    assert not train.running


def test_fields_that_were_replaced_are_gone(opened: Train, qtbot: QtBot) -> None:
    def widgets() -> int:
        qtbot.wait(20)
        return len(opened.native.findChildren(QWidget))

    before = widgets()
    for _ in range(3):
        for name in ("unet-classic", "deeplabv3", "unet"):
            opened.architecture.value = name
    assert widgets() == before
