"""Zarr and OME-Zarr, formats 2 and 3: opened, not read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from ..errors import InputError
from .image_file import AXES, ImageFile, PixelSize, unit_name

__all__ = ["StoredArray", "read_zarr"]

# Names of dimensions that other programs use for the axes of an image.
_WORDS = {
    "T": ("time",),
    "Z": ("depth", "plane"),
    "C": ("channel", "channels", "band", "bands"),
    "Y": ("lat", "latitude", "row", "height"),
    "X": ("lon", "longitude", "column", "width"),
}
_NAMES = {name: letter for letter, words in _WORDS.items() for name in (letter.lower(), *words)}


class StoredArray:
    """A Zarr array on the disk; a damaged chunk is an `InputError` when it is read.

    It has `shape`, `dtype`, `ndim`, `chunks` and slicing; `source` is the Zarr array.
    """

    def __init__(self, path: Path, source: zarr.Array[Any]) -> None:
        self.path, self.source = path, source
        self.shape: tuple[int, ...] = source.shape
        self.dtype: np.dtype[Any] = source.dtype
        self.ndim: int = source.ndim
        self.chunks: tuple[int, ...] = source.chunks

    def __getitem__(self, key: Any) -> Any:
        try:
            return self.source[key]
        except (IndexError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - each compression has errors of its own
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise InputError(f"A chunk of {str(self.path)!r} is damaged: {reason}.") from None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)


def read_zarr(path: Path) -> ImageFile:
    """Open the array at `path`, or the full resolution of the OME-Zarr there; nothing is read into memory."""
    node = zarr.open(str(path), mode="r")
    if isinstance(node, zarr.Group) and "bioformats2raw.layout" in _ome(node):
        node = node["0"]
    if isinstance(node, zarr.Array):
        return ImageFile(path, StoredArray(path, node), _letters(_dimensions(node)))
    scales = _ome(node).get("multiscales")
    if scales:
        return _open_ome(path, node, scales[0])
    arrays = sorted(name for name, _ in node.arrays())
    if len(arrays) != 1:
        names = ", ".join(map(repr, arrays)) or "no array"
        raise InputError(
            f"{str(path)!r} is a Zarr group with {names}; give the path of one array, such as {path}/NAME."
        )
    return read_zarr(path / arrays[0])


def _open_ome(path: Path, group: zarr.Group, scale: Mapping[str, Any]) -> ImageFile:
    dataset = scale["datasets"][0]
    array = group[dataset["path"]]
    if not isinstance(array, zarr.Array):
        raise InputError(f"{str(path)!r} names {dataset['path']!r} as its full resolution, which is no array.")
    entries = [entry if isinstance(entry, Mapping) else {"name": entry} for entry in scale.get("axes", [])]
    axes = _letters([str(entry["name"]) for entry in entries]) if entries else AXES[-array.ndim :]
    if axes is not None and len(axes) != array.ndim:
        axes = None
    channels = _ome(group).get("omero", {}).get("channels") or []
    names = tuple(str(channel["label"]) for channel in channels if "label" in channel)
    return ImageFile(path, StoredArray(path, array), axes, names or None, _pixel_size(axes, entries, scale, dataset))


def _pixel_size(
    axes: str | None, entries: list[Mapping[str, Any]], scale: Mapping[str, Any], dataset: Mapping[str, Any]
) -> PixelSize | None:
    """Size from the transformations of the data set and of all data sets together."""
    if axes is None or not entries:
        return None
    sizes = [1.0] * len(axes)
    found = False
    for transformation in [
        *dataset.get("coordinateTransformations", []),
        *scale.get("coordinateTransformations", []),
    ]:
        factors = transformation.get("scale")
        if isinstance(factors, list) and len(factors) == len(axes):
            sizes = [size * float(factor) for size, factor in zip(sizes, factors, strict=True)]
            found = True
    unit = entries[axes.index("X")].get("unit")
    size = dict(zip(axes, sizes, strict=True))
    if not found or not unit or not all(math.isfinite(each) and each > 0 for each in sizes):
        return None
    return PixelSize(size["Y"], size["X"], unit_name(str(unit)), size.get("Z"))


def _ome(group: zarr.Group) -> Mapping[str, Any]:
    """The OME metadata of a group, in the place of format 0.5 or of 0.4."""
    attributes = dict(group.attrs)
    inner = attributes.get("ome")
    return inner if isinstance(inner, Mapping) else attributes


def _dimensions(array: Any) -> list[str] | None:
    """Dimension names, in the place of Zarr 3 or of xarray for Zarr 2."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return [str(name) for name in names] if names else None


def _letters(names: list[str] | None) -> str | None:
    letters = [_NAMES.get(name.lower(), "?") for name in names or []]
    known = "?" not in letters and len(set(letters)) == len(letters) and {"Y", "X"} <= set(letters)
    return "".join(letters) if known else None
