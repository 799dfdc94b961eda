"""The fields of Train: what they offer, and how they depend on each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, PushButton
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels

from ..config import ARCHITECTURE_SETTINGS, DataConfig, ModelConfig, TrainingConfig, settings_of, usual_with
from ..errors import InputError
from ..options import options
from ..registry import architectures
from . import layers, preferences
from .class_table import meaning_of_zero
from .fields import field, groups, layer_field, slim
from .pair_row import PairRow
from .panel import Panel, values, wrapping_label
from .store import segmenters
from .worker import Worker

__all__ = ["TrainForm"]

ESSENTIAL = ("zero", "architecture", "transfer", "time_budget")


class TrainForm(Panel):
    """Layers and settings to train with.

    Settings that only some architectures have are shown for these alone, and start anew, at their usual values, when
    another architecture is chosen.
    """

    memory = "train"
    remembered = ("architecture", "transfer", "time_budget", "preview")

    def __init__(self, action: str, further: Iterable[Widget]) -> None:
        self._settings = options(ModelConfig, DataConfig, TrainingConfig)
        self._guessed_axes = ""
        self._guessed_zero = "background"
        self._painted: Labels | None = None
        self._own_encoder: str | None = None
        self._chosen_encoder: str | None = None
        self._pairs: list[PairRow] = []
        fields = self._setting_fields()
        image = layer_field("image", Image, "What to learn from; the channels of an RGB image belong to it")
        labels = layer_field("labels", Labels, "What you painted: one value for each class")
        self._more = PushButton(text="Add another image…", name="more", tooltip="Learn from several images at once")
        start = slim(
            ComboBox(
                name="start",
                label="Start from",
                choices=lambda _: [("A new network", None), *((name, name) for name in segmenters)],
                nullable=False,
                tooltip="A new network on a pretrained encoder, or a segmenter of this session",
            )
        )
        self.file_button = PushButton(
            text="File…",
            name="file_button",
            tooltip="Start from a file: a segmenter, or an autoencoder, whose encoder is taken",
        )
        preview = CheckBox(
            value=True,
            name="preview",
            text="Live preview",
            tooltip="While it learns, show every few seconds what the network makes of the part that you see",
        )
        self._meaning = wrapping_label("meaning")
        shown = {name: fields.pop(name) for name in ESSENTIAL}
        essential: list[Widget] = [
            *(image, labels, self._more, shown["zero"], start, shown["architecture"], shown["transfer"]),
            *(self._meaning, shown["time_budget"], preview),
        ]
        super().__init__(essential, groups(self._settings, fields), action, further)
        start.native.parentWidget().layout().addWidget(self.file_button.native)
        self._more.clicked.connect(lambda: self.add_pair())
        image.changed.connect(self._layers_changed)
        labels.changed.connect(self._labels_changed)
        start.changed.connect(self._start_changed)
        segmenters.changed.connect(self._segmenters_changed)
        for name in ("steps", "epochs"):
            getattr(self, name).changed.connect(self._budget_changed)
        self.transfer.changed.connect(self._transfer_changed)
        for each in (self.zero, start):
            each.changed.connect(self._say_transfer)
        self.architecture.changed.connect(self._architecture_changed)
        for name in ("encoder", "weights"):
            getattr(self, name).changed.connect(self._show_usual)
        self._architecture_changed()
        self._labels_changed()
        self.recall()
        self._transfer_changed()

    def _setting_fields(self) -> dict[str, Widget]:
        defaults = {name: default for name, (default, _) in self._settings.items()}
        # What is used when nobody names a limit.
        defaults["time_budget"] = TrainingConfig().time_budget
        defaults["device"] = preferences.preference("device") or defaults["device"]
        fields: dict[str, Widget] = {
            name: field(name, defaults[name], option) for name, (_, option) in self._settings.items()
        }
        fields["zero"].label = "Meaning of 0"
        fields["time_budget"].native.setSuffix(" s")
        fields["time_budget"].native.setDecimals(0)
        return fields

    def __call__(self, **values: Any) -> Worker:
        """As for every panel; the architecture is set first, because others depend on it."""
        first = ("start", "architecture")
        return super().__call__(**dict(sorted(values.items(), key=lambda item: item[0] not in first)))

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
        row = PairRow(len(self._pairs) + 2, self._remove_pair)
        self._form.insert(self._form.index(self._more), row)
        for box, layer in ((row.image, image), (row.painted, labels)):
            box.reset_choices()
            if layer is not None:
                box.value = layer
        self._pairs.append(row)

    def _remove_pair(self, row: PairRow) -> None:
        self._pairs.remove(row)
        self.take_out(row)

    def pairs(self) -> list[tuple[Image, Labels]]:
        """The chosen layers; further pairs that are empty do not count.

        Raises
        ------
        InputError
            If an image or its labels are missing.
        """
        chosen = [(self.image.value, self.labels.value)]
        chosen += [(row.image.value, row.painted.value) for row in self._pairs if row.image.value or row.painted.value]
        for image, labels in chosen:
            if image is None:
                raise InputError("Training needs an image layer. Got none; open an image first.")
            if labels is None:
                raise InputError(
                    f"Training needs a labels layer for '{image.name}'. Got none; add one and paint classes."
                )
        return chosen

    def _chosen_settings(self) -> dict[str, Any]:
        """The settings that are not left as they usually are, and those that a reader wants to see."""
        settings = values(self._form, self._settings)
        if settings.get("encoder") == self._own_encoder:
            settings.pop("encoder", None)
        if "steps" in settings or "epochs" in settings:
            settings.pop("time_budget", None)
        memory = preferences.preference("feature_memory")
        if memory and "feature_memory" not in settings and settings["transfer"] != "scratch":
            settings["feature_memory"] = float(memory)
        return settings

    def _axes_of(self, image: Image) -> str:
        axes = str(self.axes.value or "").upper()
        return axes if len(axes) == len(layers.array(image).shape) else layers.image_axes(image)

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
        self._follow(labels)
        self._layers_changed()

    def _follow(self, labels: Labels | None) -> None:
        """Guess anew what 0 means when classes are named or painted."""
        before, self._painted = self._painted, labels
        for layer, wanted in ((before, False), (labels, True)):
            if layer is not None:
                for event in (layer.events.features, layer.events.paint):
                    (event.connect if wanted else event.disconnect)(self._guess_zero)

    def _guess_zero(self, *_: Any) -> None:
        """What 0 most likely means, unless somebody has said it."""
        labels = self.labels.value
        if self._gone or labels is None or self.zero.value != self._guessed_zero:
            return
        self._guessed_zero = self.zero.value = meaning_of_zero(labels)

    def _layers_changed(self) -> None:
        image, labels = self.image.value, self.labels.value
        if image is not None and self.axes.value in (None, self._guessed_axes):
            self._guessed_axes = layers.image_axes(image, labels)
            self.axes.value = self._guessed_axes
        self._guess_zero()
        if image is not None:
            self.channels.native.setPlaceholderText(layers.channel_hint(image, self._axes_of(image)))

    def _start_changed(self) -> None:
        """Show the network of the segmenter to start from, which training takes as it is."""
        name = self.start.value
        if name is None or name not in segmenters:
            return
        model = segmenters[name].model
        self.architecture.value = model.architecture
        if self.encoder.enabled:
            self.encoder.value = model.encoder
        for setting in settings_of(model.architecture):
            value = getattr(model, setting)
            if value is not None:
                getattr(self, setting).value = value

    def _segmenters_changed(self, name: str) -> None:
        if not self._gone:
            self.start.reset_choices()

    def _transfer_changed(self) -> None:
        """Say what the chosen way of transfer means, and choose a network that can be fitted where one is needed."""
        if self.transfer.value == "head" and self._starts_anew() and not self._is_fitted():
            self.architecture.value = "pixel"
        self._say_transfer()
        self._show_usual()

    def _say_transfer(self, *_: Any) -> None:
        """What the chosen way of transfer means, and what would do better where little is painted."""
        choices = self._settings["transfer"][1].choices or {}
        meaning = str(choices[self.transfer.value]).partition(": ")[2]
        sparse = self.zero.value == "unlabelled" and self.transfer.value != "head" and self._starts_anew()
        at_once = str(choices["head"]).partition(": ")[0]
        hint = f" For so few strokes, '{at_once}' is mostly better, in seconds." if sparse else ""
        self._meaning.value = f"{meaning[:1].upper()}{meaning[1:]}.{hint}"

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
        if self._is_fitted():
            self.transfer.value = "head"

    def _starts_anew(self) -> bool:
        """Whether no segmenter is chosen to start from."""
        return self.start.value is None and not self.init.value

    def _is_fitted(self) -> bool:
        """Whether the chosen architecture is one that can be fitted at once."""
        return bool(architectures[self.architecture.value].details.get("fitted"))

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
        """Say which encoder, weights and settings are taken when none are chosen; some depend on others."""
        chosen = {"architecture": self.architecture.value}
        for name, usual in usual_with(self.transfer.value, self.architecture.value).items():
            getattr(self, name).show_usual(usual)
        encoder = None if self._own_encoder else self.encoder.value
        weights = self.weights.value
        self.encoder.show_usual(ModelConfig(**chosen, **({"weights": weights} if weights else {})).encoder)
        self.weights.show_usual(ModelConfig(**chosen, **({"encoder": encoder} if encoder else {})).weights)

    def _budget_changed(self) -> None:
        self.time_budget.enabled = self.steps.value is None and self.epochs.value is None
