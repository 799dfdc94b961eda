"""'Show me where to paint next': the camera goes to where a segmentation is most unsure and nobody has painted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from ..errors import InputError
from . import layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["show_next_place"]

SIDE = 32
"""Pixels of the window in which doubt is added up."""
SHOWN = 8
"""Windows that are seen side by side."""


def show_next_place(viewer: Viewer) -> tuple[int, ...]:
    """Move camera and sliders to the most uncertain part that nobody has painted, of the uppermost uncertainty layer.

    Returns
    -------
    tuple of int
        Its pixel in the uncertainty layer.

    Raises
    ------
    InputError
        There is no uncertainty layer, or everything near what is unsure is painted.
    """
    from ..inference.uncertainty import most_unsure

    layer = next(
        (other for other in reversed(viewer.layers) if layers.facts(other).get("kind") == "uncertainty"),
        None,
    )
    if not isinstance(layer, Image):
        raise InputError("There is no uncertainty layer yet; segment with 'Uncertainty too', or paint live, first.")
    doubt = np.asarray(layer.data)
    place = most_unsure(doubt, _painted(viewer, layer), SIDE)
    if place is None:
        raise InputError(f"Nothing in '{layer.name}' is unsure and not painted; segment again after some training.")
    world = np.asarray(layer.data_to_world(place))
    point = np.array(viewer.dims.point, dtype=float)
    point[-layer.ndim :] = world
    viewer.dims.point = tuple(point)
    displayed = list(viewer.dims.displayed)
    centre = np.array(viewer.scene.camera.center, dtype=float)
    centre[-len(displayed) :] = point[displayed]
    viewer.scene.camera.center = tuple(centre)
    pixel = float(np.mean(np.abs(layer.scale[-2:])))
    viewer.scene.camera.zoom = max(viewer.scene.camera.zoom, min(viewer.canvas.size) / (SHOWN * SIDE * pixel))
    return place


def _painted(viewer: Viewer, layer: Image) -> Any:
    """Where labels of the same pixels, that are no result, are not 0; None without such labels.

    The uncertainty may be of a part of what is painted.
    """
    known = None
    for other in viewer.layers:
        if not isinstance(other, Labels) or layers.facts(other).keys() & {"kind", "preview"} or other.multiscale:
            continue
        corners = [np.zeros(layer.ndim), np.array(layer.data.shape) - 1]
        if other.ndim != layer.ndim:
            continue
        first, last = (np.asarray(other.world_to_data(layer.data_to_world(corner))) for corner in corners)
        start = np.rint(first).astype(int)
        same = np.allclose(first, start, atol=0.01) and np.allclose(last - first, corners[1], atol=0.01)
        if not same or (start < 0).any() or (start + layer.data.shape > np.array(other.data.shape)).any():
            continue
        part = tuple(slice(at, at + size) for at, size in zip(start, layer.data.shape, strict=True))
        painted = np.asarray(other.data[part]) != 0
        known = painted if known is None else known | painted
    return known
