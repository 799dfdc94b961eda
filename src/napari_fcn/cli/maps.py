"""What maps need beside arrays: bands by name, polygons in and out, names and colours beside results."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data import check_axes
from ..data.axes import guess_axes
from ..errors import InputError, OutputError
from ..io import ImageFile, check_output, output_paths, read_image, read_labels
from .console import say

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["MapResults", "axes_with_bands", "draw_polygons", "polygon_file", "with_bands"]

_POLYGONS = re.compile(r"(?P<path>.*\.(gpkg|geojson|json|shp))(:(?P<attribute>[^/\\:]+))?", re.IGNORECASE)


def polygon_file(text: str) -> tuple[Path, str | None] | None:
    """The file and the attribute of FILE.gpkg or FILE.gpkg:ATTRIBUTE; None for what is no file of polygons."""
    match = _POLYGONS.fullmatch(text)
    return None if match is None else (Path(match["path"]).expanduser(), match["attribute"])


def draw_polygons(pairs: Sequence[tuple[Path, Path]]) -> tuple[list[npt.NDArray[Any]], dict[int, str]]:
    """Labels on the grids of the images, from one file of polygons, and the classes' names."""
    from ..geo import rasterize, read_info

    source = polygon_file(str(pairs[0][1]))
    if source is None:  # who calls has asked
        return [], {}
    path, attribute = source
    drawn = [rasterize(path, read_info(image), attribute, may_be_empty=len(pairs) > 1) for image, _ in pairs]
    for note in dict.fromkeys(note for each in drawn for note in each.notes):
        say(note)
    if not any(each.labels.any() for each in drawn):
        raise InputError(f"No polygon of {str(path)!r} covers a pixel of one of the images; is the place right?")
    return [each.labels for each in drawn], drawn[0].names


def axes_with_bands(file: ImageFile) -> str:
    """The axes of a file whose channels are to be chosen by name."""
    return file.axes or guess_axes(tuple(file.array.shape))


def with_bands(file: ImageFile, axes: str, bands: str | None, reflectance: str | None = None) -> ImageFile:
    """The file with reflectance for values, and the channels that `bands` asks for; computed when they are read."""
    if reflectance is not None:
        from ..geo import as_reflectance

        file = dataclasses.replace(file, array=as_reflectance(file.array, reflectance, file.nodata))
    if bands is None:
        return file
    from ..geo import BandStack, parse_bands

    axes = check_axes(axes, file.array.shape)
    count = file.array.shape[axes.index("C")] if "C" in axes else 1
    chosen = parse_bands(bands, _names(file, count), count)
    stack = BandStack(file.array, axes, chosen, file.nodata)
    names = tuple(band.name for band in chosen)
    return dataclasses.replace(file, array=stack, axes=stack.axes, channel_names=names)


def _names(file: ImageFile, count: int) -> Sequence[str]:
    """What a file calls its bands, as layers in napari show it; empty where it says nothing."""
    from ..io.geotiff import has_georeference

    if has_georeference(file.path) and find_spec("rasterio"):
        from ..geo import read_info

        names = read_info(file.path).bands
        if len(names) == count:
            return names
    return file.channel_names or ()


