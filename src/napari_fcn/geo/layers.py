"""GeoTIFF files as layers of napari, and such layers as GeoTIFF files again."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.classes import LabelClass, default_color
from ..errors import FcnError, InputError, OutputError
from .dress import paint
from .raster import GeoInfo, RasterArray, open_levels, read_info, write_geotiff
from .sidecar import write_sidecars

__all__ = ["get_reader", "place", "read_layers", "write_layer"]

KEY = "geo"
"""Where a layer's metadata says its place."""
CHUNK = 1024
SAMPLES, SAMPLE = 6, 64
"""Along each side so many windows of so many pixels are read for the range of values that is shown."""
COLOURS = ("red", "green", "blue")
LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """`read_layers` for rasters with a place on Earth; None for others, which napari reads by itself."""
    paths = [path] if isinstance(path, str) else list(path)
    try:
        placed = [read_info(each).crs is not None for each in paths]
    except FcnError:
        return None
    return read_layers if placed and all(placed) else None


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """One image layer a file, that reads the pixels which are looked at, and a view in colour where bands have them.

    Three bands of 8 bits are a picture in colour with axes YXC; other rasters are a stack of bands with axes CYX. Where
    three of these are called red, green and blue, a picture of them lies above, with values from the 2nd to the 98th
    percentile as 0 to 255. Overviews become the smaller levels of a multiscale layer. The layer lies at `(-y, x)` in
    map units, because napari's rows run downwards; what the file said of its place, bands and nodata stands unchanged
    in the layer's metadata.
    """
    return [layer for each in ([path] if isinstance(path, str) else path) for layer in _layers(Path(each))]


def place(info: GeoInfo) -> dict[str, Any]:
    """Where napari has to put the planes `(Y, X)` of a raster: `scale` and `translate`, or `affine` when it is rotated.

    Pixel centres are where the file has them, with y turned around.
    """
    a, b, c, d, e, f = info.transform
    x, y = c + (a + b) / 2, -(f + (d + e) / 2)
    if info.rotated or a < 0:
        return {"affine": np.array([[-e, -d, y], [b, a, x], [0.0, 0.0, 1.0]])}
    return {"scale": (-e, a), "translate": (y, x)}


def _layers(path: Path) -> list[LayerData]:
    import dask.array as da

    info = read_info(path)
    sources = open_levels(path)
    wrap: Any = da.from_array
    levels = [wrap(level, chunks=(level.shape[0], CHUNK, CHUNK), name=False, asarray=False) for level in sources]
    rgb = len(info.bands) == 3 and info.dtype == "uint8"
    where, axes = place(info), "YXC" if rgb else "YX" if len(info.bands) == 1 else "CYX"
    settings: dict[str, Any] = {
        "name": path.stem,
        "rgb": rgb,
        "metadata": {
            KEY: info.to_json(),
            "bands": list(info.bands),
            "napari_fcn": {"axes": axes},  # what the widgets look for
            "nodata": info.nodata,
        },
        **(_for_stack(where) if axes == "CYX" else where),
    }
    if rgb:
        return [_image([da.moveaxis(level, 0, -1) for level in levels], settings)]
    sampled = _sampled(sources[-1], info)
    settings["contrast_limits"] = _range(np.concatenate(sampled), 1)
    found = [_image(levels if axes == "CYX" else [level[0] for level in levels], settings)]
    names = [name.lower() for name in info.bands]
    if axes == "CYX" and all(colour in names for colour in COLOURS):
        bands = [names.index(colour) for colour in COLOURS]
        stretch = functools.partial(_stretched, ranges=[_range(sampled[band], 2) for band in bands])
        # Chunks of one band each, or all bands would be read for three.
        alone = [wrap(level, chunks=(1, CHUNK, CHUNK), name=False, asarray=False)[bands] for level in sources]
        planes = [da.moveaxis(level, 0, -1).rechunk({2: len(bands)}) for level in alone]
        pictures = [plane.map_blocks(stretch, dtype=np.uint8) for plane in planes]
        metadata = {KEY: {**info.to_json(), "bands": COLOURS, "nodata": None}, "napari_fcn": {"axes": "YXC"}}
        found.append(_image(pictures, {"name": f"{path.stem} in colour", "rgb": True, "metadata": metadata, **where}))
    return found


