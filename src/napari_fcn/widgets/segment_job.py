"""What Segment does in its thread: segment arrays or files, and make of it what was asked for."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .worker import Progress, Stop

if TYPE_CHECKING:
    from ..segmenter import Segmenter
    from .live import Live

__all__ = ["FolderJob", "Part", "Result", "SegmentJob", "Watched", "WatchedJob"]

Array = npt.NDArray[Any]
MARGIN = 64
"""Pixels of surroundings that the network sees beyond a part of an image."""


@dataclass(frozen=True)
class Part:
    """Which part of an image: an index, range or everything for each axis that is no channel.

    Attributes
    ----------
    index : along the axes that are walked through; None for all of them.
    rows, columns : in pixels; None for all.
    """

    index: tuple[int, ...] | None = None
    rows: slice | None = None
    columns: slice | None = None

    @property
    def whole(self) -> bool:
        """Whether it is the whole image."""
        return self == Part()

    def key(self, axes: str, shape: Sequence[int]) -> tuple[slice, ...]:
        """Slices for an array of these axes and this shape; those of C are whole."""
        walked = iter(self.index or ())
        sides = {"Y": self.rows, "X": self.columns}
        key = []
        for axis, size in zip(axes, shape, strict=True):
            if axis in "YX":
                part = sides[axis]
            elif axis == "C" or self.index is None:
                part = None
            else:
                where = next(walked)
                part = slice(where, where + 1)
            key.append(slice(0, size) if part is None else part)
        return tuple(key)

    def widened(self, axes: str, shape: Sequence[int]) -> Part:
        """The part with its surroundings."""
        height, width = (shape[axes.index(axis)] for axis in "YX")
        return Part(self.index, _widened(self.rows, height), _widened(self.columns, width))

    def within(self, whole: Part, axes: str, shape: Sequence[int]) -> tuple[slice, ...]:
        """Slices that cut this part out of `whole`, whose array has this shape."""
        inner = {
            "Y": _shifted(self.rows, whole.rows),
            "X": _shifted(self.columns, whole.columns),
        }
        return tuple(inner.get(axis) or slice(0, size) for axis, size in zip(axes, shape, strict=True))


def _widened(side: slice | None, size: int) -> slice | None:
    return None if side is None else slice(max(0, side.start - MARGIN), min(size, side.stop + MARGIN))


def _shifted(inner: slice | None, outer: slice | None) -> slice | None:
    if inner is None or outer is None:
        return None
    return slice(inner.start - outer.start, inner.stop - outer.start)


@dataclass(frozen=True)
class Result:
    """What was made of one image, each `spatial` array over the part that was asked for; None where not asked for."""

    labels: Array
    probabilities: npt.NDArray[np.float32] | None = None
    uncertainty: npt.NDArray[np.float32] | None = None
    instances: npt.NDArray[np.int32] | None = None


@dataclass(frozen=True)
class SegmentJob:
    """All that segmenting layers needs, without widgets or layers.

    Attributes
    ----------
    images, axes, parts : of each.
    spacing : of each, sides of a pixel over the axes without C, for distances.
    segmenter, settings : what segments, and how.
    wanted : of "with_probabilities", "with_uncertainty", "with_objects".
    """

    images: Sequence[Any]
    axes: Sequence[str]
    parts: Sequence[Part]
    spacing: Sequence[tuple[float, ...]]
    segmenter: Segmenter
    settings: Mapping[str, Any]
    wanted: frozenset[str] = frozenset()

    def run(self, stop: Stop) -> Generator[Progress, None, list[Result] | None]:
        """Segment one image after the other, in the worker's thread; None when it was told to stop."""
        yield Progress(None, "Preparing…")
        results: list[Result] = []
        count = len(self.images)
        for number, (image, axes, part, spacing) in enumerate(
            zip(self.images, self.axes, self.parts, self.spacing, strict=True)
        ):
            whole = part.widened(axes, image.shape)
            window = image if part.whole else image[whole.key(axes, image.shape)]
            segmenter = self.segmenter if part.whole else self.segmenter.settled_on(image, axes)
            scores = bool(self.wanted & {"with_probabilities", "with_uncertainty"})
            options = {**self.settings, "probabilities": True} if scores else dict(self.settings)
            steps = segmenter.predict_steps(window, axes, **options)
            try:
                while not stop.is_set():
                    fraction = (number + next(steps)) / count
                    of = "" if count == 1 else f", image {number + 1} of {count}"
                    yield Progress(fraction, f"{fraction:.0%} segmented{of}")
            except StopIteration as end:
                labels, probabilities = end.value
                spatial = axes.replace("C", "")
                cut = part.within(whole, spatial, labels.shape)
                made = labels[cut], None if probabilities is None else probabilities[(slice(None), *cut)]
                results.append(self._result(made, spatial, spacing))
                continue
            finally:
                steps.close()
            return None
        return results

    def _result(self, made: tuple[Array, Any], axes: str, spacing: tuple[float, ...]) -> Result:
        from ..imaging.objects import numbered
        from ..inference.predict import uncertainty

        labels, scores = made
        values = [entry.value for entry in self.segmenter.classes if entry.value != 0]
        return Result(
            labels,
            scores if "with_probabilities" in self.wanted else None,
            uncertainty(scores, self.settings["uncertainty_measure"]) if "with_uncertainty" in self.wanted else None,
            numbered(labels, axes, values, spacing=spacing) if "with_objects" in self.wanted else None,
        )


