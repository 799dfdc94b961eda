"""The layer that shows what a network makes of the view while it learns; it goes when training ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from napari.layers import Image, Labels

from . import layers

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

    from ..training.preview import Preview

__all__ = ["PreviewLayer"]

Shown = TypeVar("Shown", Labels, Image)

NAME = "preview"
OPACITY = 0.45


class PreviewLayer:
    """A labels layer over a part of an image, beneath the labels that are painted.

    Somebody who removes it does not see it again in this training.

    Parameters
    ----------
    viewer, name : where it is shown, and what it is called.
    doubt : whether a layer of what is unsure goes with it, hidden at first.

    Attributes
    ----------
    seconds : that it has taken so far to show previews.
    """

    def __init__(self, viewer: Viewer, name: str = NAME, *, doubt: bool = False) -> None:
        self._viewer = viewer
        self._name = name
        self._with_doubt = doubt
        self._doubt: Image | None = None
        self._layer: Labels | None = None
        self._shown: Preview | None = None
        self._colormap: Any = None
        self.seconds = 0.0

    @property
    def wanted(self) -> bool:
        """Whether anybody would see the next one."""
        return self._layer is None or (self._layer in self._viewer.layers and self._layer.visible)

    def show(self, preview: Preview, image: Image, axes: str, style: dict[str, Any]) -> None:
        """Show a preview of a part of `image`; `style` as from `layers.class_style`."""
        if preview is self._shown or not self.wanted:
            return
        self._shown = preview
        begin = time.perf_counter()
        self._draw(preview, image, axes, style)
        self.seconds += time.perf_counter() - begin

    def _draw(self, preview: Preview, image: Image, axes: str, style: dict[str, Any]) -> None:
        window = preview.window
        sides = {"Y": window.rows.start, "X": window.columns.start}
        walked = iter(window.index)
        spatial = axes.replace("C", "")
        start = [sides[axis] if axis in sides else next(walked) for axis in spatial]
        geometry = layers.window_geometry(layers.geometry(image, axes), start)
        data = preview.labels if spatial.index("Y") < spatial.index("X") else preview.labels.T
        data = data.reshape([data.shape["YX".index(axis)] if axis in "YX" else 1 for axis in spatial])
        known, self._colormap = self._colormap, style.get("colormap")
        layer = self._layer
        if layer is None:
            made = Labels(data, name=self._name, opacity=OPACITY, **geometry, **style)
            self._layer = self._add(made, image, {"preview": True})
            return
        # All changes before anything is drawn; place and colours take long, and mostly are what they were.
        layer.data = data
        if not np.array_equal(layer.translate, geometry["translate"]):
            layer.translate = geometry["translate"]
        if self._colormap is not known and self._colormap is not None:
            layer.colormap = self._colormap

    def show_doubt(self, doubt: np.ndarray[Any, Any]) -> None:
        """Show what is unsure in the window that was shown last, `(h, w)` in rows and columns."""
        layer = self._layer
        if not self._with_doubt or layer is None or self._shown is None or layer not in self._viewer.layers:
            return
        data = doubt if layer.data.shape[-2:] == doubt.shape else doubt.T
        data = data.reshape(layer.data.shape)
        if self._doubt is None:
            geometry = layers.along(layer, range(layer.ndim))
            made = Image(
                data,
                name=f"{self._name} uncertainty",
                colormap="inferno",
                contrast_limits=(0, 1),
                opacity=0.6,
                **geometry,
            )
            made.visible = False
            self._doubt = self._add(made, layer, {"kind": "uncertainty"})
        elif self._doubt in self._viewer.layers:
            self._doubt.data = data
            self._doubt.translate = layer.translate

    def remove(self) -> None:
        """Take the layer away, if it is still there."""
        for layer in (self._layer, self._doubt):
            if layer is not None and layer in self._viewer.layers:
                self._viewer.layers.remove(layer)
        self._layer = self._shown = self._doubt = None

    def _add(self, layer: Shown, under: Layer, note: dict[str, Any]) -> Shown:
        """Insert a layer above another one, without taking the brush out of anybody's hand."""
        layer.metadata[layers.KEY] = note
        layer.editable = False
        stack = self._viewer.layers
        selected, active = set(stack.selection), stack.selection.active
        position = stack.index(under) + 1 if under in stack else len(stack)
        stack.insert(position, layer)
        # Whoever paints goes on painting.
        stack.selection.clear()
        stack.selection.update(selected)
        stack.selection.active = active
        return layer
