"""The samples as layers: what File > Open Sample shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from .. import samples

if TYPE_CHECKING:
    from napari.types import LayerDataTuple

__all__ = ["landsat", "nuclei"]

METRES = 30.0  # side of a Landsat pixel
NATURAL_COLOURS = ("red", "green", "blue")
UNNAMED = "#ff00ff"  # a label that has no class yet must be seen where it is painted


def nuclei() -> list[LayerDataTuple]:
    """Stained tissue: a stack of training images, its labels, and a stack that nobody should learn from.

    Returns
    -------
    list of LayerDataTuple
        Images of axes TYXC, uint8; labels of axes TYX, uint8, where 0 is the background.
    """
    sample = samples.load("nuclei")
    axes = ("image", "y", "x")
    train: dict[str, Any] = {"name": "nuclei", "rgb": True, "axis_labels": axes, "metadata": _facts(sample, "TYXC")}
    test = train | {"name": "nuclei, not for training", "visible": False}
    labels = {"name": "nuclei labels", "axis_labels": axes, "opacity": 0.5} | _class_table(sample)
    return [
        (np.stack(sample.test_images), test, "image"),
        (np.stack(sample.train_images), train, "image"),
        (np.stack(sample.train_labels), labels | {"metadata": _facts(sample, "TYX")}, "labels"),
    ]


def landsat() -> list[LayerDataTuple]:
    """Land cover: a scene of eight bands to learn from, the same in natural colours to look at, and its sparse labels.

    Returns
    -------
    list of LayerDataTuple
        The bands as they are, axes CYX, int16; red, green and blue stretched for the eye, axes YXC, uint8; labels of
        axes YX, uint8, where 0 is unlabelled. Pixels are 30 m wide.
    """
    sample = samples.load("landsat")
    bands = sample.train_images[0]
    composite = bands[..., [sample.channel_names.index(name) for name in NATURAL_COLOURS]]
    plane: dict[str, Any] = {"scale": (METRES, METRES), "units": ("m", "m"), "axis_labels": ("y", "x")}
    stack = {"scale": (1, METRES, METRES), "units": ("pixel", "m", "m"), "axis_labels": ("band", "y", "x")}
    limits = np.percentile(bands[..., :-1], (0.5, 99.5))  # the last band, Fmask, is a class and not a reflectance
    return [
        (
            np.moveaxis(bands, -1, 0),
            stack | {"name": "landsat", "contrast_limits": limits, "metadata": _facts(sample, "CYX")},
            "image",
        ),
        (
            _stretched(composite),
            plane | {"name": "landsat, natural colours (to look at)", "rgb": True},
            "image",
        ),
        (
            sample.train_labels[0],
            plane | {"name": "landsat labels", "metadata": _facts(sample, "YX")} | _class_table(sample),
            "labels",
        ),
    ]


def _facts(sample: samples.Sample, axes: str) -> dict[str, Any]:
    """What a layer has no field for."""
    facts = {
        "axes": axes,
        "zero": sample.zero,
        "channel_names": sample.channel_names,
        "licence": sample.licence,
        "citation": sample.citation,
    }
    return {"napari_fcn": facts}


def _class_table(sample: samples.Sample) -> dict[str, Any]:
    """The classes as a labels layer carries them: names by value in `features`, colours in `colormap`."""
    names = {0: sample.zero} | {entry.value: entry.name for entry in sample.classes}
    colours = {entry.value: entry.colour for entry in sample.classes} | {0: "transparent", None: UNNAMED}
    return {
        "features": {"index": list(names), "name": list(names.values())},
        "colormap": DirectLabelColormap(color_dict=colours),
    }


def _stretched(image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """`image` (Y, X, C), each channel's 2nd to 98th percentile spread over 0 to 255, as uint8."""
    low, high = np.percentile(image, (2, 98), axis=(0, 1))
    return np.asarray(np.clip((image - low) / (high - low), 0, 1) * 255, dtype=np.uint8)
