"""Shapes as labels: every shape becomes pixels of a labels layer, wherever the two layers lie."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from . import layers

if TYPE_CHECKING:
    from napari.layers import Labels, Shapes

__all__ = ["paint_shapes"]

CURVE = 96
"""Corners by which an ellipse is drawn."""
OPEN = ("line", "path")


def paint_shapes(shapes: Shapes, labels: Labels, value: int) -> int:
    """Paint shapes into a labels layer, as one step that can be undone.

    A shape whose features have the name of a class, in a column `class` or `name`, gets that class's value, the others
    `value`. Lines and paths are as wide as they are drawn. Shapes that come later lie above.

    Returns
    -------
    int
        Pixels that changed.

    Raises
    ------
    InputError
        There are no shapes, or none lies on the labels.
    """
    if not len(shapes.data):
        raise InputError(f"'{shapes.name}' holds no shapes to paint; draw some first.")
    data = layers.array(labels)
    painted: dict[tuple[int, ...], NDArray[Any]] = {}
    for corners, kind, width, own in zip(
        shapes.data, shapes.shape_type, shapes.edge_width, _values(shapes, labels, value), strict=True
    ):
        outline = _outline(np.asarray(corners, dtype=float), str(kind))
        points = np.array([_onto(labels, shapes.data_to_world(point)) for point in outline])
        plane = tuple(int(place) for place in np.rint(points[0, :-2]))
        if not all(0 <= place < size for place, size in zip(plane, data.shape, strict=False)):
            continue
        mask = _mask(points[:, -2:], data.shape[-2:], str(kind) in OPEN, _width(shapes, labels, float(width)))
        layer = painted.setdefault(plane, np.full(data.shape[-2:], -1, np.int64))
        layer[mask] = own
    where: list[NDArray[Any]] = []
    values: list[NDArray[Any]] = []
    for plane, layer in painted.items():
        rows, columns = np.nonzero(layer >= 0)
        where.append(np.array([*(np.full(rows.size, place) for place in plane), rows, columns]))
        values.append(layer[rows, columns])
    if not where or not sum(part.size for part in values):
        raise InputError(f"No shape of '{shapes.name}' lies on '{labels.name}'; nothing was painted.")
    indices, numbers = np.concatenate(where, axis=1), np.concatenate(values)
    changed = np.asarray(data[tuple(indices)]) != numbers
    labels.data_setitem(tuple(indices[:, changed]), numbers[changed].astype(data.dtype))
    return int(changed.sum())


def _values(shapes: Shapes, labels: Labels, value: int) -> list[int]:
    by_name = {name: number for number, name in layers.class_names(labels).items()}
    for column in ("class", "name"):
        if column in shapes.features:
            return [by_name.get(str(entry), value) for entry in shapes.features[column]]
    return [value] * len(shapes.data)


def _outline(corners: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    if kind != "ellipse":
        return corners
    # The corners of the box around it; sums of its half axes stay right under any affine transform.
    middle = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    angles = np.linspace(0, 2 * np.pi, CURVE, endpoint=False)
    return np.asarray(middle + np.outer(np.cos(angles), first) + np.outer(np.sin(angles), second))


def _onto(labels: Labels, world: Any) -> NDArray[np.float64]:
    """A place in the world in pixels of the labels, which may have fewer or more axes than the shapes."""
    place = np.asarray(world, dtype=float)
    if len(place) < labels.ndim:
        place = np.r_[np.zeros(labels.ndim - len(place)), place]
    return np.asarray(labels.world_to_data(place[-labels.ndim :]), dtype=float)


def _width(shapes: Shapes, labels: Labels, width: float) -> float:
    """A width of shapes in pixels of the labels."""
    return width * float(np.mean(np.abs(shapes.scale[-2:]) / np.abs(labels.scale[-2:])))


def _mask(points: NDArray[Any], shape: tuple[int, ...], is_open: bool, width: float) -> NDArray[np.bool_]:
    from scipy import ndimage
    from skimage.draw import line, polygon2mask

    if not is_open:
        return np.asarray(polygon2mask(shape, points)).astype(np.bool_)
    mask = np.zeros(shape, dtype=bool)
    whole = np.rint(points).astype(int)
    for start, stop in pairwise(whole):
        rows, columns = line(*start, *stop)
        inside = (rows >= 0) & (columns >= 0) & (rows < shape[0]) & (columns < shape[1])
        mask[rows[inside], columns[inside]] = True
    if width > 1 and mask.any():
        mask = ndimage.distance_transform_edt(~mask) <= (width - 1) / 2
    return mask
