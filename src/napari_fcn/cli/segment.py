"""The verb that applies a segmenter to files: `predict`."""

from __future__ import annotations

import dataclasses
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import PredictionConfig
from ..data import Planes, spatial_axes
from ..errors import InputError, OutputError
from ..io import ImageFile, check_labels_format, check_output, find_files, output_paths, read_image
from ..options import split
from .console import Progress, say, show
from .maps import MapResults, axes_with_bands, with_bands
from .options import given_settings
from .remarks import empty_part, tell

if TYPE_CHECKING:
    from ..inference.predictor import Kind
    from ..segmenter import Segmenter

__all__ = ["predict"]

Targets = dict["Kind", Path]


def predict(arguments: Namespace) -> int:
    """Segment files one after the other; each result is complete or not there."""
    settings = given_settings(arguments, PredictionConfig)
    split(settings, PredictionConfig)
    files = find_files(arguments.images)
    maps = MapResults(arguments, files)
    targets = _targets(arguments, files)
    resume = arguments.resume
    for each in targets:
        for path in each.values():
            if not (resume and path.exists()):
                check_output(path, arguments.overwrite)
    from ..export.reading import load_any

    segmenter = load_any(arguments.model)
    begin = time.perf_counter()
    done = 0
    try:
        with ExitStack() as stack:
            progress = stack.enter_context(Progress("segmenting"))
            client = _connect(arguments.scheduler, stack)
            maps.prepare(targets, stack)
            for file, target in zip(files, targets, strict=True):
                if not (resume and target["labels"].exists()):
                    try:
                        job = _Job(segmenter, read_image(file), arguments, settings, target)
                        for fraction in job.run(client):
                            progress.move((done + fraction) / len(files), file.name)
                        maps.finish(file, target, segmenter)
                    except InputError as error:
                        raise type(error)(_named(file, error)) from None
                done += 1
    except KeyboardInterrupt:
        say(
            f"napari-fcn: Stopped; {done} of {len(files)} images are segmented, in {arguments.output}; "
            "the same command with --resume goes on."
        )
        return 130
    seconds = time.perf_counter() - begin
    document: dict[str, Any] = {
        "outputs": [str(each["labels"]) for each in targets],
        "seconds": round(seconds, 3),
    }
    document |= {kind: [str(each[kind]) for each in targets] for kind in targets[0] if kind != "labels"}
    document |= maps.document()
    text = f"{len(files)} image{'s' * (len(files) != 1)} segmented in {seconds:.1f} s, in {arguments.output}."
    show(document, text, arguments.json)
    return 0


class _Job:
    """One image to segment into its files."""

    def __init__(
        self,
        segmenter: Segmenter,
        file: ImageFile,
        arguments: Namespace,
        settings: dict[str, Any],
        targets: Targets,
    ) -> None:
        self.segmenter = _with_nodata(segmenter, file)
        self.file, self.targets = file, targets
        self.resume, self.overwrite = arguments.resume, arguments.overwrite
        bands, scaling = segmenter.training.get("bands"), segmenter.training.get("reflectance")
        if bands and getattr(arguments, "channels", None) is None:
            axes = getattr(arguments, "axes", None) or axes_with_bands(file)
            self.file = file = with_bands(file, axes, bands, scaling)
            self.all_axes = str(file.axes)
        else:
            self.all_axes = segmenter.axes_for(file.array.shape, getattr(arguments, "axes", None) or file.axes)
        self.axes = spatial_axes(self.all_axes)
        tell([*self.file.notes, *filter(None, [self._empty()])])
        self.settings = {"channels": getattr(arguments, "channels", None), **settings}
        shape = Planes(file.array, self.all_axes).spatial_shape
        values = (*segmenter.classes.values, segmenter.nodata_value)
        if segmenter.postprocess.numbers:
            values = (0, 65535)  # as many objects as a PNG can tell apart
        check_labels_format(targets["labels"], shape, min(values), max(values))

    def _empty(self) -> str | None:
        """What to say where most of the image may be no data."""
        nodata = self.segmenter.normalization.nodata
        return empty_part(self.file, self.all_axes, nodata, "state it in the file: gdal_edit.py -a_nodata {value}")

    def run(self, client: Any) -> Iterator[float]:
        """Segment, giving the finished part now and then."""
        from ..inference.to_files import to_files

        return to_files(
            self.segmenter,
            self.file.array,
            self.all_axes,
            self.targets,
            source=self.file.path,
            pixel_size=self.file.pixel_size,
            client=client,
            resume=self.resume,
            overwrite=self.overwrite,
            **self.settings,
        )


def _connect(address: str | None, stack: ExitStack) -> Any:
    if address is None:
        return None
    from ..inference.cluster import connect

    return stack.enter_context(connect(address))


def _targets(arguments: Namespace, files: Sequence[Path]) -> list[Targets]:
    """Where the results of each image go."""
    found: list[Targets] = [{"labels": path} for path in output_paths(arguments.output, files)]
    taken = {path.resolve(): "labels" for each in found for path in each.values()}
    kinds: list[tuple[Kind, str | None]] = [
        ("probabilities", arguments.probabilities),
        ("uncertainty", arguments.uncertainty_map),
    ]
    for kind, where in kinds:
        if where is None:
            continue
        for each, path in zip(found, output_paths(where, files, kind="probabilities"), strict=True):
            other = taken.setdefault(path.resolve(), kind)
            if other != kind:
                raise OutputError(
                    f"{other.capitalize()} and {kind} would both be written to {str(path)!r}; "
                    "give them different places."
                )
            each[kind] = path
    return found


def _with_nodata(segmenter: Segmenter, file: ImageFile) -> Segmenter:
    """The segmenter, told what this file says about missing pixels."""
    if file.nodata is None:
        return segmenter
    normalization = dataclasses.replace(segmenter.normalization, nodata=file.nodata)
    return dataclasses.replace(segmenter, normalization=normalization)


def _named(file: Path, error: InputError) -> str:
    return str(error) if file.name in str(error) else f"{file}: {error}"
