"""What a layer says about its array: axes, geometry, classes.

Functions of a layer's public attributes, without a viewer; the widgets ask here and pass arrays on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer
    from napari.viewer import Viewer

__all__ = [
    "KEY",
    "along",
    "array",
    "channel_count",
    "channel_hint",
    "check_axes",
    "check_labels",
    "class_colors",
    "class_names",
    "class_style",
    "facts",
    "fits",
    "geometry",
    "guess_axes",
    "image_axes",
    "labels_shape",
    "pixel_size",
    "snapshot",
    "spacing",
    "visible_part",
    "window_geometry",
]

#: The key in a layer's metadata under which this plugin makes its notes.
KEY = "napari_fcn"

Shape: TypeAlias = tuple[int, ...]

# By number of axes, when neither the layer nor its labels say more: what napari itself would show.
USUAL_AXES = {2: "YX", 3: "ZYX", 4: "TZYX", 5: "TZCYX"}
# More channels than this are rather slices or frames.
MOST_CHANNELS = 16
AXIS_WORDS = {
    "T": ("t", "time", "frame", "image"),
    "Z": ("z", "depth", "plane", "slice"),
    "C": ("c", "ch", "channel", "channels", "band", "bands"),
    "Y": ("y", "row", "height"),
    "X": ("x", "column", "width"),
}


def array(layer: Image | Labels) -> Any:
    """The layer's array; the finest level of a pyramid. An RGB layer has its colours as last axis."""
    return layer.data[0] if layer.multiscale else layer.data


def facts(layer: Layer) -> dict[str, Any]:
    """What this plugin has noted in a layer's metadata."""
    noted = layer.metadata.get(KEY)
    return noted if isinstance(noted, dict) else {}


def guess_axes(
    shape: Shape,
    *,
    rgb: bool = False,
    axis_labels: Sequence[str] = (),
    labels: Shape | None = None,
    channels: int | None = None,
) -> str:
    """The most likely axes of an image, a string over T, Z, C, Y and X with one letter for each of its axes.

    Parameters
    ----------
    shape : the array's shape, colours included.
    rgb : whether the last axis holds colours.
    axis_labels : names of the axes, without that of colours; others than known words say nothing.
    labels : the shape of the labels that belong to the image: they have all of its axes but C.
    channels : the number of channels that is expected.

    Examples
    --------
    >>> guess_axes((512, 512, 3), rgb=True)
    'YXC'
    >>> guess_axes((4, 512, 512)), guess_axes((4, 512, 512), labels=(512, 512)), guess_axes((4, 512, 512), channels=4)
    ('ZYX', 'CYX', 'CYX')
    """
    named = _named_axes(axis_labels)
    if named and len(named) + rgb == len(shape):
        return named + "C" * rgb
    if rgb:
        return USUAL_AXES.get(len(shape) - 1, "") + "C"
    channel = _channel_axis(shape, labels, channels)
    if channel is None:
        return USUAL_AXES.get(len(shape), "")
    rest = USUAL_AXES.get(len(shape) - 1, "")
    return rest[:channel] + "C" + rest[channel:]


def _named_axes(axis_labels: Sequence[str]) -> str:
    letters = {word: letter for letter, words in AXIS_WORDS.items() for word in words}
    named = "".join(letters.get(label.lower(), "") for label in axis_labels)
    complete = len(named) == len(axis_labels) and len(set(named)) == len(named)
    return named if complete and {"Y", "X"} <= set(named) else ""


def _channel_axis(shape: Shape, labels: Shape | None, channels: int | None) -> int | None:
    """Which axis holds channels, or None when none does; what is known for certain is asked first."""
    if len(shape) < 3 or labels == shape:
        return None
    # Where channels usually stand: first or last, or before YX.
    candidates = list(dict.fromkeys([0, len(shape) - 1, len(shape) - 3]))
    if labels is not None:
        for axis in candidates:
            if shape[:axis] + shape[axis + 1 :] == labels:
                return axis
    if channels is not None and channels > 1:
        for axis in candidates:
            if shape[axis] == channels:
                return axis
    if shape[-1] <= MOST_CHANNELS < min(shape[-3:-1]):
        return len(shape) - 1
    return None


def image_axes(image: Image, labels: Labels | None = None, channels: int | None = None) -> str:
    """`guess_axes` for an image layer, and the labels layer that belongs to it; what its metadata say comes first."""
    shape = tuple(array(image).shape)
    known = facts(image).get("axes", "")
    if len(known) == len(shape):
        return str(known)
    return guess_axes(
        shape,
        rgb=image.rgb,
        axis_labels=image.axis_labels,
        labels=None if labels is None else tuple(array(labels).shape),
        channels=channels,
    )


