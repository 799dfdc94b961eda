"""The Train widget: from image and labels layers to a segmenter."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.widgets import ComboBox, PushButton
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog

from ..config import ARCHITECTURE_SETTINGS, DataConfig, ModelConfig, TrainingConfig, settings_of
from ..errors import InputError
from ..options import options, split
from ..registry import architectures
from . import layers
from .fields import field, layer_field
from .panel import Panel, Work, values
from .store import segmenters
from .training_job import TrainingJob, TrainingOutcome
from .worker import Worker

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["Train"]

ESSENTIAL = ("zero", "architecture", "encoder", "transfer", "time_budget")


class Train(Panel):
    """Learn to segment from image and labels layers.

    Fields carry the names of the settings of `napari_fcn.train`; `image` and `labels` are layers, and `add_pair` adds
    more of them. Calling the widget starts training in a thread and returns its worker; `wait` returns the segmenter.

    Settings that only some architectures have are shown for these alone, and start anew, at their usual values, when
    another architecture is chosen.

    Examples
    --------
    >>> dock, train = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")  # doctest: +SKIP
    >>> train(image=viewer.layers["nuclei"], labels=viewer.layers["nuclei labels"], time_budget=20)  # doctest: +SKIP
    >>> segmenter = train.wait()  # doctest: +SKIP
    >>> train.save("nuclei.safetensors")  # doctest: +SKIP
    """

    result: Segmenter | None

    def __init__(self) -> None:
        self._settings = options(ModelConfig, DataConfig, TrainingConfig)
        defaults = {name: default for name, (default, _) in self._settings.items()}
        # What is used when nobody names a limit.
        defaults["time_budget"] = TrainingConfig().time_budget
        fields = {name: field(name, defaults[name], option) for name, (_, option) in self._settings.items()}
        fields["zero"].label = "Meaning of 0"
        fields["time_budget"].native.setSuffix(" s")
        fields["time_budget"].native.setDecimals(0)
        self._guessed_axes = ""
        self._own_encoder: str | None = None
        self._chosen_encoder: str | None = None

        image = layer_field("image", Image, "What to learn from; the channels of an RGB image belong to it")
        labels = layer_field("labels", Labels, "What you painted: one value for each class")
        self._more = PushButton(text="Add another image…", name="more", tooltip="Learn from several images at once")
        essential: list[Widget] = [image, labels, self._more, *(fields.pop(name) for name in ESSENTIAL)]
        super().__init__(essential, fields.values(), "Train")
        self._extra: list[tuple[ComboBox, ComboBox]] = []
        self._save_button = PushButton(
            text="Save…", name="save_button", enabled=False, tooltip="Keep the segmenter as a file"
        )
        self._buttons.append(self._save_button)

        self._more.clicked.connect(lambda: self.add_pair())
        self._save_button.clicked.connect(lambda: self.attempt(self._save_clicked))
        image.changed.connect(self._layers_changed)
        labels.changed.connect(self._labels_changed)
        for name in ("steps", "epochs"):
            getattr(self, name).changed.connect(self._budget_changed)
        self.architecture.changed.connect(self._architecture_changed)
        for name in ("encoder", "weights"):
            getattr(self, name).changed.connect(self._show_usual)
        self._architecture_changed()
        self._labels_changed()

    def __call__(self, **values: Any) -> Worker:
        """As for every panel; the architecture is set first, because others depend on it."""
        return super().__call__(**dict(sorted(values.items(), key=lambda item: item[0] != "architecture")))

    @property  # type: ignore[misc]  # magicgui's can also be set
    def labels(self) -> Any:
        """The field of the labels layer.

        It hides magicgui's own property of that name, whether fields have labels, which only building a widget needs.
        """
        return self._form.get_widget("labels") if self._initialized else self._labels

    @property  # type: ignore[misc]
    def width(self) -> Any:
        """The field of the setting `width`; it hides the width in pixels, which `native` tells too."""
        return self._form.get_widget("width")

    def add_pair(self, image: Image | None = None, labels: Labels | None = None) -> None:
        """Add fields for one more image and its labels, and choose these layers."""
        number = len(self._extra) + 2
        pair = (
            layer_field(f"image_{number}", Image, "One more image to learn from, or none"),
            layer_field(f"labels_{number}", Labels, "The labels of that image"),
        )
        position = self._form.index(self._more)
        for offset, (widget, layer) in enumerate(zip(pair, (image, labels), strict=True)):
            self._form.insert(position + offset, widget)
            widget.reset_choices()
            if layer is not None:
                widget.value = layer
        self._extra.append(pair)

    def pairs(self) -> list[tuple[Image, Labels]]:
        """The chosen layers; extra fields that are empty do not count.

        Raises
        ------
        InputError
            If an image or its labels are missing.
        """
        chosen = [(self.image.value, self.labels.value)]
        chosen += [(image.value, labels.value) for image, labels in self._extra if image.value or labels.value]
        for image, labels in chosen:
            if image is None:
                raise InputError("Training needs an image layer. Got none; open an image first.")
            if labels is None:
                raise InputError(
                    f"Training needs a labels layer for '{image.name}'. Got none; add one and paint classes."
                )
        return chosen

    def prepare(self) -> Work:
        """Read layers and settings; the labels are copied, so painting can go on."""
        pairs = self.pairs()
        settings = values(self._form, self._settings)
        if settings.get("encoder") == self._own_encoder:
            settings.pop("encoder", None)
        if "steps" in settings or "epochs" in settings:
            settings.pop("time_budget", None)
        settings["axes"] = self._common_axes(pairs, settings.get("axes"))
        split(settings, ModelConfig, DataConfig, TrainingConfig)
        names: dict[int, str] = {}
        for _, labels in pairs:
            names |= layers.class_names(labels)
        image, labels = pairs[0]
        job = TrainingJob(
            images=[layers.array(image) for image, _ in pairs],
            labels=[layers.snapshot(labels) for _, labels in pairs],
            names=names,
            colormap=labels.colormap,
            pixel_size=layers.pixel_size(image, settings["axes"]),
            settings=settings,
        )
        return Work(job.run, f"training of {settings['architecture']} on '{image.name}'", self._offer)

    def _offer(self, outcome: TrainingOutcome | None) -> tuple[Segmenter | None, str]:
        """Offer the segmenter to Segment."""
        if outcome is None:
            return self.result, "Cancelled before learning began; nothing was learnt."
        if not outcome.new:  # Segment goes on with the one that there was
            return outcome.segmenter, outcome.summary
        name = segmenters.add_trained(outcome.segmenter, outcome.architecture, outcome.score)
        if not self._gone:
            self._save_button.enabled = True
        return outcome.segmenter, f"{outcome.summary}\nSegment offers it as '{name}'."

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the segmenter that was trained last.

        Raises
        ------
        InputError
            If nothing was trained yet.
        OutputError
            If the file exists and `overwrite` is not set, or cannot be written.
        """
        if self.result is None:
            raise InputError("There is no segmenter to save yet; train one first.")
        self.result.save(path, overwrite=overwrite)

    def _common_axes(self, pairs: list[tuple[Image, Labels]], typed: str | None) -> str:
        edited = typed is not None and typed != self._guessed_axes
        found: dict[str, Image] = {}
        for image, labels in pairs:
            guess = str(typed) if edited else layers.image_axes(image, labels)
            axes = layers.check_axes(guess, tuple(layers.array(image).shape), image.name)
            layers.check_labels(axes, image, labels)
            found.setdefault(axes, image)
        if len(found) > 1:
            (first, a), (second, b), *_ = found.items()
            raise InputError(
                f"All images must have the same axes. Got {first} for '{a.name}' and {second} for '{b.name}'."
            )
        return next(iter(found))

    def _labels_changed(self) -> None:
        image, labels = self.image.value, self.labels.value
        if image is not None and labels is not None and not layers.fits(image, labels):
            fitting = [other for other in self.image.choices if layers.fits(other, labels)]
            if fitting:
                self.image.value = max(fitting, key=lambda other: other.visible)
        self._layers_changed()

    def _layers_changed(self) -> None:
        image, labels = self.image.value, self.labels.value
        if image is not None and self.axes.value in (None, self._guessed_axes):
            self._guessed_axes = layers.image_axes(image, labels)
            self.axes.value = self._guessed_axes
        zero = None if labels is None else layers.facts(labels).get("zero")
        if zero in self.zero.choices:
            self.zero.value = zero

    def _architecture_changed(self) -> None:
        """Offer the settings that the architecture has, at their usual values, and no encoder where it has its own."""
        usual, having = ModelConfig(architecture=self.architecture.value), settings_of(self.architecture.value)
        for name in ARCHITECTURE_SETTINGS:
            allowed = having.get(name)
            choices = allowed if isinstance(allowed, tuple) else None
            value = getattr(usual, name)
            widget = field(
                name, None, self._settings[name][1], usual="automatic" if value is None else value, allowed=choices
            )
            self.exchange(widget, offered=name in having)
        self._offer_encoder()
        self._show_usual()

    def _offer_encoder(self) -> None:
        """Show the encoder of an architecture that goes with no other, and afterwards what was chosen before."""
        before, own = self._own_encoder, architectures[self.architecture.value].details.get("encoder")
        self._own_encoder = own
        if before is None and own is not None:
            self._chosen_encoder = self.encoder.value
        if own != before:
            self.encoder.value = self._chosen_encoder if own is None else own
        self.encoder.enabled = own is None

    def _show_usual(self) -> None:
        """Say which encoder and weights are taken when none are chosen; each may depend on the other."""
        chosen = {"architecture": self.architecture.value}
        encoder = None if self._own_encoder else self.encoder.value
        weights = self.weights.value
        self.encoder.show_usual(ModelConfig(**chosen, **({"weights": weights} if weights else {})).encoder)
        self.weights.show_usual(ModelConfig(**chosen, **({"encoder": encoder} if encoder else {})).weights)

    def _budget_changed(self) -> None:
        self.time_budget.enabled = self.steps.value is None and self.epochs.value is None

    def _save_clicked(self) -> None:
        typed, _ = QFileDialog.getSaveFileName(
            self.native, "Save segmenter", "segmenter.safetensors", "Segmenters (*.safetensors)"
        )
        if typed:
            path = Path(typed).with_suffix(".safetensors")
            # The dialog has asked about the file that was typed, not about the one with another ending.
            self.save(path, overwrite=path == Path(typed))
            show_info(f"Saved as {path.name}.")
