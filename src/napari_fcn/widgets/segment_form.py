"""The fields of Segment: what they offer, and how they depend on each other."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, FileEdit, LineEdit, PushButton, Select
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels

from ..config import PredictionConfig
from ..options import options
from . import layers, preferences
from .fields import SettingBox, field, layer_field, slim
from .label_filters import LabelFilters
from .panel import Panel
from .script import script_button
from .store import segmenters

if TYPE_CHECKING:
    from typing import Any

    from napari.viewer import Viewer

    from ..imaging import Chain
    from ..segmenter import Segmenter

__all__ = ["WANTED", "SegmentForm", "with_filters"]

SCOPES = (
    ("The whole layer", "layer", "all slices and frames of the image layer"),
    ("What is seen", "view", "the part of the slice that the window shows, at full resolution"),
    ("This slice", "slice", "the slice at which the sliders stand"),
    ("Several layers", "layers", "one after the other"),
    ("A folder of files", "folder", "files that need not be opened; results are files too"),
)
SHOWN = {
    "layer": ("image", "into"),
    "view": ("image", "into"),
    "slice": ("image", "into"),
    "layers": ("images",),
    "folder": ("source", "target", "overwrite"),
}
WANTED = {
    "with_probabilities": "Probabilities too",
    "with_uncertainty": "Uncertainty too",
    "with_objects": "Numbered objects too",
}
TIPS = (
    "Another layer with the probability of each class",
    "Another layer that is bright where the network is unsure",
    "Another layer in which every object has its number; touching ones are parted at their waists",
)


class SegmentForm(Panel):
    """What to segment, with what, and what is to be made of it.

    Parameters
    ----------
    napari_viewer : whose layers are offered.
    """

    memory = "segment"
    remembered = (*WANTED, "tile_size", "overlap", "tta")

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._settings = options(PredictionConfig)
        self._guessed: tuple[Any, str] = (None, "")
        text = LineEdit(
            name="postprocess",
            label="Filters as text",
            tooltip="The filters of the labels as the command line and Python take them: smooth:radius=2 + watershed",
        )
        self._filters = LabelFilters(text, self._say)
        super().__init__(self._fields(), [text, *self._advanced_fields()], "Segment", self._further())
        self._form.native.layout().insertWidget(self._form.index(self.with_objects) + 1, self._filters)
        self.image.changed.connect(self._guess_axes)
        self.segmenter.changed.connect(self._segmenter_chosen)
        self.scope.changed.connect(self._show_fields)
        segmenters.changed.connect(self._segmenters_changed)
        self._filters.changed.connect(self._filters_changed)
        if segmenters:  # the newest is what one wants to try
            self.segmenter.value = list(segmenters)[-1]
        self._segmenter_chosen()
        self._show_fields()
        self.recall()

    def _say(self, text: str) -> None:
        if not self.running and not self._gone:
            self._text.value = text

    def _fields(self) -> list[Widget]:
        scope = SettingBox(SCOPES, value="layer", name="scope", label="What", tooltip="What is to be segmented")
        image = layer_field("image", Image, "What to segment; slices and frames are walked through")
        images = Select(
            name="images",
            label="Images",
            choices=lambda _: [layer for layer in self._viewer.layers if isinstance(layer, Image)],
            tooltip="The layers to segment, one after the other; hold Ctrl to choose several",
        )
        images.native.setMaximumHeight(90)
        source = FileEdit(
            name="source",
            label="Files",
            mode=FileDialogMode.EXISTING_DIRECTORY,
            tooltip="A folder of images, or a pattern like d/*.tif",
        )
        target = FileEdit(
            name="target", label="Results", mode=FileDialogMode.EXISTING_DIRECTORY, tooltip="A folder for the results"
        )
        overwrite = CheckBox(name="overwrite", text="Replace results that exist", value=False)
        segmenter = slim(
            ComboBox(
                name="segmenter",
                label="Segmenter",
                choices=lambda _: list(segmenters),
                tooltip="Trained in this session, or loaded from a file",
            )
        )
        segmenter.native.setPlaceholderText("train or load one")
        load = PushButton(
            text="Load segmenter…", name="load_button", tooltip="Use a segmenter that was saved to a file"
        )
        axes = LineEdit(
            name="axes",
            label="Axes",
            tooltip="What the image's axes are, in their order:\nT time, Z depth, C channel, Y row, X column.",
        )
        into = slim(
            ComboBox(
                name="into",
                label="Write into",
                choices=lambda _: [
                    ("A layer of its own", None),
                    *((layer.name, layer) for layer in self._viewer.layers if isinstance(layer, Labels)),
                ],
                tooltip="A labels layer that is changed; Ctrl+Z takes the change back",
            )
        )
        extras = [
            CheckBox(name=name, text=text, tooltip=tip, value=False)
            for (name, text), tip in zip(WANTED.items(), TIPS, strict=True)
        ]
        return [scope, image, images, source, target, overwrite, segmenter, load, axes, into, *extras]

    def _advanced_fields(self) -> list[Widget]:
        fields: list[Widget] = [field(name, default, option) for name, (default, option) in self._settings.items()]
        device = next(widget for widget in fields if widget.name == "device")
        device.value = preferences.preference("device") or device.value  # type: ignore[attr-defined]
        return fields

    def _further(self) -> list[Widget]:
        script = script_button("image and segmenter")
        place = PushButton(
            text="Where to paint next",
            name="next_button",
            tooltip="Go to the most uncertain part that nobody has painted; needs the layer of uncertainty",
        )
        save = PushButton(
            text="Save…", name="save_button", tooltip="Keep the segmenter, with these filters, as a file", enabled=False
        )
        return [place, script, save]

    def _segmenters_changed(self, name: str) -> None:
        if self._gone:
            return
        self.segmenter.reset_choices()
        if name in segmenters:
            # What was just trained or loaded is what one wants to try.
            self.segmenter.value = name

    def _segmenter_chosen(self) -> None:
        """Show the filters that the segmenter brings along."""
        name = self.segmenter.value
        self.save_button.enabled = name in segmenters
        if name in segmenters:
            self._filters.chain = segmenters[name].postprocess
        self._guess_axes()

    def _filters_changed(self, chain: Chain) -> None:
        """Keep the filters with the segmenter of this session."""
        name = self.segmenter.value
        if name in segmenters:
            segmenters.exchange(name, with_filters(segmenters[name], chain))

    def _show_fields(self) -> None:
        """Show the fields that the scope needs."""
        needed = SHOWN[self.scope.value]
        for name in ("image", "images", "source", "target", "overwrite", "into"):
            getattr(self, name).visible = name in needed
        self.axes.visible = self.scope.value not in ("layers", "folder")
        for name in WANTED:
            getattr(self, name).visible = self.scope.value != "folder"

    def _channels(self) -> int | None:
        name = self.segmenter.value
        return segmenters[name].channels if name in segmenters else None

    def _guess_axes(self) -> None:
        image = self.image.value
        guessed_for, guess = self._guessed
        if image is None or (image is guessed_for and self.axes.value != guess):
            return  # what was typed for this image stays
        self._guessed = image, layers.image_axes(image, channels=self._channels())
        self.axes.value = self._guessed[1]


def with_filters(segmenter: Segmenter, chain: Chain) -> Segmenter:
    """The segmenter whose labels go through these filters; its network is the same one."""
    return segmenter if chain == segmenter.postprocess else dataclasses.replace(segmenter, postprocess=chain)
