"""The plane of a layer that the viewer shows, and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data import Planes
from ..errors import InputError
from . import layers

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from napari.viewer import Viewer

__all__ = ["VisiblePlane", "placement", "visible_plane"]


@dataclass(frozen=True)
class VisiblePlane:
    """A plane of an image or of labels.

    Attributes
    ----------
    planes, number : what it is read from: `planes.read(number)` is `(C, H, W)`.
    channel : the shown channel of an axis C that has a slider; None for colours and single channels.
    """

    planes: Planes
    number: int
    channel: int | None

    def read(self) -> np.ndarray[Any, Any]:
        """The pixels `(C, H, W)`, a copy."""
        return np.array(self.planes.read(self.number))

    def shown(self, pixels: np.ndarray[Any, Any], rgb: bool) -> np.ndarray[Any, Any]:
        """Of `(C, H, W)` what a layer shows: `(H, W, C)` of colours, else one channel."""
        return np.moveaxis(pixels, 0, -1) if rgb else pixels[self.channel or 0]


def visible_plane(viewer: Viewer, layer: Image | Labels, axes: str) -> VisiblePlane:
    """The plane of `layer` that the viewer shows.

    Raises
    ------
    InputError
        The viewer shows volumes, or other axes than Y and X.
    """
    own = axes[:-1] if getattr(layer, "rgb", False) else axes
    offset = viewer.dims.ndim - layer.ndim
    displayed = [axis - offset for axis in viewer.dims.displayed]
    if viewer.dims.ndisplay != 2 or any(axis < 0 for axis in displayed) or [own[a] for a in displayed] != ["Y", "X"]:
        raise InputError(f"The preview shows planes of Y and X; choose the 2D view of '{layer.name}'.")
    position = layer.world_to_data(viewer.dims.point)
    array = layers.array(layer)
    planes = Planes(array, axes)
    # A pyramid's data coordinates are those of its finest level.
    at = {
        letter: int(np.clip(round(float(position[axis])), 0, size - 1))
        for axis, (letter, size) in enumerate(zip(own, array.shape, strict=False))
    }
    index = tuple(at[letter] for letter in own if letter not in "CYX")
    channel = at["C"] if "C" in own else None
    return VisiblePlane(planes, planes.indices.index(index), channel)


def placement(layer: Image | Labels, last: int) -> dict[str, Any]:
    """Where a layer lies, as keyword arguments for one over its last axes."""
    return layers.along(layer, range(layer.ndim - last, layer.ndim))
