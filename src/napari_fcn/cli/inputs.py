"""Files to learn from, read and checked against each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data import check_axes, guess_axes, spatial_axes
from ..errors import InputError
from ..io import ImageFile, find_files, pair_by_stem, read_image, read_labels
from .console import say
from .maps import draw_polygons, polygon_file, with_bands
from .remarks import remark

__all__ = ["LabelledFiles", "Pairs", "common_nodata", "find_pairs", "pair_paths", "read_pairs"]

Pairs = list[tuple[Path, Path]]


@dataclass(frozen=True)
class LabelledFiles:
    """Images and labels in memory, with what their files say.

    Attributes
    ----------
    names : of the images, for people.
    images, labels : arrays.
    axes : of all images.
    nodata : image value of missing pixels, where a file states it.
    pixel_size : in micrometres or map units, where all files state the same for Y and X.
    class_names : of label values, where labels are polygons with names.
    ignore : label values that mark missing pixels, where files of labels state it; what 0 means is a setting.
    placed : whether all images say where on Earth they lie.
    """

    names: list[str]
    images: list[npt.NDArray[Any]]
    labels: list[npt.NDArray[np.integer]]
    axes: str
    nodata: float | None
    pixel_size: float | None
    class_names: dict[int, str] | None = None
    ignore: tuple[int, ...] = ()
    placed: bool = False


def find_pairs(images: str, labels: str, held_out: str | None) -> tuple[Pairs, Pairs]:
    """Pairs to learn from, and pairs to measure on, whose labels are among `labels` too."""
    if polygon_file(labels):
        return _pairs_with_polygons(images, labels, held_out)
    label_files = find_files(labels)
    measured: Pairs = []
    if held_out is not None:
        measured, alone = pair_by_stem(find_files(held_out), label_files)
        _tell_unpaired(alone)
    kept = {image.resolve() for image, _ in measured}
    found = find_files(images)
    files = [file for file in found if file.resolve() not in kept]
    if not files:
        raise InputError("No image is left to learn from: all of them are held out by --validation.")
    if found == [Path(images).expanduser()] and label_files == [Path(labels).expanduser()] and held_out is None:
        return [(found[0], label_files[0])], []
    pairs, alone = pair_by_stem(files, label_files)
    _tell_unpaired(alone)
    return pairs, measured


def pair_paths(files: str, labels: str) -> Pairs:
    """Pairs of files and labels; two files that are named one by one belong together whatever their names are."""
    return find_pairs(files, labels, None)[0]


def _pairs_with_polygons(images: str, labels: str, held_out: str | None) -> tuple[Pairs, Pairs]:
    """The same file of polygons for all images."""
    measured = [] if held_out is None else find_files(held_out)
    kept = {image.resolve() for image in measured}
    files = [file for file in find_files(images) if file.resolve() not in kept]
    if not files:
        raise InputError("No image is left to learn from: all of them are held out by --validation.")
    return [(file, Path(labels)) for file in files], [(file, Path(labels)) for file in measured]


def read_pairs(
    pairs: Pairs,
    axes: str | None,
    bands: str | None = None,
    reflectance: str | None = None,
    nodata: float | None = None,
) -> LabelledFiles:
    """Read images and labels; their axes as given, as the files say, or as shapes suggest, but one for all.

    With `bands`, channels are chosen and computed by name, of the values that `reflectance` makes; polygons become
    labels on their image's grid. `nodata` is the value of missing pixels where the user says it. What is surprising
    about the images is said.

    Raises
    ------
    InputError
        A file cannot be read, or images and labels do not fit; the message names the files.
    """
    files = [read_image(image, lazy=False) for image, _ in pairs]
    class_names: dict[int, str] | None = None
    ignore: set[int | None] = set()
    if pairs and polygon_file(str(pairs[0][1])):
        labels, class_names = draw_polygons(pairs)
    else:
        labels = [read_labels(label) for _, label in pairs]
        from ..io.geotiff import stated_nodata  # only here: it loads tifffile

        ignore = {stated_nodata(label) for _, label in pairs}
    found: dict[str, Path] = {}
    for file, label, (_, label_path) in zip(files, labels, pairs, strict=True):
        found.setdefault(_fitting_axes(file, label, label_path, axes), file.path)
    if len(found) > 1:
        (first, one), (second, other), *_ = found.items()
        raise InputError(
            f"All images must have the same axes. Got {first} in {str(one)!r} and {second} in {str(other)!r}; "
            "train on each kind by itself, or convert one."
        )
    read_axes = next(iter(found))
    remark(files, read_axes, nodata)
    files = [with_bands(file, read_axes, bands, reflectance) for file in files]
    return LabelledFiles(
        [image.name for image, _ in pairs],
        [file.array for file in files],
        labels,
        read_axes if bands is None else str(files[0].axes),
        common_nodata(files),
        _common_pixel_size(files),
        class_names,
        tuple(sorted(value for value in ignore if value)),
        all(file.placed for file in files),
    )


def _fitting_axes(file: ImageFile, label: npt.NDArray[Any], label_path: Path, given: str | None) -> str:
    shape = tuple(file.array.shape)
    try:
        axes = check_axes(given, shape) if given else file.axes
        if axes is None or (not given and len(spatial_axes(axes)) != label.ndim):
            axes = guess_axes(shape, labels_shape=label.shape)
    except InputError as error:
        raise InputError(f"{file.path}: {error}") from None
    wanted = tuple(size for size, letter in zip(shape, axes, strict=True) if letter != "C")
    if wanted != label.shape:
        raise InputError(
            f"Labels must have their image's shape without channels. Got {label.shape} in {str(label_path)!r} for "
            f"{shape} (axes {axes}) in {str(file.path)!r}."
        )
    return axes


def common_nodata(files: Sequence[ImageFile]) -> float | None:
    """The image value of missing pixels that files state; `InputError` when they state different ones."""
    stated = {file.nodata for file in files if file.nodata is not None and not np.isnan(file.nodata)}
    if len(stated) > 1:
        raise InputError(
            f"The images state different values for missing pixels, {', '.join(f'{v:g}' for v in sorted(stated))}; "
            "say which one counts with --nodata."
        )
    return stated.pop() if stated else None


def _common_pixel_size(files: Sequence[ImageFile]) -> float | None:
    sizes = {(size.y, size.x, size.unit) if (size := file.pixel_size) else None for file in files}
    common = sizes.pop()
    return common[0] if not sizes and common and common[0] == common[1] else None


def _tell_unpaired(files: Sequence[Path]) -> None:
    if files:
        names = ", ".join(file.name for file in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
        say(f"Without labels, and left out: {names}.")