def check_axes(axes: str, shape: Shape, name: str) -> str:
    """The axes in capitals; `InputError` when they cannot be those of the layer `name`."""
    axes = axes.strip().upper()
    wrong = [letter for letter in axes if letter not in "TZCYX"]
    if wrong or len(set(axes)) != len(axes) or not {"Y", "X"} <= set(axes):
        raise InputError(
            f"`axes` must name each axis once with T, Z, C, Y or X, and have Y and X. Got {axes!r} for '{name}'."
        )
    if len(axes) != len(shape):
        usual = USUAL_AXES.get(len(shape), "")
        hint = f"; usual would be {usual}" if usual else ""
        raise InputError(
            f"`axes` must have one letter for each of the {len(shape)} axes of '{name}', whose shape is "
            f"{_sizes(shape)}. Got {axes!r}{hint}."
        )
    return axes


def labels_shape(axes: str, shape: Shape) -> Shape:
    """The shape of the labels of an image: all axes but C."""
    return tuple(size for axis, size in zip(axes, shape, strict=True) if axis != "C")


def check_labels(axes: str, image: Image, labels: Labels) -> None:
    """Raise `InputError` when the labels cannot lie on the image."""
    image_shape, shape = tuple(array(image).shape), tuple(array(labels).shape)
    expected = labels_shape(axes, image_shape)
    if shape != expected:
        raise InputError(
            f"Labels must have the shape of their image without its channels: '{image.name}' is {_sizes(image_shape)} "
            f"({axes}), so its labels are {_sizes(expected)}. Got {_sizes(shape)} in '{labels.name}'."
        )


def fits(image: Image, labels: Labels) -> bool:
    """Whether the labels can be those of the image."""
    shape = tuple(array(image).shape)
    axes = image_axes(image, labels)
    return len(axes) == len(shape) and labels_shape(axes, shape) == tuple(array(labels).shape)


def _sizes(shape: Shape) -> str:
    return " x ".join(map(str, shape))


def channel_count(axes: str, shape: Shape) -> int:
    """The number of channels, 1 without an axis C."""
    return shape[axes.index("C")] if "C" in axes else 1


def channel_hint(image: Image, axes: str) -> str:
    """What can be typed to pick channels: 'all of 0 blue, 1 green, …'."""
    count = channel_count(axes, tuple(array(image).shape)) if len(axes) == len(array(image).shape) else 1
    names = facts(image).get("channel_names") or ()
    if count == 1:
        return "the only one"
    listed = [f"{number} {name}" for number, name in enumerate(names)] if len(names) == count else [f"0 to {count - 1}"]
    return f"all of {', '.join(listed)}"


def snapshot(labels: Labels) -> NDArray[Any]:
    """A copy of the labels as they are now, so that painting can go on."""
    return np.array(array(labels))


def geometry(image: Image, axes: str) -> dict[str, Any]:
    """Where an image lies, as keyword arguments for a labels layer over its axes without C.

    Colours of RGB layers are no axis to napari. A channel axis that is one is taken out of every part of the transform,
    so the parts stay the numbers that the user knows.
    """
    layer_axes = axes[:-1] if image.rgb else axes
    kept = [index for index, axis in enumerate(layer_axes) if axis != "C"]
    return along(image, kept)


def along(layer: Layer, kept: Sequence[int]) -> dict[str, Any]:
    """Where a layer lies along some of its axes, as keyword arguments for a layer that has these alone."""
    square = np.ix_(kept, kept)
    shear = np.eye(layer.ndim)
    if layer.shear.ndim == 1:
        shear[np.triu_indices(layer.ndim, k=1)] = layer.shear
    else:
        shear = layer.shear
    return {
        "scale": layer.scale[kept],
        "translate": layer.translate[kept],
        "rotate": layer.rotate[square],
        "shear": shear[square],
        "affine": layer.affine.set_slice(kept).affine_matrix,
        "units": tuple(layer.units[axis] for axis in kept),
        "axis_labels": tuple(layer.axis_labels[axis] for axis in kept),
    }


def window_geometry(whole: dict[str, Any], start: Sequence[int]) -> dict[str, Any]:
    """`geometry` of a part of an image that begins at the pixel `start`, one number for each axis."""
    from napari.utils.transforms import Affine

    # A pixel's place before the layer's own affine, which comes last.
    placed = Affine(scale=whole["scale"], rotate=whole["rotate"], shear=whole["shear"], translate=whole["translate"])
    return whole | {"translate": np.asarray(placed(np.asarray(start, dtype=float)))}


