"""What shapes enclose, as a mask over a labels layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import layers

if TYPE_CHECKING:
    from napari.layers import Labels, Shapes

__all__ = ["shapes_mask"]

ENCLOSING = ("rectangle", "ellipse", "polygon")
CORNERS = 128
"""Corners of the polygon that stands for an ellipse."""


def shapes_mask(shapes: Shapes, labels: Labels) -> NDArray[np.bool_]:
    """Where the labels lie within a rectangle, an ellipse or a polygon, bool in their shape.

    A shape that is drawn on a slice counts there; one without slices counts on all of them. Lines enclose nothing.

    Raises
    ------
    InputError
        Nothing is enclosed.
    """
    from skimage.draw import polygon2mask

    shape = tuple(layers.array(labels).shape)
    mask = np.zeros(shape, bool)
    for corners, kind in zip(shapes.data, shapes.shape_type, strict=True):
        if kind not in ENCLOSING:
            continue
        points = _to_labels(np.asarray(corners, float), shapes, labels)
        outline = _ellipse(points[:, -2:]) if kind == "ellipse" else points[:, -2:]
        inside = polygon2mask(shape[-2:], outline)
        # Slices that the shapes layer does not have are all meant.
        walked = min(shapes.ndim, labels.ndim) - 2
        at: list[Any] = [slice(None)] * (labels.ndim - 2 - walked)
        at += [round(float(value)) for value in points[0, labels.ndim - 2 - walked : labels.ndim - 2]]
        if all(isinstance(place, slice) or 0 <= place < size for place, size in zip(at, shape, strict=False)):
            mask[tuple(at)] |= inside
    if not mask.any():
        raise InputError(
            f"'{shapes.name}' encloses nothing of '{labels.name}'; draw a rectangle, an ellipse or a polygon on it."
        )
    return mask


def _to_labels(corners: NDArray[Any], shapes: Shapes, labels: Labels) -> NDArray[np.float64]:
    """Corners `(N, shapes.ndim)` in the coordinates of the labels' array, `(N, labels.ndim)`."""
    result = np.zeros((len(corners), labels.ndim))
    for number, corner in enumerate(corners):
        world = np.asarray(shapes.data_to_world(corner), float)
        missing = labels.ndim - len(world)
        if missing > 0:
            origin = np.asarray(labels.data_to_world([0.0] * labels.ndim), float)
            world = np.concatenate([origin[:missing], world])
        result[number] = labels.world_to_data(world[-labels.ndim :])
    return result


def _ellipse(box: NDArray[np.float64]) -> NDArray[np.float64]:
    """The outline of the ellipse in a box of four corners."""
    centre = box.mean(axis=0)
    one, other = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.linspace(0, 2 * np.pi, CORNERS, endpoint=False)[:, None]
    outline: NDArray[np.float64] = centre + np.cos(angle) * one + np.sin(angle) * other
    return outline
