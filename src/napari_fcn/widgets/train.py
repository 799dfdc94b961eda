"""The Train widget: from image and labels layers to a segmenter."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, PushButton
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog

from ..config import DataConfig, ModelConfig, TrainingConfig, options, split
from ..errors import InputError
from . import layers
from .fields import field, layer_field
from .panel import Panel, Progress, Work, values
from .store import segmenters

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["Train"]

ESSENTIAL = ("zero", "architecture", "encoder", "transfer", "time_budget")


class Train(Panel):
    """Learn to segment from image and labels layers.

    Fields carry the names of the settings of `napari_fcn.train`; `image` and `labels` are layers, and `add_pair` adds
    more of them. Calling the widget starts training in a thread and returns its worker; `wait` returns the segmenter.

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
        self._labels_changed()

    @property  # type: ignore[misc]  # magicgui's can also be set
    def labels(self) -> Any:
        """The field of the labels layer.

        It hides magicgui's own property of that name, whether fields have labels, which only building a widget needs.
        """
        return self._form.get_widget("labels") if self._initialized else self._labels

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
        if "steps" in settings or "epochs" in settings:
            settings.pop("time_budget", None)
        settings["axes"] = self._common_axes(pairs, settings.get("axes"))
        split(settings, ModelConfig, DataConfig, TrainingConfig)
        names: dict[int, str] = {}
        for _, labels in pairs:
            names |= layers.class_names(labels)
        image, labels = pairs[0]
        job = _Job(
            images=[layers.array(image) for image, _ in pairs],
            labels=[layers.snapshot(labels) for _, labels in pairs],
            names=names,
            colormap=labels.colormap,
            pixel_size=layers.pixel_size(image, settings["axes"]),
            settings=settings,
        )
        return Work(job.run, f"training of {settings['architecture']} on '{image.name}'", self._offer)

    def _offer(self, outcome: _Outcome | None) -> tuple[Segmenter | None, str]:
        """Offer the segmenter to Segment."""
        if outcome is None:
            return self.result, "Cancelled before learning began; nothing was learnt."
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


@dataclass(frozen=True)
class _Outcome:
    segmenter: Segmenter
    architecture: str
    score: float | None
    summary: str


@dataclass(frozen=True)
class _Job:
    """All that training needs, without widgets or layers."""

    images: list[Any]
    labels: list[np.ndarray[Any, Any]]
    names: Mapping[int, str]
    colormap: Any
    pixel_size: float | None
    settings: Mapping[str, Any]

    def run(self, stop: threading.Event) -> Generator[Progress, None, _Outcome | None]:
        """Train, in the worker's thread; only here torch is loaded."""
        from .. import api

        yield Progress(None, "Preparing…")
        present = {int(value) for labels in self.labels for value in np.unique(labels)}
        if stop.is_set():
            return None
        training = api.prepare_training(
            self.images,
            self.labels,
            class_names=self.names,
            class_colors=layers.class_colors(self.colormap, present),
            pixel_size=self.pixel_size,
            **self.settings,
        )
        view = _View()
        run = training.run()
        try:
            for event in run:
                view = view.after(event)
                yield view.progress()
                if stop.is_set():
                    break
        finally:
            run.close()
        end = training.result
        score = None if end is None or end.best is None else end.best.mean_iou
        return _Outcome(
            training.segmenter(), str(self.settings["architecture"]), score, "" if end is None else end.summary
        )


@dataclass(frozen=True)
class _View:
    """What is known of a running training, as text."""

    device: str = ""
    notes: tuple[str, ...] = ()
    step: int = 0
    loss: float | None = None
    score: float | None = None
    fraction: float | None = None
    left: float | None = None

    def after(self, event: Any) -> _View:
        from ..training import events

        if isinstance(event, events.Started):
            return replace(self, device=event.device, notes=event.notes, left=event.seconds)
        if isinstance(event, events.Validated):
            return replace(self, score=event.scores.mean_iou)
        if isinstance(event, events.Step):
            # Nothing is known about the end before something is done.
            left = event.seconds * (1 / event.progress - 1) if event.progress > 0 else self.left
            return replace(self, step=event.step, loss=event.loss, fraction=event.progress, left=left)
        return self

    def progress(self) -> Progress:
        facts = [f"step {self.step}" if self.step else "first step"]
        facts += [] if self.loss is None else [f"loss {self.loss:.3f}"]
        facts += [] if self.score is None else [f"score {self.score:.2f}"]
        facts += [] if self.left is None else [f"{self.left:.0f} s left"]
        facts += [f"on {self.device}"] if self.device else []
        return Progress(self.fraction, "\n".join([", ".join(facts).capitalize(), *self.notes]))
