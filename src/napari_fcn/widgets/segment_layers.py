"""Results of Segment as layers: into the layer that it made before, a new one, or one that somebody paints in."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels

from . import layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from ..segmenter import Segmenter
    from .segment_job import Part, Result

__all__ = ["Target", "show"]


@dataclass(frozen=True)
class Target:
    """An image layer as it was when work began, it may be gone at the end; and where its labels go.

    Attributes
    ----------
    name, identity, axes, shape : of the image.
    whole : where it lies, from `layers.geometry`.
    part : what was segmented of it.
    into : a labels layer over the whole image to write into.
    place : what the image's metadata say of the part's place on Earth, as metadata of its labels.
    """

    name: str
    identity: str
    axes: str
    shape: tuple[int, ...]
    whole: dict[str, Any]
    part: Part
    into: Labels | None = None
    place: dict[str, Any] = field(default_factory=dict)

    @property
    def spatial(self) -> str:
        """The axes without C."""
        return self.axes.replace("C", "")

    @property
    def key(self) -> tuple[slice, ...]:
        """The part among the labels of the whole image."""
        spatial_shape = [size for axis, size in zip(self.axes, self.shape, strict=True) if axis != "C"]
        return self.part.key(self.spatial, spatial_shape)

    @property
    def geometry(self) -> dict[str, Any]:
        """Where the part lies."""
        return layers.window_geometry(self.whole, [side.start for side in self.key])


def show(viewer: Viewer, target: Target, segmenter: str, trained: Segmenter, result: Result) -> tuple[Labels, str]:
    """Show a result; the layer of labels, and what was done to it: "Added", "Updated" or "Changed"."""
    if target.into is not None and target.into in viewer.layers:
        shown = _write_into(target.into, target.key, result.labels), "Changed"
    else:
        style = layers.class_style(trained.classes, trained.nodata_value)
        shown = _show_labels(viewer, target, "segmentation", segmenter, result.labels, style)
    if result.probabilities is not None:
        geometry = _with_classes(target.geometry)
        extra = {"colormap": "viridis", "contrast_limits": (0, 1), "axis_labels": geometry.pop("axis_labels")}
        note = {
            "classes": [entry.name for entry in trained.classes],
            "channel_names": [e.name for e in trained.classes],
        }
        _show_image(viewer, target, "probabilities", segmenter, result.probabilities, geometry | extra, note)
    if result.uncertainty is not None:
        extra = {"colormap": "inferno", "contrast_limits": (0, 1), "opacity": 0.6}
        _show_image(viewer, target, "uncertainty", segmenter, result.uncertainty, target.geometry | extra, {})
    if result.instances is not None:
        _show_labels(viewer, target, "objects", segmenter, result.instances, {})
    return shown


def _write_into(layer: Labels, key: tuple[slice, ...], labels: np.ndarray[Any, Any]) -> Labels:
    """Change the pixels that differ, so that one undo takes it back."""
    changed = np.nonzero(np.asarray(layer.data[key]) != labels)
    if changed[0].size:
        where = tuple(indices + side.start for indices, side in zip(changed, key, strict=True))
        layer.data_setitem(where, labels[changed].astype(layer.data.dtype))
    return layer


def _show_labels(
    viewer: Viewer, target: Target, kind: str, segmenter: str, labels: np.ndarray[Any, Any], style: dict[str, Any]
) -> tuple[Labels, str]:
    """Put labels into the layer that was made of the same part of the same image, or into a new one."""
    facts = {"source": target.identity, "segmenter": segmenter, "kind": kind, "checksum": _checksum(labels)}
    if not target.part.whole:
        facts["part"] = repr(target.key)
    geometry = target.geometry
    layer = _own_layer(viewer, Labels, facts, labels.ndim)
    if layer is None:
        layer = Labels(labels, name=f"{target.name} {kind}", **geometry, **style)
        layer.metadata.update(target.place)
        layer.metadata[layers.KEY] = facts
        layer = viewer.add_layer(layer)
        verb = "Added"
    else:
        layer.data = labels
        for attribute, value in (geometry | style).items():
            setattr(layer, attribute, value)
        verb = "Updated"
    _note(layer, facts)
    return layer, verb


def _show_image(
    viewer: Viewer,
    target: Target,
    kind: str,
    segmenter: str,
    data: np.ndarray[Any, Any],
    options: dict[str, Any],
    note: dict[str, Any],
) -> None:
    facts = {"source": target.identity, "segmenter": segmenter, "kind": kind, **note}
    if not target.part.whole:
        facts["part"] = repr(target.key)
    layer = _own_layer(viewer, Image, facts, data.ndim)
    if layer is None:
        camera = viewer.scene.camera
        seen = camera.center, camera.zoom
        layer = viewer.add_layer(Image(data, name=f"{target.name} {kind}", **options))
        camera.center, camera.zoom = seen  # an axis more, that of classes, makes napari show everything
    else:
        layer.data = data
        for attribute in ("scale", "translate", "rotate", "shear", "affine", "units"):
            setattr(layer, attribute, options[attribute])
    _note(layer, facts)


def _note(layer: Any, facts: dict[str, Any]) -> None:
    # Only when it is in the viewer its name is known: napari makes it unique.
    layer.metadata[layers.KEY] = facts | {"layer": str(layer.unique_id), "name": layer.name}


def _own_layer(viewer: Viewer, kind: type[Any], wanted: dict[str, Any], ndim: int) -> Any:
    """The layer that was made of the same, unless somebody has renamed, copied or painted in it."""
    for layer in viewer.layers:
        facts = layers.facts(layer)
        same = all(facts.get(name) == wanted.get(name) for name in ("source", "kind", "part"))
        if type(layer) is not kind or layer.ndim != ndim or not same:
            continue
        known = facts.get("layer") == str(layer.unique_id) and facts.get("name") == layer.name
        if known and (kind is Image or facts.get("checksum") == _checksum(layer.data)):
            return layer
    return None


def _with_classes(geometry: dict[str, Any]) -> dict[str, Any]:
    """Where a stack of classes lies: an axis before the others."""
    one = np.eye(len(geometry["scale"]) + 1)
    rotate, shear = one.copy(), one.copy()
    rotate[1:, 1:], shear[1:, 1:] = geometry["rotate"], geometry["shear"]
    affine = np.eye(len(one) + 1)
    affine[1:, 1:] = geometry["affine"]
    return {
        "scale": np.r_[1, geometry["scale"]],
        "translate": np.r_[0, geometry["translate"]],
        "rotate": rotate,
        "shear": shear,
        "affine": affine,
        "units": ("pixel", *geometry["units"]),
        "axis_labels": ("class", *geometry["axis_labels"]),
    }


def _checksum(labels: Any) -> int:
    return zlib.crc32(np.ascontiguousarray(labels).data)
