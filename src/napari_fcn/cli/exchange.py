"""The verbs `export`, a segmenter for other programs, and `import`, a segmenter of one of theirs."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..data import Planes
from ..errors import InputError
from ..io import check_output, find_files, read_image
from .console import show
from .maps import with_bands

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["FORMATS", "export", "take_over"]

FORMATS = {
    "onnx": "one ONNX file, for any batch and image size",
    "deepness": "the same fixed to a tile size, which QGIS's Deepness wants",
    "bioimageio": "a BioImage.IO package, for ilastik, Fiji's deepImageJ and others",
}


def export(arguments: Namespace) -> int:
    """Write a segmenter in another program's format."""
    from ..segmenter import Segmenter

    check_output(arguments.output, arguments.overwrite)
    segmenter = Segmenter.load(arguments.model)
    if arguments.images:
        segmenter = _measured(segmenter, arguments.images)
    text, facts = _WRITERS[arguments.format](segmenter, arguments)
    show({"output": arguments.output, "format": arguments.format, **facts}, text, arguments.json)
    return 0


def take_over(arguments: Namespace) -> int:
    """Make a segmenter of a whole network that another program trained."""
    from dataclasses import replace

    from ..data import ClassTable
    from ..export.start import read_start
    from .keeping import product_path

    output = product_path(arguments.output, arguments.overwrite, "A segmenter")
    options = {name: getattr(arguments, name) for name in ("architecture", "encoder") if hasattr(arguments, name)}
    segmenter, _, report = read_start(arguments.model, options)
    if segmenter is None:
        raise InputError(
            f"{report} Only whole networks become segmenters; train --init {arguments.model} starts from what fits."
        )
    if arguments.class_names:
        names = [name.strip() for name in arguments.class_names.split(",")]
        if len(names) != len(segmenter.classes):
            raise InputError(f"--class-names needs {len(segmenter.classes)} names, one a class. Got {len(names)}.")
        renamed = (replace(entry, name=name) for entry, name in zip(segmenter.classes, names, strict=True))
        segmenter = replace(segmenter, classes=ClassTable(tuple(renamed)))
    segmenter.save(output, overwrite=arguments.overwrite)
    text = f"{report}\n{segmenter.describe()}\nThe segmenter is in {output}.".strip()
    show({"output": str(output), "report": report}, text, arguments.json)
    return 0


def _onnx(segmenter: Segmenter, arguments: Namespace) -> tuple[str, dict[str, Any]]:
    from ..export.onnx_file import TILE, export_onnx

    side = arguments.tile_size
    if arguments.format == "deepness":
        side = side or TILE
    elif side is not None:
        raise InputError("--tile-size belongs to --format deepness; an ONNX file takes any size. Leave it out.")
    same = export_onnx(
        segmenter, arguments.output, side=side, resolution=arguments.resolution, overwrite=arguments.overwrite
    )
    text = f"{arguments.output} gives the class that the segmenter gives for {same:.2%} of the pixels of random images."
    return text, {"agreement": same}


def _bioimageio(segmenter: Segmenter, arguments: Namespace) -> tuple[str, dict[str, Any]]:
    from ..export.bioimageio_writing import export_bioimageio

    if arguments.tile_size is not None or arguments.resolution is not None:
        raise InputError("--tile-size and --resolution belong to --format deepness; leave them out.")
    export_bioimageio(
        segmenter, arguments.output, author=arguments.author, licence=arguments.licence, overwrite=arguments.overwrite
    )
    return f"The package is in {arguments.output}.", {}


_WRITERS: dict[str, Callable[[Segmenter, Namespace], tuple[str, dict[str, Any]]]] = {
    "onnx": _onnx,
    "deepness": _onnx,
    "bioimageio": _bioimageio,
}


def _measured(segmenter: Segmenter, images: str) -> Segmenter:
    """The segmenter with the statistics of some images, instead of those of its training images."""
    from ..data.normalization import statistics
    from ..export.onnx_file import with_statistics

    views = []
    for file in map(read_image, find_files(images)):
        file = with_bands(file, "", None, segmenter.training.get("reflectance"))
        axes = segmenter.axes_for(file.array.shape, file.axes)
        picked = segmenter.training.get("channels")
        planes = Planes(file.array, axes)
        if planes.channels != segmenter.channels and picked:
            planes = Planes(file.array, axes, tuple(picked))
        if planes.channels != segmenter.channels:
            raise InputError(
                f"{str(file.path)!r} must have {segmenter.channels} channels for this segmenter. Got {planes.channels}."
            )
        views.append(planes)
    return with_statistics(segmenter, statistics(views, segmenter.normalization.nodata))