@dataclass(frozen=True)
class Watched:
    """Labels under way or complete.

    Attributes
    ----------
    live : where they are.
    fraction : of the image that is segmented.
    """

    live: Live
    fraction: float


@dataclass(frozen=True)
class WatchedJob:
    """One image whose labels are shown while they are made, what is seen of it first; it need not fit the memory.

    Attributes
    ----------
    image, axes : what is segmented.
    seen : index along the axes that are walked through, rows and columns; None where nothing is.
    segmenter, settings : what segments, and how.
    """

    image: Any
    axes: str
    seen: tuple[tuple[int, ...], slice, slice] | None
    segmenter: Segmenter
    settings: Mapping[str, Any]

    def run(self, stop: Stop) -> Generator[Progress, None, Watched | None]:
        """Segment, in the worker's thread; what there is when it was told to stop."""
        from ..inference.predictor import Output
        from .live import Live

        yield Progress(None, "Preparing…")
        predictor = self.segmenter.predictor(self.image, self.axes, **self.settings)
        frame = predictor.frame
        live = Live(frame, self.segmenter.classes.dtype)
        outputs = [Output("labels", live)]
        first = None
        if self.seen is not None:
            index, rows, columns = self.seen
            first = frame.planes.index(index), rows, columns
        regions = predictor.regions(first)
        done, fraction = 0, 0.0
        pixels = len(frame.planes) * frame.height * frame.width
        try:
            while not stop.is_set():
                region = next(regions, None)
                if region is None:
                    return Watched(live, 1.0)
                predictor.give(outputs, region)
                done += (region.rows.stop - region.rows.start) * (region.columns.stop - region.columns.start)
                fraction = done / pixels
                yield Progress(fraction, f"{fraction:.0%} segmented", live)
        finally:
            regions.close()  # type: ignore[attr-defined]
        return Watched(live, fraction) if fraction else None


@dataclass(frozen=True)
class FolderJob:
    """Files to segment, each result complete or not there.

    Attributes
    ----------
    source, output : file, folder or glob to read; file or folder to write.
    axes : of all files; as the files or the segmenter say when None.
    overwrite : replace results that exist.
    """

    source: str
    output: str
    segmenter: Segmenter
    settings: Mapping[str, Any] = field(default_factory=dict)
    axes: str | None = None
    overwrite: bool = False

    def run(self, stop: Stop) -> Generator[Progress, None, list[Path]]:
        """Segment, in the worker's thread; the files that are complete."""
        from ..data import spatial_axes
        from ..io import check_output, find_files, output_paths, read_image, write_labels

        files = find_files(self.source)
        outputs = output_paths(self.output, files)
        for path in outputs:
            check_output(path, self.overwrite)
        done: list[Path] = []
        for file, output in zip(files, outputs, strict=True):
            if stop.is_set():
                break
            try:
                image = read_image(file)
                axes = self.segmenter.axes_for(tuple(image.array.shape), self.axes or image.axes)
                steps = self.segmenter.predict_steps(image.array, axes, **self.settings)
                labels = None
                while not stop.is_set():
                    try:
                        fraction = (len(done) + next(steps)) / len(files)
                    except StopIteration as end:
                        labels = end.value[0]
                        break
                    yield Progress(fraction, f"{file.name}: {len(done)} of {len(files)} files segmented")
            except InputError as error:
                raise type(error)(str(error) if file.name in str(error) else f"{file}: {error}") from None
            if labels is not None:
                write_labels(output, labels, axes=spatial_axes(axes), overwrite=self.overwrite)
                done.append(output)
        return done
