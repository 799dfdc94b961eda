"""The Segment widget: from an image layer and a segmenter to a labels layer."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import ComboBox, LineEdit, PushButton
from napari.layers import Image, Labels
from qtpy.QtWidgets import QFileDialog

from ..config import PredictionConfig
from ..errors import InputError
from ..options import options
from . import layers
from .fields import field, layer_field, slim
from .panel import Panel, Progress, Work, values
from .store import segmenters
from .worker import Worker

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from ..segmenter import Segmenter

__all__ = ["Segment"]


class Segment(Panel):
    """Segment an image layer with a segmenter that was trained here or loaded from a file.

    Fields are `image`, `segmenter` (its name), `axes`, and the settings of prediction. Calling the widget starts in a
    thread and returns the worker; `wait` returns the labels layer.

    Parameters
    ----------
    napari_viewer : where the labels layer goes.

    Examples
    --------
    >>> dock, segment = viewer.window.add_plugin_dock_widget("napari-fcn", "Segment")  # doctest: +SKIP
    >>> segment.load("nuclei.safetensors"); segment.wait()  # doctest: +SKIP
    >>> segment(image=viewer.layers["nuclei"])  # doctest: +SKIP
    >>> labels = segment.wait()  # doctest: +SKIP
    """

    result: Any

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._settings = options(PredictionConfig)
        self._guessed: tuple[Any, str] = (None, "")
        image = layer_field("image", Image, "What to segment; slices and frames are walked through")
        segmenter = slim(
            ComboBox(
                name="segmenter",
                label="Segmenter",
                choices=lambda _: list(segmenters),
                tooltip="Trained in this session, or loaded from a file",
            )
        )
        load = PushButton(
            text="Load segmenter…", name="load_button", tooltip="Use a segmenter that was saved to a file"
        )
        axes = LineEdit(
            name="axes",
            label="Axes",
            tooltip="What the image's axes are, in their order:\nT time, Z depth, C channel, Y row, X column.",
        )
        advanced = [field(name, default, option) for name, (default, option) in self._settings.items()]
        super().__init__([image, segmenter, load, axes], advanced, "Segment")
        load.clicked.connect(lambda: self.attempt(self._load_clicked))
        image.changed.connect(self._guess_axes)
        segmenter.changed.connect(self._guess_axes)
        segmenters.changed.connect(self._segmenters_changed)
        self._guess_axes()

    def load(self, path: str | Path) -> Worker:
        """Start to load a segmenter from a file, and choose it; `wait` returns it.

        `wait` raises `SegmenterFileError` when the file is no segmenter.
        """
        file = Path(path)
        return self._start(lambda: Work(partial(_load, file), f"loading of {file.name}", partial(self._loaded, file)))

    def prepare(self) -> Work:
        """Read the fields, and note where the image lies."""
        image: Image | None = self.image.value
        if image is None:
            raise InputError("Segmenting needs an image layer. Got none; open an image first.")
        name: str | None = self.segmenter.value
        if name is None:
            raise InputError("Segmenting needs a segmenter. Got none; train one, or load one from a file.")
        settings = PredictionConfig(**values(self._form, self._settings))
        axes = layers.check_axes(self.axes.value, tuple(layers.array(image).shape), image.name)
        source = _Source(image.name, str(image.unique_id), layers.geometry(image, axes))
        job = _Job(layers.array(image), axes, segmenters[name], settings.to_json())
        return Work(job.run, f"segmentation of '{image.name}'", partial(self._show, source, name))

    def _show(self, source: _Source, segmenter: str, labels: np.ndarray[Any, Any] | None) -> tuple[Labels | None, str]:
        """Put labels into the layer that this widget made of the same image, or into a new one."""
        if labels is None:
            return self.result, "Cancelled; no layer was changed."
        trained = segmenters[segmenter]
        style = layers.class_style(trained.classes, trained.nodata_value)
        facts = {"source": source.identity, "segmenter": segmenter, "checksum": _checksum(labels)}
        layer = self._own_layer(source, labels.ndim)
        if layer is None:
            layer = Labels(labels, name=f"{source.name} segmentation", **source.geometry, **style)
            layer.metadata[layers.KEY] = facts
            layer = self._viewer.add_layer(layer)
            verb = "Added"
        else:
            layer.data = labels
            for attribute, value in (source.geometry | style).items():
                setattr(layer, attribute, value)
            verb = "Updated"
        # Only now the name is known: napari makes it unique.
        layer.metadata[layers.KEY] = facts | {"layer": str(layer.unique_id), "name": layer.name}
        found = sum(1 for entry in trained.classes if (labels == entry.value).any())
        return layer, f"{verb} '{layer.name}', made by '{segmenter}': {found} of {len(trained.classes)} classes found."

    def _own_layer(self, source: _Source, ndim: int) -> Labels | None:
        """The layer that this widget made of the same image, unless somebody has renamed, copied or painted in it."""
        for layer in self._viewer.layers:
            facts = layers.facts(layer)
            if not isinstance(layer, Labels) or layer.ndim != ndim or facts.get("source") != source.identity:
                continue
            known = facts.get("layer") == str(layer.unique_id) and facts.get("name") == layer.name
            if known and facts.get("checksum") == _checksum(layer.data):
                return layer
        return None

    def _loaded(self, file: Path, segmenter: Segmenter | None) -> tuple[Any, str]:
        if segmenter is None:
            return self.result, "Cancelled; nothing was loaded."
        segmenters.add(segmenter, file.stem)
        return segmenter, f"Loaded {file.name}.\n{segmenter.describe()}"

    def _load_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self.native, "Load segmenter", "", "Segmenters (*.safetensors);;All files (*)"
        )
        if path:
            self.load(path)

    def _segmenters_changed(self, name: str) -> None:
        if self._gone:
            return
        self.segmenter.reset_choices()
        if name in segmenters:
            # What was just trained or loaded is what one wants to try.
            self.segmenter.value = name

    def _guess_axes(self) -> None:
        image, name = self.image.value, self.segmenter.value
        guessed_for, guess = self._guessed
        if image is None or (image is guessed_for and self.axes.value != guess):
            return  # what was typed for this image stays
        channels = segmenters[name].channels if name in segmenters else None
        self._guessed = image, layers.image_axes(image, channels=channels)
        self.axes.value = self._guessed[1]


@dataclass(frozen=True)
class _Source:
    """The image layer as it was when work began; it may be gone at the end."""

    name: str
    identity: str
    geometry: dict[str, Any]


@dataclass(frozen=True)
class _Job:
    """All that segmenting needs, without widgets or layers."""

    image: Any
    axes: str
    segmenter: Segmenter
    settings: Mapping[str, Any]

    def run(self, stop: threading.Event) -> Generator[Progress, None, np.ndarray[Any, Any] | None]:
        """Segment, in the worker's thread; None when it was told to stop."""
        yield Progress(None, "Preparing…")
        steps = self.segmenter.predict_steps(self.image, self.axes, **self.settings)
        try:
            while not stop.is_set():
                fraction = next(steps)
                yield Progress(fraction, f"{fraction:.0%} segmented")
        except StopIteration as end:
            labels: np.ndarray[Any, Any] = end.value[0]
            return labels
        finally:
            steps.close()
        return None


def _load(file: Path, stop: threading.Event) -> Generator[Progress, None, Segmenter | None]:
    """Read a segmenter, in the worker's thread; only here torch is loaded."""
    yield Progress(None, f"Loading {file.name}…")
    from ..segmenter import Segmenter

    segmenter = Segmenter.load(file)
    return None if stop.is_set() else segmenter


def _checksum(labels: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(labels).data)
