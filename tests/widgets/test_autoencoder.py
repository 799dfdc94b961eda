"""The Autoencoder widget in a real viewer: it learns, shows, saves, and says what is wrong."""

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import napari
import numpy as np
import pytest
from napari.layers import Image, Labels

import napari_fcn as fcn
from napari_fcn.errors import FcnError, InputError
from napari_fcn.pretraining_config import KIND_SETTINGS, kind_settings
from napari_fcn.registry import autoencoder_kinds
from napari_fcn.widgets import Autoencoder

from .geometries import IMAGES

QUICK = {"encoder": "classic", "depth": 1, "code": 4, "steps": 2, "batch_size": 2, "patch_size": 32}


@pytest.fixture
def widget(viewer: napari.Viewer) -> Autoencoder:
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Autoencoder")
    return widget


def picture(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


@pytest.mark.both_qt
def test_from_layers_to_every_output(viewer: napari.Viewer, widget: Autoencoder, tmp_path: Path) -> None:
    image = viewer.add_image(picture(64, 70), name="cells", scale=(0.5, 0.25), translate=(3, 4), units=("um", "um"))
    viewer.add_image(picture(64, 64), name="more")
    widget.add_image(viewer.layers["more"])
    widget(image=image, kind="denoising", strength=0.3, **QUICK)
    autoencoder = widget.wait(300)
    assert isinstance(autoencoder, fcn.Autoencoder)
    assert autoencoder.training["strength"] == 0.3
    assert autoencoder.history["steps"] == 2
    made = {}
    for output in ("reconstruction", "residual", "denoised", "code", "draft"):
        widget.show_output(output)
        made[output] = widget.wait(300)
        assert made[output].name == f"cells {output}"
        np.testing.assert_allclose(made[output].scale, image.scale)
        np.testing.assert_allclose(made[output].translate, image.translate)
        assert made[output].units == image.units
    assert isinstance(made["draft"], Labels)
    assert made["code"].rgb
    assert made["denoised"].data.dtype == np.uint8
    residual = image.data - made["reconstruction"].data
    np.testing.assert_allclose(made["residual"].data, residual, atol=1e-3)
    widget.save(tmp_path / "a.safetensors")
    widget.autoencoder = None
    widget.load(tmp_path / "a.safetensors")
    assert widget.wait(30).to_json() == autoencoder.to_json()
    _, train = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
    train.start_from(tmp_path / "a.safetensors")
    train.wait(30)
    assert (train.encoder.value, train.weights.value) == ("classic", str(tmp_path / "a.safetensors"))


class Blurred:
    """Stands in for an autoencoder whose reconstruction is half of the image."""

    def steps(
        self, output: str, image: Any, axes: str, *, classes: int, detail: str | None
    ) -> Generator[float, None, np.ndarray]:
        yield 0.5
        half = np.asarray(image, np.float32) / 2
        if output in ("code", "draft"):
            plane = half.mean(axis=axes.index("C")) if "C" in axes else half
            return np.stack([plane] * 3, -1) if output == "code" else np.full(plane.shape, 1 + classes // 4, np.uint8)
        return half


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari shows such layers as well as it can
def test_outputs_lie_on_the_image(viewer: napari.Viewer, widget: Autoencoder) -> None:
    widget.autoencoder = cast(Any, Blurred())
    for name in (
        "rotated",
        "colours",
        "channels",
        "turned in space",
        "time and slices",
        "pyramid of channels from dask",
    ):
        data, options, _, axes = IMAGES[name]
        image = viewer.add_image(data, name="cells", **options)
        widget.axes.value = axes
        kept = [index for index, axis in enumerate(axes[:-1] if image.rgb else axes) if axis != "C"]
        for output in ("reconstruction", "code", "draft"):
            widget.show_output(output)
            layer = widget.wait(300)
            # Colours that are made of channels, and labels, have no axis of channels.
            shown = kept if output in ("code", "draft") else range(image.ndim)
            assert layer.ndim == len(shown), (name, output)
            assert layer.units == tuple(image.units[axis] for axis in shown)
            assert layer.axis_labels == tuple(image.axis_labels[axis] for axis in shown)
            for corner in (0, 5):
                position = np.zeros(image.ndim)
                position[list(shown)] = corner
                place = np.asarray(image.data_to_world(position))[list(shown)]
                np.testing.assert_allclose(layer.data_to_world([corner] * layer.ndim), place, atol=1e-9)
            if output == "reconstruction" and image.rgb:
                np.testing.assert_allclose(layer.data, np.asarray(data) / 2, atol=1e-6)
        viewer.layers.clear()


@pytest.mark.parametrize(("dtype", "brightest"), [(np.float32, 1), (np.uint8, 255), (np.uint16, 65535)])
def test_colours_come_back_in_the_images_own_range(
    viewer: napari.Viewer, widget: Autoencoder, dtype: type, brightest: int
) -> None:
    image = viewer.add_image((picture(40, 48, 3) / 255 * brightest).astype(dtype), name="cells", rgb=True)
    widget(image=image, kind="denoising", **QUICK)
    widget.wait(300)
    for output in ("reconstruction", "denoised"):
        widget.show_output(output)
        made = widget.wait(300).data
        assert made.dtype == dtype
        assert 0 <= made.min() <= made.max() <= brightest
        assert made.mean() == pytest.approx(brightest / 2, rel=0.2)


@pytest.mark.both_qt
def test_settings_are_those_of_the_kind(widget: Autoencoder) -> None:
    widget.native.show()
    for kind in autoencoder_kinds:
        widget.kind.value = kind
        assert {name for name in KIND_SETTINGS if name not in widget._withheld} == set(kind_settings(kind))


def test_what_is_wrong_is_said(viewer: napari.Viewer, widget: Autoencoder) -> None:
    with pytest.raises(InputError, match="learns from an image layer"):
        widget()
    viewer.add_image(picture(64, 64), name="cells")
    with pytest.raises(FcnError, match="There is no autoencoder yet"):
        widget.show_output("code")
    with pytest.raises(InputError, match="There is no autoencoder to save yet"):
        widget.save("nowhere.safetensors")


@pytest.mark.both_qt
def test_cancelling_keeps_what_was_learnt(viewer: napari.Viewer, widget: Autoencoder) -> None:
    viewer.add_image(picture(64, 64), name="cells")
    widget.native.show()
    widget(kind="plain", **{**QUICK, "steps": 100_000})
    worker = widget._worker
    worker.yielded.connect(lambda progress: "Step" in progress.text and widget.cancel())
    autoencoder = widget.wait(300)
    assert 0 < autoencoder.history["steps"] < 100_000
    assert isinstance(viewer.layers["cells"], Image)