def _image(levels: list[Any], settings: dict[str, Any]) -> LayerData:
    if len(levels) > 1:
        return levels, {**settings, "multiscale": True}, "image"
    return levels[0], settings, "image"


def _for_stack(where: dict[str, Any]) -> dict[str, Any]:
    if "affine" in where:
        whole = np.eye(4)
        whole[1:, 1:] = where["affine"]
        return {"affine": whole}
    return {"scale": (1.0, *where["scale"]), "translate": (0.0, *where["translate"])}


def _sampled(level: RasterArray, info: GeoInfo) -> list[npt.NDArray[np.float64]]:
    """Of each band some values that are there, from windows all over the raster: not all of its pixels are read."""
    _, height, width = level.shape
    parts = []
    for row in np.unique(np.linspace(0, max(0, height - SAMPLE), SAMPLES).astype(int)):
        for column in np.unique(np.linspace(0, max(0, width - SAMPLE), SAMPLES).astype(int)):
            window = level[:, row : row + SAMPLE, column : column + SAMPLE]
            parts.append(window.reshape(len(window), -1).astype(np.float64))
    values = np.concatenate(parts, axis=1)
    there = np.isfinite(values)
    if info.nodata is not None:
        there &= values != info.nodata
    return [band[known] for band, known in zip(values, there, strict=True)]


def _range(values: npt.NDArray[np.float64], percent: float) -> tuple[float, float]:
    """The range of most of the values."""
    if not values.size:
        return (0.0, 1.0)
    low, high = np.percentile(values, [percent, 100 - percent])
    return (float(low), float(high) if high > low else float(low) + 1)


def _stretched(block: npt.NDArray[Any], ranges: list[tuple[float, float]]) -> npt.NDArray[np.uint8]:
    """Bands `(Y, X, 3)` as colours from 0 to 255."""
    low, high = np.array(ranges).T
    shares = np.nan_to_num((block.astype(np.float64) - low) / (high - low))
    colours: npt.NDArray[np.uint8] = (255 * np.clip(shares, 0, 1)).round().astype(np.uint8)
    return colours


def write_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image or labels layer that came from a raster, or was made of one, as a GeoTIFF at the same place.

    Raises
    ------
    InputError
        The layer does not say its place.
    OutputError
        It has another size than the raster that it names, or the file cannot be written.
    """
    facts = meta.get("metadata", {})
    if KEY not in facts:
        raise InputError(
            f"The layer {meta.get('name', '')!r} does not say where on Earth it lies; its metadata needs "
            f"{KEY!r}, as layers from GeoTIFF files have it."
        )
    known: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in facts[KEY].items()}
    info = GeoInfo(**known)
    array = np.asarray(data[0] if meta.get("multiscale") else data)
    if meta.get("rgb"):
        array = np.moveaxis(array, -1, 0)
    if array.ndim not in (2, 3):
        raise OutputError(f"A GeoTIFF holds one plane or a stack of bands. Got shape {array.shape}.")
    is_labels = "features" in meta and array.dtype.kind in "iu" and array.ndim == 2 and "rgb" not in meta
    if is_labels:
        ends = (int(array.min(initial=0)), int(array.max(initial=0)))
        array = array.astype(np.result_type(*map(np.min_scalar_type, ends)))
    count = len(array) if array.ndim == 3 else 1
    bands = info.bands if len(info.bands) == count and not is_labels else ()
    classes = _classes(array, facts) if is_labels else []
    nodata = info.nodata
    if is_labels:  # where 0 is a class, it is shown
        nodata = None if any(entry.value == 0 for entry in classes) else 0
    write_geotiff(path, array, info, nodata=nodata, bands=bands, overwrite=True)
    if is_labels:
        paint(path, classes)
        write_sidecars(path, classes)
    return [path]


def _classes(labels: Any, facts: dict[str, Any]) -> list[LabelClass]:
    """The classes of a layer's class table, or of its values."""
    table = facts.get("classes") or []
    if table:
        return [LabelClass(int(e["value"]), str(e["name"]), str(e["color"])) for e in table]
    return [LabelClass(int(v), f"class {v}", default_color(int(v))) for v in np.unique(labels) if v]
