"""The Process widget: filters of images and labels, with a live preview."""

from __future__ import annotations

import contextlib
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, LineEdit, PushButton
from napari.layers import Image, Labels
from qtpy.QtWidgets import QFileDialog

from ..errors import FcnError, InputError
from ..imaging import Chain
from ..options import Option
from ..processing import process_image, process_labels
from . import layers, preferences
from .chain_editor import ChainEditor
from .fields import field, layer_field, slim
from .further_scripts import process_script
from .latest import Latest
from .panel import Panel, Work
from .process_job import Look, preview_image, preview_labels, run, save_copy, saved
from .script import Script, copy_script, script_button
from .visible import placement, visible_plane
from .worker import Worker

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["Process"]

IGNORE = Option("label values of pixels that stay as they are, such as 255", kind="integers")
NODATA = Option("image value that marks missing pixels", kind="number")


class Process(Panel):
    """Filter an image layer before a network sees it, or a labels layer after.

    Fields are `layer`, `chain` (the filters as text, "median:radius=2 + clahe"), `image` (where filters of labels need
    it), `preview`, `axes`, `ignore` and `nodata`. Calling the widget filters the whole layer in a thread and returns
    the worker; `wait` returns the new layer.

    Parameters
    ----------
    napari_viewer : where layers are taken from and put.

    Examples
    --------
    >>> dock, process = viewer.window.add_plugin_dock_widget("napari-fcn", "Process")  # doctest: +SKIP
    >>> process(layer=viewer.layers["nuclei"], chain="background:radius=30 + clahe")  # doctest: +SKIP
    >>> filtered = process.wait()  # doctest: +SKIP
    """

    result: Any

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._preview_layer: Image | Labels | None = None
        self._chains = {"before": "", "after": ""}
        layer = slim(
            ComboBox(
                name="layer",
                label="Layer",
                choices=lambda _: self._own_layers(),
                tooltip="An image to filter before a network sees it, or labels to filter after",
            )
        )
        image = layer_field("image", Image, "The image that the labels belong to")
        preview = CheckBox(
            name="preview", text="Preview", value=True, tooltip="Show the filtered plane as a layer while you choose"
        )
        chain = LineEdit(
            name="chain",
            label="As text",
            tooltip="The filters as the command line and Python take them: median:radius=2 + clahe",
        )
        axes = LineEdit(
            name="axes",
            label="Axes",
            tooltip="What the layer's axes are, in their order:\nT time, Z depth, C channel, Y row, X column.",
        )
        advanced = [chain, axes, field("ignore", None, IGNORE), field("nodata", None, NODATA)]
        super().__init__([layer, image, preview], advanced, "Apply", [script_button("layers")])
        self._save_button = PushButton(
            text="Save with segmenter…",
            name="save_button",
            tooltip="Write a copy of a segmenter's file whose labels go through these filters",
        )
        self._buttons.append(self._save_button)
        self._editor = ChainEditor()
        self._form.native.layout().insertWidget(1, self._editor)
        self._latest = Latest(self.native, self._show_preview, self._preview_failed)

        self._editor.changed.connect(self._editor_changed)
        self._editor.refused.connect(self._say)
        chain.changed.connect(self._text_changed)
        layer.changed.connect(self._layer_changed)
        for each in (image, preview, axes, self.ignore, self.nodata):
            each.changed.connect(self._ask_preview)
        self._save_button.clicked.connect(lambda: self.attempt(self._save_clicked))
        self._viewer.dims.events.point.connect(self._ask_preview)
        self._viewer.dims.events.ndisplay.connect(self._ask_preview)
        self._viewer.layers.events.removed.connect(self._layer_removed)
        self.script_button.clicked.connect(lambda: self.attempt(lambda: copy_script(self, self.script)))
        self._recall_chains()
        self._layer_changed()

    @property
    def editor(self) -> ChainEditor:
        """The list of filters."""
        return self._editor

    def prepare(self) -> Work:
        """Read the fields, and note where the layer lies."""
        source, chain = self._chosen()
        preferences.remember("process", self._chains)
        self._latest.forget()
        if isinstance(source, Image):
            axes = layers.check_axes(self.axes.value, tuple(layers.array(source).shape), source.name)
            steps = partial(process_image, layers.array(source), chain, axes, nodata=_number(self.nodata, "nodata"))
        else:
            steps = self._labels_steps(source, chain)
        work = partial(run, steps)
        return Work(work, f"filtering of '{source.name}'", partial(self._add_result, source, Look(source, chain)))

    def script(self, folder: str | Path) -> Script:
        """The Python and the command line that repeat this.

        Parameters
        ----------
        folder : where the layers go.
        """
        source, chain = self._chosen()
        nodata = _number(self.nodata, "nodata")
        if isinstance(source, Image):
            axes = layers.check_axes(self.axes.value, tuple(layers.array(source).shape), source.name)
            return process_script(source.name, layers.array(source), chain, axes, Path(folder), nodata=nodata)
        array = layers.snapshot(source)
        ignore = tuple(self.ignore.value or ())
        IGNORE.check("ignore", ignore)
        guide = self._guide() if chain.needs_image else None
        details: dict[str, Any] = {} if guide is None else {"nodata": nodata}
        if guide is not None:
            details |= {"image": layers.array(guide), "image_axes": layers.image_axes(guide, source)}
        return process_script(source.name, array, chain, "TZYX"[-array.ndim :], Path(folder), ignore=ignore, **details)

    def save_with(self, segmenter: str | Path, output: str | Path, *, overwrite: bool = False) -> Worker:
        """Start to write a copy of a segmenter's file whose labels go through the filters; `wait` returns its path."""
        chain = self._read_chain()
        if not chain:
            raise InputError("There is no filter to save; choose one and press Add.")
        chain.require("after", "postprocess")
        task = partial(save_copy, chain, Path(segmenter), Path(output), overwrite)
        return self._start(lambda: Work(task, f"saving of {Path(output).name}", partial(saved, chain)))

    def _chosen(self) -> tuple[Image | Labels, Chain]:
        """The layer and filters that work on it."""
        source: Image | Labels | None = self.layer.value
        if source is None:
            raise InputError("Filtering needs an image or labels layer. Got none; open an image first.")
        chain = self._read_chain()
        if not chain:
            raise InputError("Filtering needs a filter. Got none; choose one and press Add.")
        chain.require("before" if isinstance(source, Image) else "after", "chain")
        return source, chain

    def _recall_chains(self) -> None:
        """Offer the filters of last time; they are tried on nothing before somebody asks for the preview."""
        for stage, text in preferences.recall("process").items():
            with contextlib.suppress(FcnError, AttributeError):
                if stage in self._chains and len(Chain.parse(text).require(stage, "chain")):
                    self._chains[stage] = text
                    self.preview.value = False

    def _own_layers(self) -> list[tuple[str, Any]]:
        return [
            (each.name, each)
            for each in self._viewer.layers
            if isinstance(each, (Image, Labels)) and not layers.facts(each).get("preview")
        ]

    def _labels_steps(self, source: Labels, chain: Chain) -> Any:
        array = layers.snapshot(source)
        axes = "TZYX"[-array.ndim :]
        ignore = self.ignore.value or ()
        IGNORE.check("ignore", ignore)
        details: dict[str, Any] = {}
        if chain.needs_image:
            image = self._guide()
            details = {
                "image": layers.array(image),
                "image_axes": layers.image_axes(image, source),
                "nodata": _number(self.nodata, "nodata"),
            }
        return partial(process_labels, array, chain, axes, ignore=ignore, **details)

    def _guide(self) -> Image:
        image: Image | None = self.image.value
        if image is None or layers.facts(image).get("preview"):
            raise InputError("This filter needs the image that the labels belong to. Got none; open it.")
        return image

    def _read_chain(self) -> Chain:
        return Chain.parse(self.chain.value)

    def _layer_changed(self) -> None:
        source = self.layer.value
        stage = "after" if isinstance(source, Labels) else "before"
        self._editor.offer(stage)
        self.axes.value = "" if source is None else _axes_of(source)
        self._save_button.enabled = isinstance(source, Labels)
        if self.chain.value != self._chains[stage]:
            self.chain.value = self._chains[stage]
        self.image.visible = self._editor.chain.needs_image
        self._ask_preview()

    def _editor_changed(self, chain: Chain) -> None:
        self.chain.value = str(chain)

    def _text_changed(self) -> None:
        try:
            chain = self._read_chain()
        except FcnError as error:
            self._say(str(error))
            return
        for stage in {step.stage for step in chain} or {"after" if isinstance(self.layer.value, Labels) else "before"}:
            self._chains[stage] = self.chain.value
        self._editor.chain = chain
        self.image.visible = chain.needs_image
        self._say("")
        self._ask_preview()

    def _say(self, text: str) -> None:
        if not self.running and not self._gone:
            self._text.value = text

    # The preview

    def _ask_preview(self, *_: Any) -> None:
        if self._gone or self.running:
            return
        source: Image | Labels | None = self.layer.value
        try:
            chain = self._read_chain()
            wanted = self.preview.value and source is not None and len(chain)
            stage = "before" if isinstance(source, Image) else "after"
            if not wanted or source is None or any(step.stage != stage for step in chain):
                self._latest.forget()
                self._remove_preview()
                return
            self._latest.ask(self._preview_job(source, chain))
        except FcnError as error:
            self._latest.forget()
            self._remove_preview()
            self._say(str(error))

    def _preview_job(self, source: Image | Labels, chain: Chain) -> Any:
        look = Look(source, chain)
        if isinstance(source, Image):
            axes = layers.check_axes(self.axes.value, tuple(layers.array(source).shape), source.name)
            plane = visible_plane(self._viewer, source, axes)
            return partial(preview_image, plane, chain, source.rgb, _number(self.nodata, "nodata"), look)
        array = layers.array(source)
        plane = visible_plane(self._viewer, source, "TZYX"[-array.ndim :])
        guide = None
        if chain.needs_image:
            image = self._guide()
            guide = visible_plane(self._viewer, image, layers.image_axes(image, source))
        elif chain.needs_probabilities:
            raise InputError("This filter needs probabilities, which only prediction has; save it with a segmenter.")
        IGNORE.check("ignore", self.ignore.value)
        ignore = self.ignore.value or ()
        # Painting goes on: what the thread works on is a copy.
        return partial(preview_labels, plane.read()[0], guide, chain, ignore, _number(self.nodata, "nodata"), look)

    def _show_preview(self, outcome: tuple[np.ndarray[Any, Any], Look]) -> None:
        if self._gone or self.running or not self.preview.value:
            return
        data, look = outcome
        source = self.layer.value
        if source is not look.source:
            return
        old = self._preview_layer
        like = old is not None and type(old) is type(source) and old.data.dtype == data.dtype
        if old is not None and like and old.ndim == 2 and getattr(old, "rgb", False) == look.rgb:
            old.data = data
            for key, value in (look.style(data) | placement(source, 2)).items():
                setattr(old, key, value)
        else:
            self._remove_preview()
            chosen = set(self._viewer.layers.selection)
            made = look.layer(data, "Process preview", placement(source, 2))
            made.metadata[layers.KEY] = {"preview": True}
            # Known before it is in the list, which tells everybody about it.
            self._preview_layer = made
            self._viewer.layers.insert(self._viewer.layers.index(source) + 1, made)
            self._viewer.layers.selection = chosen
        self._say("The preview shows the visible plane; Apply filters the whole layer.")

    def _preview_failed(self, error: Exception) -> None:
        self._remove_preview()
        if isinstance(error, FcnError):
            self._say(str(error))
        else:
            self._failed(error)

    def _remove_preview(self) -> None:
        layer, self._preview_layer = self._preview_layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _layer_removed(self, event: Any) -> None:
        if not self._gone and event.value is self._preview_layer and self._preview_layer is not None:
            self._preview_layer = None
            self.preview.value = False

    # Results

    def _add_result(self, source: Image | Labels, look: Look, data: Any) -> tuple[Any, str]:
        if data is None:
            return self.result, "Cancelled; no layer was changed."
        self._remove_preview()
        if not self._gone:
            self.preview.value = False
        layer = look.layer(data, f"{source.name} filtered", placement(source, source.ndim))
        layer.metadata[layers.KEY] = {**look.noted, "filters": str(look.chain)}
        layer = self._viewer.add_layer(layer)
        text = f"Added '{layer.name}': {look.chain}."
        if look.chain.numbers:
            text += f" {len(np.unique(data[data > 0]))} objects."
        return layer, text

    def _save_clicked(self) -> None:
        kind = "Segmenters (*.safetensors);;All files (*)"
        segmenter, _ = QFileDialog.getOpenFileName(self.native, "Segmenter to save the filters with", "", kind)
        if segmenter:
            usual = str(Path(segmenter).with_name(f"{Path(segmenter).stem} filtered.safetensors"))
            output, _ = QFileDialog.getSaveFileName(self.native, "Save the copy as", usual, kind)
            if output:
                # Qt has asked whether to replace it.
                self.save_with(segmenter, output, overwrite=True)

    def _parent_changed(self, parent: Any) -> None:
        super()._parent_changed(parent)
        if parent is None and self._docked is False:
            self._leave()

    def _forget_widgets(self) -> None:
        super()._forget_widgets()
        self._latest.close()

    def _leave(self) -> None:
        """Taken out of its dock: the preview goes with it."""
        self._latest.forget()
        self._remove_preview()


def _axes_of(layer: Image | Labels) -> str:
    return layers.image_axes(layer) if isinstance(layer, Image) else "TZYX"[-layer.ndim :]


def _number(edit: Any, name: str) -> float | None:
    value: Any = edit.value
    NODATA.check(name, value)
    return None if value is None else float(value)
