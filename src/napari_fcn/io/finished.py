"""From a complete Zarr to the file that was wanted, read through once: TIFF, .npy, PNG; and the pyramid of OME-Zarr."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .image_file import PixelSize

__all__ = ["MAKERS", "add_pyramid"]

TILE = 512
CLASSIC_TIFF = 2**32 - 2**25
SMALLEST_LEVEL = 512
"""The coarsest level of a pyramid is not larger than this."""


def _make_tiff(path: Path, array: Any, axes: str, *, georeference: Path | None, nodata: float | None) -> None:
    import tifffile

    from .geotiff import geo_tags

    height, width = array.shape[-2:]
    tiled = height > TILE or width > TILE
    tifffile.imwrite(
        path,
        _tiles(array) if tiled else array[...],
        shape=array.shape,
        dtype=array.dtype,
        bigtiff=math.prod(array.shape) * array.dtype.itemsize > CLASSIC_TIFF,
        photometric="minisblack",
        compression="zlib",
        tile=(TILE, TILE) if tiled else None,
        # The words in which tifffile notes the axes would be a second description beside that of a GeoTIFF.
        metadata={"axes": axes},
        extratags=[] if georeference is None else geo_tags(georeference, nodata),
    )


def _tiles(array: Any) -> Iterator[npt.NDArray[Any]]:
    """The tiles of all pages, those at the edges filled up."""
    height, width = array.shape[-2:]
    for page in np.ndindex(*array.shape[:-2]):
        for top in range(0, height, TILE):
            band = np.asarray(array[(*page, slice(top, top + TILE), slice(None))])
            for left in range(0, width, TILE):
                tile = np.zeros((TILE, TILE), array.dtype)
                piece = band[:, left : left + TILE]
                tile[: piece.shape[0], : piece.shape[1]] = piece
                yield tile


def _make_npy(path: Path, array: Any, axes: str, **_: Any) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(array.dtype), "fortran_order": False, "shape": array.shape}
    with path.open("wb") as stream:
        np.lib.format.write_array_header_2_0(stream, header)
        for page in np.ndindex(*array.shape[:-2]):
            for top in range(0, array.shape[-2], TILE):
                stream.write(np.ascontiguousarray(array[(*page, slice(top, top + TILE), slice(None))]).data)


def _make_png(path: Path, array: Any, axes: str, **_: Any) -> None:
    from PIL import Image

    labels = np.asarray(array[...])
    if labels.dtype not in (np.uint8, np.uint16):
        labels = labels.astype(np.uint8 if labels.max() < 256 else np.uint16)
    Image.fromarray(labels).save(path, format="PNG")


def _keep_zarr(path: Path, array: Any, axes: str, **_: Any) -> None:
    raise NotImplementedError("A Zarr is moved, not made.")


MAKERS: dict[str, Callable[..., None]] = {
    ".tif": _make_tiff,
    ".tiff": _make_tiff,
    ".npy": _make_npy,
    ".png": _make_png,
    ".zarr": _keep_zarr,
}


def add_pyramid(root: Path, axes: str, size: PixelSize | None, labels: bool) -> None:
    """Add coarser levels and the metadata of OME-Zarr 0.5 to a group whose array "0" is complete.

    Each level has half the height and width of the one before: of labels one of four pixels is taken, of others the
    mean.
    """
    import zarr

    group = zarr.open_group(str(root), mode="r+")
    level, datasets, factors = 0, [], dict.fromkeys(axes, 1.0)
    while True:
        array: Any = group[str(level)]
        scale = [_size(size, letter) * factors[letter] for letter in axes]
        datasets.append({"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]})
        if max(array.shape[axes.index(letter)] for letter in "YX") <= SMALLEST_LEVEL:
            break
        coarser = _coarser(group, str(level + 1), array, axes, labels)
        for letter in "YX":
            factors[letter] = array_size(group["0"], axes, letter) / array_size(coarser, axes, letter)
        level += 1
    kinds = {"T": "time", "C": "channel"}
    entries = []
    for letter in axes:
        entry = {"name": letter.lower(), "type": kinds.get(letter, "space")}
        if size is not None and letter in "ZYX":
            entry["unit"] = size.unit
        entries.append(entry)
    multiscale: dict[str, Any] = {
        "name": root.name,
        "axes": entries,
        "datasets": datasets,
        "type": "nearest" if labels else "mean",
    }
    group.attrs["ome"] = {"version": "0.5", "multiscales": [multiscale]}


def array_size(array: Any, axes: str, letter: str) -> int:
    """Length of an array along an axis."""
    return int(array.shape[axes.index(letter)])


def _size(size: PixelSize | None, letter: str) -> float:
    if size is None or letter not in "ZYX":
        return 1.0
    return {"Y": size.y, "X": size.x, "Z": size.z or 1.0}[letter]


def _coarser(group: Any, name: str, array: Any, axes: str, labels: bool) -> Any:
    """The next level, made of bands of the one before."""
    y, x = axes.index("Y"), axes.index("X")
    shape = [-(-side // 2) if letter in "YX" else side for side, letter in zip(array.shape, axes, strict=True)]
    chunks = tuple(min(chunk, side) for chunk, side in zip(array.chunks, shape, strict=True))
    coarser = group.create_array(
        name, shape=shape, dtype=array.dtype, chunks=chunks, dimension_names=[a.lower() for a in axes], fill_value=0
    )
    band, walked = chunks[y], [i for i in range(len(axes)) if i not in (y, x)]
    for index in np.ndindex(*(array.shape[i] for i in walked)):
        key: list[Any] = [slice(None)] * len(axes)
        for i, at in zip(walked, index, strict=True):
            key[i] = slice(at, at + 1)
        for top in range(0, shape[y], band):
            key[y] = slice(2 * top, 2 * (top + band))
            fine = np.asarray(array[tuple(key)])
            key[y] = slice(top, top + band)
            coarser[tuple(key)] = _half(fine, y, x, labels)
    return coarser


def _half(fine: npt.NDArray[Any], y: int, x: int, labels: bool) -> npt.NDArray[Any]:
    if labels:
        picked: list[Any] = [slice(None)] * fine.ndim
        picked[y] = picked[x] = slice(None, None, 2)
        taken: npt.NDArray[Any] = fine[tuple(picked)]
        return taken
    for axis in (y, x):
        if fine.shape[axis] % 2:
            fine = np.concatenate([fine, np.take(fine, [-1], axis)], axis)
        even: list[Any] = [slice(None)] * fine.ndim
        odd = list(even)
        even[axis], odd[axis] = slice(0, None, 2), slice(1, None, 2)
        fine = (fine[tuple(even)] + fine[tuple(odd)]) / 2
    return fine
