"""GeoTIFF files as layers of napari, and such layers as GeoTIFF files again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.classes import LabelClass, default_color
from ..errors import FcnError, InputError, OutputError
from .dress import paint
from .raster import GeoInfo, open_levels, read_info, write_geotiff
from .sidecar import write_sidecars

__all__ = ["get_reader", "place", "read_layers", "write_layer"]

KEY = "geo"
"""Where a layer's metadata says its place."""
CHUNK = 1024
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
    """One image layer a file, that reads the pixels which are looked at.

    Three bands of 8 bits are a picture in colour with axes YXC; other rasters are a stack of bands with axes CYX.
    Overviews become the smaller levels of a multiscale layer. The layer lies at `(-y, x)` in map units, because
    napari's rows run downwards; what the file said of its place, bands and nodata stands unchanged in the layer's
    metadata.
    """
    return [_layer(Path(each)) for each in ([path] if isinstance(path, str) else path)]


def place(info: GeoInfo) -> dict[str, Any]:
    """Where napari has to put the planes `(Y, X)` of a raster: `scale` and `translate`, or `affine` when it is rotated.

    Pixel centres are where the file has them, with y turned around.
    """
    a, b, c, d, e, f = info.transform
    x, y = c + (a + b) / 2, -(f + (d + e) / 2)
    if info.rotated or a < 0:
        return {"affine": np.array([[-e, -d, y], [b, a, x], [0.0, 0.0, 1.0]])}
    return {"scale": (-e, a), "translate": (y, x)}


def _layer(path: Path) -> LayerData:
    import dask.array as da

    info = read_info(path)
    wrap: Any = da.from_array
    levels = [
        wrap(level, chunks=(level.shape[0], CHUNK, CHUNK), name=False, asarray=False) for level in open_levels(path)
    ]
    rgb = len(info.bands) == 3 and info.dtype == "uint8"
    where, axes = place(info), "YXC" if rgb else "YX" if len(info.bands) == 1 else "CYX"
    if rgb:
        levels = [da.moveaxis(level, 0, -1) for level in levels]
    elif len(info.bands) == 1:
        levels = [level[0] for level in levels]
    else:
        where = _for_stack(where)
    settings: dict[str, Any] = {
        "name": path.stem,
        "rgb": rgb,
        "metadata": {
            KEY: info.to_json(),
            "bands": list(info.bands),
            "napari_fcn": {"axes": axes},  # what the widgets look for
            "nodata": info.nodata,
        },
        **where,
    }
    if not rgb:
        settings["contrast_limits"] = _contrast(levels[-1], info)
    if len(levels) > 1:
        settings["multiscale"] = True
    return (levels if len(levels) > 1 else levels[0], settings, "image")


def _for_stack(where: dict[str, Any]) -> dict[str, Any]:
    if "affine" in where:
        whole = np.eye(4)
        whole[1:, 1:] = where["affine"]
        return {"affine": whole}
    return {"scale": (1.0, *where["scale"]), "translate": (0.0, *where["translate"])}


def _contrast(smallest: Any, info: GeoInfo) -> tuple[float, float]:
    """The range of most values of a few thousand pixels that have data."""
    step = max(1, max(smallest.shape[-2:]) // 64)
    values = np.asarray(smallest[..., ::step, ::step]).astype(np.float64).ravel()
    values = values[np.isfinite(values)]
    if info.nodata is not None:
        values = values[values != info.nodata]
    if not values.size:
        return (0.0, 1.0)
    low, high = np.percentile(values, [1, 99])
    return (float(low), float(high) if high > low else float(low) + 1)


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
        array = array.astype(np.min_scalar_type(int(array.max(initial=0))))
    count = len(array) if array.ndim == 3 else 1
    bands = info.bands if len(info.bands) == count and not is_labels else ()
    write_geotiff(path, array, info, nodata=0 if is_labels else info.nodata, bands=bands, overwrite=True)
    if is_labels:
        classes = _classes(array, facts)
        paint(path, classes)
        write_sidecars(path, classes)
    return [path]


def _classes(labels: Any, facts: dict[str, Any]) -> list[LabelClass]:
    """The classes of a layer's class table, or of its values."""
    table = facts.get("classes") or []
    if table:
        return [LabelClass(int(e["value"]), str(e["name"]), str(e["color"])) for e in table]
    return [LabelClass(int(v), f"class {v}", default_color(int(v))) for v in np.unique(labels) if v]
