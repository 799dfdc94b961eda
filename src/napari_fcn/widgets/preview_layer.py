"""The layer that shows what a network makes of the view while it learns; it goes when training ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels

from . import layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from ..training.preview import Preview

__all__ = ["PreviewLayer"]

NAME = "preview"
OPACITY = 0.45


class PreviewLayer:
    """A labels layer over a part of an image, beneath the labels that are painted.

    Somebody who removes it does not see it again in this training.
    """

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layer: Labels | None = None
        self._shown: Preview | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody would see the next one."""
        return self._layer is None or (self._layer in self._viewer.layers and self._layer.visible)

    def show(self, preview: Preview, image: Image, axes: str, style: dict[str, Any]) -> None:
        """Show a preview of a part of `image`; `style` as from `layers.class_style`."""
        if preview is self._shown or not self.wanted:
            return
        self._shown = preview
        window = preview.window
        sides = {"Y": window.rows.start, "X": window.columns.start}
        walked = iter(window.index)
        spatial = axes.replace("C", "")
        start = [sides[axis] if axis in sides else next(walked) for axis in spatial]
        geometry = layers.window_geometry(layers.geometry(image, axes), start)
        data = preview.labels if spatial.index("Y") < spatial.index("X") else preview.labels.T
        data = data.reshape([data.shape["YX".index(axis)] if axis in "YX" else 1 for axis in spatial])
        if self._layer is None:
            self._layer = self._add(Labels(data, name=NAME, opacity=OPACITY, **geometry, **style), image)
            return
        # Both change before anything is drawn.
        self._layer.data = data
        self._layer.translate = geometry["translate"]

    def remove(self) -> None:
        """Take the layer away, if it is still there."""
        if self._layer is not None and self._layer in self._viewer.layers:
            self._viewer.layers.remove(self._layer)
        self._layer = self._shown = None

    def _add(self, layer: Labels, image: Image) -> Labels:
        layer.metadata[layers.KEY] = {"preview": True}
        layer.editable = False
        stack = self._viewer.layers
        selected, active = set(stack.selection), stack.selection.active
        position = stack.index(image) + 1 if image in stack else len(stack)
        stack.insert(position, layer)
        # Whoever paints goes on painting.
        stack.selection.clear()
        stack.selection.update(selected)
        stack.selection.active = active
        return layer