class MapResults:
    """Polygons, and names and colours beside the labels, of each image that was segmented."""

    def __init__(self, arguments: Namespace, files: Sequence[Path]) -> None:
        self.overwrite, self.cog = arguments.overwrite, arguments.cog
        self.polygons: dict[Path, Path] = {}
        if arguments.polygons is not None:
            from ..geo.regions import check_polygon_path

            given = Path(arguments.polygons).expanduser()
            if len(files) == 1:
                check_polygon_path(given)
                self.polygons = {files[0]: given}
            else:
                results = output_paths(given, files)
                self.polygons = {file: result.with_suffix(".gpkg") for file, result in zip(files, results, strict=True)}
            for path in self.polygons.values():
                check_output(path, self.overwrite)
        if self.polygons or self.cog:
            from ..geo.extra import need

            need("rasterio", "pyogrio", "shapely")
        self.temporary = bool(self.polygons) and arguments.probabilities is None

    def prepare(self, targets: Sequence[dict[Any, Path]], stack: ExitStack) -> None:
        """Have probabilities written where polygons need them and nobody wants to keep them."""
        if self.cog and not all(path.suffix.lower() in (".tif", ".tiff") for each in targets for path in each.values()):
            raise OutputError("--cog makes GeoTIFF files cloud-optimised; give results the suffix '.tif'.")
        if self.temporary:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="napari-fcn-")))
            for number, each in enumerate(targets):
                each["probabilities"] = folder / f"{number}.tif"

    def finish(self, file: Path, target: dict[Any, Path], segmenter: Segmenter) -> None:
        """Write what goes with the labels of one image."""
        from ..io.geotiff import has_georeference

        labels = target["labels"]
        is_map = labels.suffix.lower() in (".tif", ".tiff") and has_georeference(labels)
        if is_map and find_spec("rasterio"):
            self._dress(file, target, segmenter)
        if is_map:
            from ..geo import write_sidecars

            write_sidecars(labels, segmenter.classes)
        if file in self.polygons:
            self._write_polygons(file, target, segmenter)
        if self.temporary:
            target.pop("probabilities").unlink(missing_ok=True)

    def _dress(self, file: Path, target: dict[Any, Path], segmenter: Segmenter) -> None:
        """Colours into the labels, bands instead of pages, and overviews on request."""
        from ..geo import read_info
        from ..geo.dress import paint, stack_bands
        from ..geo.raster import to_cog

        paint(target["labels"], segmenter.classes)
        bands = {"probabilities": list(segmenter.classes.names.values()), "uncertainty": ["uncertainty"]}
        for kind, names in bands.items():
            path = target.get(kind)
            if path is not None and path.suffix.lower() in (".tif", ".tiff"):
                labels = target["labels"]
                stack_bands(path, read_info(file), names, labels=labels, nodata=segmenter.nodata_value)
        if self.cog:
            for kind, path in target.items():
                if not (kind == "probabilities" and self.temporary):
                    to_cog(path, nearest=kind == "labels")

    def _write_polygons(self, file: Path, target: dict[Any, Path], segmenter: Segmenter) -> None:
        from ..geo import polygonize, read_info
        from ..io.geotiff import has_georeference

        path = target["labels"]
        is_map = path.suffix.lower() in (".tif", ".tiff") and has_georeference(path)
        values: Any = _MapRows(path) if is_map else read_labels(path)
        if len(values.shape) != 2:
            raise InputError(f"Polygons are made of one plane of labels. Got shape {values.shape}.")
        polygonize(
            values,
            read_info(file),
            self.polygons[file],
            names=segmenter.classes.names,
            probabilities=_ClassFirst(read_image(target["probabilities"])),
            overwrite=self.overwrite,
        )

    def document(self) -> dict[str, Any]:
        """What to tell programs."""
        return {"polygons": [str(path) for path in self.polygons.values()]} if self.polygons else {}


class _MapRows:
    """Labels `(H, W)` of a map, of which rows are read when they are asked for."""

    def __init__(self, path: Path) -> None:
        from ..geo import RasterArray

        self.array = RasterArray(path)
        bands, *plane = self.array.shape
        self.shape = tuple(plane) if bands == 1 else self.array.shape

    def __getitem__(self, rows: slice) -> npt.NDArray[Any]:
        return self.array[0, rows]


class _ClassFirst:
    """Probabilities `(K, H, W)` of a file, of which rows are read when they are asked for."""

    def __init__(self, file: ImageFile) -> None:
        self.array, axes = file.array, file.axes or "CYX"
        self.axes = axes if len(axes) == len(self.array.shape) else "CYX"

    def __getitem__(self, key: tuple[slice, slice]) -> npt.NDArray[Any]:
        parts = {"C": key[0], "Y": key[1], "X": slice(None)}
        found = np.asarray(self.array[tuple(parts.get(letter, 0) for letter in self.axes)])
        kept = [letter for letter in self.axes if letter in parts]
        return np.moveaxis(found, [kept.index(letter) for letter in "CYX"], [0, 1, 2])
