"""The Autoencoder widget: learn from image layers that nobody labelled, and look at what was learnt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from magicgui.widgets import ComboBox, PushButton
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels
from qtpy.QtWidgets import QFileDialog

from ..autoencoder import DETAILS, OUTPUTS
from ..config import DataConfig, ModelConfig, TrainingConfig
from ..errors import InputError
from ..options import Option, options
from ..pretraining_config import (
    KIND_SETTINGS,
    MODEL_SETTINGS,
    PRETRAINING_DEPTH,
    PretrainingConfig,
    kind_settings,
    split_pretraining,
)
from . import layers
from .autoencoder_job import OutputJob, PretrainingJob, PretrainingOutcome, load
from .earth import with_normalization
from .fields import field, layer_field
from .further_scripts import pretraining_script
from .panel import Panel, Work, values
from .saving import ask_and_save
from .script import Script, copy_script, script_button
from .worker import Worker

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from ..autoencoder import Autoencoder as Model

__all__ = ["Autoencoder"]

ESSENTIAL = ("kind", "encoder", "weights", "time_budget")
DATA_SETTINGS = ("axes", "channels", "nodata", "normalization")


class Autoencoder(Panel):
    """Learn from image layers without labels, and show what comes of it.

    Fields carry the names of the settings of `napari_fcn.pretrain`; `image` is a layer, and `add_image` adds more of
    them. Calling the widget starts to learn in a thread and returns its worker; `wait` returns the autoencoder. `show`
    starts to make the chosen `output` of the chosen `image`; then `wait` returns a layer.

    Parameters
    ----------
    napari_viewer : where layers go.

    Examples
    --------
    >>> dock, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Autoencoder")  # doctest: +SKIP
    >>> widget(image=viewer.layers["tissue"], time_budget=60); widget.wait()  # doctest: +SKIP
    >>> widget.show_output("residual"); layer = widget.wait()  # doctest: +SKIP
    """

    memory = "autoencoder"
    remembered = ("kind", "time_budget", "output")

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        model, rest = options(ModelConfig), options(DataConfig, PretrainingConfig)
        self._settings = {name: model[name] for name in MODEL_SETTINGS}
        self._settings |= {n: rest[n] for n in (*DATA_SETTINGS, *options(PretrainingConfig))}
        self.autoencoder: Model | None = None
        usual = ModelConfig(architecture="autoencoder", depth=PRETRAINING_DEPTH)
        defaults = {name: default for name, (default, _) in self._settings.items()}
        defaults["time_budget"] = TrainingConfig().time_budget
        made: dict[str, Any] = {
            name: field(name, defaults[name], option, usual=getattr(usual, name, None))
            for name, (_, option) in self._settings.items()
        }
        made["time_budget"].native.setSuffix(" s")
        made["time_budget"].native.setDecimals(0)
        made["encoder"].show_usual(usual.encoder)
        made["weights"].show_usual(usual.weights)
        self._guessed_axes = ""
        image = layer_field("image", Image, "What to learn from, and what to show something of")
        self._more = PushButton(text="Add another image…", name="more", tooltip="Learn from several images at once")
        output = field("output", "reconstruction", Option("what to show of the image", choices=OUTPUTS))
        detail = field(
            "detail", None, Option("what colours and drafts are made of", choices=DETAILS), usual="automatic"
        )
        classes = field(
            "classes", 4, Option("how many kinds of places a draft has", kind="integer", minimum=2, maximum=50)
        )
        self._show_button = PushButton(
            text="Show", name="show_button", enabled=False, tooltip="Make the chosen output of the image a layer"
        )
        load_button = PushButton(text="Load…", name="load_button", tooltip="Use an autoencoder from a file")
        essential: list[Widget] = [image, self._more, *(made.pop(name) for name in ESSENTIAL)]
        essential += [output, classes, self._show_button, load_button]
        super().__init__(essential, [*made.values(), detail], "Learn", [script_button("images")])
        self._extra: list[ComboBox] = []
        self._save_button = PushButton(
            text="Save…", name="save_button", enabled=False, tooltip="Keep it as a file, which Train takes as weights"
        )
        self._buttons.append(self._save_button)
        self._more.clicked.connect(lambda: self.add_image())
        self._save_button.clicked.connect(
            lambda: self.attempt(lambda: ask_and_save(self.native, "autoencoder", self.save))
        )
        self._show_button.clicked.connect(lambda: self.attempt(self.show_output))
        load_button.clicked.connect(lambda: self.attempt(self._load_clicked))
        image.changed.connect(self._image_changed)
        output.changed.connect(self._output_changed)
        self.kind.changed.connect(self._kind_changed)
        for name in ("steps", "epochs"):
            getattr(self, name).changed.connect(self._budget_changed)
        self.script_button.clicked.connect(lambda: self.attempt(lambda: copy_script(self, self.script)))
        self.recall()
        self._kind_changed()
        self._image_changed()
        self._output_changed()

    def __call__(self, **values: Any) -> Worker:
        """As for every panel; the kind is set first, because others depend on it."""
        return super().__call__(**dict(sorted(values.items(), key=lambda item: item[0] != "kind")))

    def add_image(self, image: Image | None = None) -> None:
        """Add a field for one more image, and choose this layer."""
        box = layer_field(f"image_{len(self._extra) + 2}", Image, "One more image to learn from, or none")
        self._form.insert(self._form.index(self._more), box)
        box.reset_choices()
        if image is not None:
            box.value = image
        self._extra.append(box)

    def job(self) -> tuple[PretrainingJob, list[Image]]:
        """What is to be learnt, and the layers that it is learnt from.

        Raises
        ------
        InputError
            There is no image, or images and settings do not fit together.
        """
        images: list[Image] = [box.value for box in (self.image, *self._extra) if box.value is not None]
        if not images:
            raise InputError("An autoencoder learns from an image layer. Got none; open an image first.")
        settings = values(self._form, self._settings)
        if "steps" in settings or "epochs" in settings:
            settings.pop("time_budget", None)
        typed = settings.get("axes")
        found: dict[str, Image] = {}
        for image in images:
            guess = typed if typed not in (None, self._guessed_axes) else layers.image_axes(image)
            axes = layers.check_axes(str(guess), tuple(layers.array(image).shape), image.name)
            found.setdefault(axes, image)
        if len(found) > 1:
            (first, a), (second, b), *_ = found.items()
            raise InputError(
                f"All images must have the same axes. Got {first} for '{a.name}' and {second} for '{b.name}'."
            )
        settings["axes"] = next(iter(found))
        split_pretraining(settings)
        settings = with_normalization(settings, images)
        return PretrainingJob([layers.array(image) for image in images], settings), images

    def prepare(self) -> Work:
        """Read layers and settings."""
        job, images = self.job()
        self.remember()
        return Work(job.run, f"learning from '{images[0].name}' without labels", self._keep)

    def script(self, folder: str | Path) -> Script:
        """The Python and the command line that repeat the learning.

        Parameters
        ----------
        folder : where the images go.
        """
        job, images = self.job()
        return pretraining_script(job, [image.name for image in images], self._settings, Path(folder))

    def show_output(self, output: str | None = None) -> Worker:
        """Start to make an output, the chosen one when None, of the chosen image; `wait` returns its layer.

        Raises
        ------
        FcnError
            There is no image or nothing was learnt yet.
        """
        if output is not None:
            self.output.value = output
        return self._start(self._prepare_output)

    def load(self, path: str | Path) -> Worker:
        """Start to load an autoencoder from a file; `wait` returns it."""
        file = Path(path)
        return self._start(lambda: Work(partial(load, file), f"loading of {file.name}", self._loaded))

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the autoencoder; `weights` of Train takes its encoder from there.

        Raises
        ------
        InputError
            Nothing was learnt yet.
        OutputError
            The file exists and `overwrite` is not set, or cannot be written.
        """
        if self.autoencoder is None:
            raise InputError("There is no autoencoder to save yet; learn first.")
        self.autoencoder.save(path, overwrite=overwrite)

    def _prepare_output(self) -> Work:
        image: Image | None = self.image.value
        if image is None:
            raise InputError("There is no image layer to show something of; open an image first.")
        if self.autoencoder is None:
            raise InputError("There is no autoencoder yet; learn first, or load one from a file.")
        array = layers.array(image)
        axes = layers.check_axes(self.axes.value or layers.image_axes(image), tuple(array.shape), image.name)
        output = self.output.value
        job = OutputJob(self.autoencoder, output, array, axes, self.classes.value, self.detail.value)
        name = f"{image.name} {output}"
        return Work(job.run, f"{output} of '{image.name}'", self._layer_maker(image, axes, output, name))

    def _layer_maker(self, image: Image, axes: str, output: str, name: str) -> Callable[[Any], tuple[Any, str]]:
        """What turns an array into a layer at the place of the image, which may be gone then."""
        spatial, rgb = layers.geometry(image, axes), bool(image.rgb)
        whole = {key: getattr(image, key) for key in ("scale", "translate", "rotate", "shear", "units", "axis_labels")}
        whole["affine"] = image.affine.affine_matrix

        def finish(made: Any) -> tuple[Any, str]:
            if made is None:
                return self.result, "Cancelled; no layer was added."
            if output == "draft":
                layer: Any = Labels(made, name=name, **spatial)
            elif output == "code":
                layer = Image(np.nan_to_num(made), name=name, rgb=True, **spatial)
            elif rgb and output == "residual":  # differences have no colour to show
                layer = Image(np.sqrt(np.square(made).mean(axis=-1)), name=name, colormap="magma", **spatial)
            elif rgb:
                layer = Image(_displayable(made, image.dtype), name=name, rgb=True, **whole)
            else:
                layer = Image(made, name=name, **whole, **({"colormap": "PiYG"} if output == "residual" else {}))
                if output == "residual":
                    reach = float(np.nanpercentile(np.abs(made), 99.5)) or 1.0
                    layer.contrast_limits = (-reach, reach)
            layer = self._viewer.add_layer(layer)
            return layer, f"Added '{layer.name}'."

        return finish

    def _keep(self, outcome: PretrainingOutcome | None) -> tuple[Any, str]:
        if outcome is None:
            return self.result, "Cancelled before learning began; nothing was learnt."
        self.autoencoder = outcome.autoencoder
        self._enable()
        return outcome.autoencoder, outcome.summary

    def _loaded(self, autoencoder: Model | None) -> tuple[Any, str]:
        if autoencoder is None:
            return self.result, "Cancelled; nothing was loaded."
        self.autoencoder = autoencoder
        self._enable()
        return autoencoder, autoencoder.describe()

    def _enable(self) -> None:
        if not self._gone:
            self._save_button.enabled = self._show_button.enabled = True

    def _image_changed(self) -> None:
        image = self.image.value
        if image is not None and self.axes.value in (None, self._guessed_axes):
            self._guessed_axes = layers.image_axes(image)
            self.axes.value = self._guessed_axes

    def _output_changed(self) -> None:
        self.classes.enabled = self.output.value == "draft"

    def _kind_changed(self) -> None:
        """Offer the settings that the kind has, at their usual values."""
        having = kind_settings(self.kind.value)
        usual = PretrainingConfig(kind=self.kind.value)
        for name in KIND_SETTINGS:
            value = getattr(usual, name)
            widget = field(name, None, self._settings[name][1], usual="automatic" if value is None else value)
            self.exchange(widget, offered=name in having)

    def _budget_changed(self) -> None:
        self.time_budget.enabled = self.steps.value is None and self.epochs.value is None

    def _load_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self.native, "Load autoencoder", "", "Autoencoders (*.safetensors);;All files (*)"
        )
        if path:
            self.load(path)


def _displayable(colours: npt.NDArray[Any], dtype: Any) -> npt.NDArray[Any]:
    """Colours within what napari shows of an image: integers of its dtype in all their range, floats from 0 to 1."""
    values: npt.NDArray[Any] = np.nan_to_num(colours)
    if np.dtype(dtype).kind in "iu":
        limits = np.iinfo(dtype)
        values, low, high = values.round(), limits.min, limits.max
    else:
        dtype, low, high = np.float32, 0, 1
    made: npt.NDArray[Any] = values.clip(low, high).astype(dtype)
    return made