def visible_part(image: Image, axes: str, viewer: Viewer) -> tuple[tuple[int, ...], slice, slice] | None:
    """The part of an image that is seen: index along the axes that are walked through, rows and columns.

    None where there is none: it lies outside the canvas, or Y and X are not both shown in 2D. A layer's own
    `corner_pixels` would be too large for pyramids, and old for hidden layers.
    """
    if viewer.dims.ndisplay != 2:
        return None
    centre = np.asarray(viewer.scene.camera.center)[-2:]
    half = np.asarray(viewer.canvas.size) / viewer.scene.camera.zoom / 2
    seen = []
    for signs in np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]):
        point = np.array(viewer.dims.point, dtype=float)
        point[list(viewer.dims.displayed)] = centre + signs * half
        seen.append(image.world_to_data(point[-image.ndim :]))
    low, high = np.min(seen, axis=0), np.max(seen, axis=0)
    index, sides = [], {}
    for number, (axis, size) in enumerate(zip(axes[:-1] if image.rgb else axes, array(image).shape, strict=False)):
        if axis in "YX":
            start, stop = max(0, int(np.floor(low[number] + 0.5))), min(size, int(np.ceil(high[number] + 0.5)))
            if stop - start < 2:
                return None
            sides[axis] = slice(start, stop)
        elif axis != "C":
            where = round(float(low[number] + high[number]) / 2)
            if not 0 <= where < size:
                return None
            index.append(where)
    return tuple(index), sides["Y"], sides["X"]


def pixel_size(image: Image, axes: str) -> float | None:
    """Side of a pixel, in metres where the layer's unit is a metre or more and in micrometres otherwise.

    None when the unit is no length, or pixels are not square.
    """
    layer_axes = axes[:-1] if image.rgb else axes
    row, column = (layer_axes.index(axis) for axis in "YX")
    unit = image.units[row]
    if unit != image.units[column] or unit.dimensionality != {"[length]": 1}:
        return None
    if not np.isclose(image.scale[row], image.scale[column]):
        return None
    side = unit * float(image.scale[row])
    return float(side.to("micrometer" if (1 * unit).to("meter").magnitude < 1 else "meter").magnitude)


def spacing(image: Image, axes: str) -> tuple[float, ...]:
    """Sides of a pixel over the axes without C, relative to the smallest in the plane: 1 for square pixels."""
    scale = [abs(float(side)) for side in geometry(image, axes)["scale"]]
    smallest = min(side for side, axis in zip(scale, axes.replace("C", ""), strict=True) if axis in "YX")
    return tuple(side / smallest for side in scale)


def class_names(labels: Labels) -> dict[int, str]:
    """Names by label value from the layer's features: column `index` and `name`, or the first column of texts."""
    features = labels.features
    if not len(features.columns):
        return {}
    values = features["index"] if "index" in features else range(len(features))
    texts = [
        column
        for column in ("name", "class", *features.columns)
        if column in features and column != "index" and all(isinstance(entry, str) for entry in features[column])
    ]
    if not texts:
        return {}
    return {int(value): name for value, name in zip(values, features[texts[0]], strict=True) if name}


def class_colors(colormap: Any, values: Iterable[int]) -> dict[int, str]:
    """Colours '#rrggbb' in which a labels colormap shows values; 0 is left out, napari does not show it."""
    colors = {}
    for value in values:
        if value != 0:
            red, green, blue = (round(255 * float(part)) for part in np.asarray(colormap.map(int(value))).ravel()[:3])
            colors[int(value)] = f"#{red:02x}{green:02x}{blue:02x}"
    return colors


def class_style(classes: Iterable[Any], nodata: int) -> dict[str, Any]:
    """Names and colours of a class table, as keyword arguments for a labels layer; `nodata` is not shown."""
    from napari.utils.colormaps import DirectLabelColormap

    table = list(classes)
    colors: dict[int | None, Any] = {entry.value: entry.color for entry in table}
    # None is every other value; 0 must be there, and stays see-through even when it is a class.
    colors |= {None: "#808080", 0: "transparent", nodata: "transparent"}
    features = {"index": [entry.value for entry in table], "name": [entry.name for entry in table]}
    return {"features": features, "colormap": DirectLabelColormap(color_dict=colors)}
