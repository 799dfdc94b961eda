"""The verbs that apply a segmenter and judge its results: `predict` and `evaluate`."""

from __future__ import annotations

import dataclasses
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import DataConfig, PredictionConfig
from ..data import Planes, spatial_axes
from ..errors import InputError, OutputError
from ..io import (
    ImageFile,
    check_labels_format,
    check_output,
    find_files,
    output_paths,
    read_image,
    read_labels,
    write_array,
    write_labels,
)
from ..options import split
from .console import Progress, say, show
from .follow import check_report
from .inputs import Pairs, pair_paths
from .options import given_settings

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["evaluate", "predict"]


def predict(arguments: Namespace) -> int:
    """Segment files one after the other; each result is complete or not there."""
    settings = given_settings(arguments, PredictionConfig)
    split(settings, PredictionConfig)
    files = find_files(arguments.images)
    outputs = output_paths(arguments.output, files)
    scores = _probability_paths(arguments.probabilities, files, outputs)
    for path in (*outputs, *(score for score in scores if score is not None)):
        check_output(path, arguments.overwrite)
    from ..segmenter import Segmenter

    segmenter = Segmenter.load(arguments.model)
    begin = time.perf_counter()
    done = 0
    try:
        with Progress("segmenting") as progress:
            for file, output, score in zip(files, outputs, scores, strict=True):
                try:
                    job = _Job(segmenter, read_image(file), arguments, settings, output)
                    for fraction in job.run(probabilities=score is not None):
                        progress.move((done + fraction) / len(files), file.name)
                except InputError as error:
                    raise type(error)(_named(file, error)) from None
                write_labels(output, job.labels, axes=job.axes, overwrite=arguments.overwrite)
                if score is not None:
                    write_array(score, job.probabilities, axes=f"C{job.axes}", overwrite=arguments.overwrite)
                done += 1
    except KeyboardInterrupt:
        say(f"napari-fcn: Stopped; {done} of {len(files)} images are segmented, in {arguments.output}.")
        return 130
    seconds = time.perf_counter() - begin
    document: dict[str, Any] = {"outputs": [str(path) for path in outputs], "seconds": round(seconds, 3)}
    if arguments.probabilities:
        document["probabilities"] = [str(path) for path in scores]
    text = f"{len(files)} image{'s' * (len(files) != 1)} segmented in {seconds:.1f} s, in {arguments.output}."
    show(document, text, arguments.json)
    return 0


class _Job:
    """One image to segment; after `run` was gone through, `labels` and `probabilities` are there."""

    labels: Any = None
    probabilities: Any = None

    def __init__(
        self, segmenter: Segmenter, file: ImageFile, arguments: Namespace, settings: dict[str, Any], output: Path
    ) -> None:
        self.segmenter = _with_nodata(segmenter, file)
        self.array = file.array
        self.all_axes = segmenter.axes_for(file.array.shape, getattr(arguments, "axes", None) or file.axes)
        self.axes = spatial_axes(self.all_axes)
        self.settings = {"channels": getattr(arguments, "channels", None), **settings}
        shape = Planes(file.array, self.all_axes).spatial_shape
        values = (*segmenter.classes.values, segmenter.nodata_value)
        if segmenter.postprocess.numbers:
            values = (0, 65535)  # as many objects as a PNG can tell apart
        check_labels_format(output, shape, min(values), max(values))

    def run(self, probabilities: bool) -> Iterator[float]:
        """Segment, giving the finished part now and then."""
        steps = self.segmenter.predict_steps(self.array, self.all_axes, probabilities=probabilities, **self.settings)
        self.labels, self.probabilities = yield from steps


def _with_nodata(segmenter: Segmenter, file: ImageFile) -> Segmenter:
    """The segmenter, told what this file says about missing pixels."""
    if file.nodata is None:
        return segmenter
    normalization = dataclasses.replace(segmenter.normalization, nodata=file.nodata)
    return dataclasses.replace(segmenter, normalization=normalization)


def _named(file: Path, error: InputError) -> str:
    return str(error) if file.name in str(error) else f"{file}: {error}"


def _probability_paths(where: str | None, files: Sequence[Path], outputs: Sequence[Path]) -> Sequence[Path | None]:
    if where is None:
        return [None] * len(files)
    scores = output_paths(where, files, kind="probabilities")
    twice = {path.resolve() for path in outputs} & {path.resolve() for path in scores}
    if twice:
        raise OutputError(
            f"Labels and probabilities would both be written to {str(twice.pop())!r}; give them different places."
        )
    return scores


def evaluate(arguments: Namespace) -> int:
    """Score predicted labels."""
    from ..metrics import score_pairs

    settings = given_settings(arguments, DataConfig)
    split(settings, DataConfig)
    check_report(arguments.report, arguments.overwrite)
    scores = score_pairs(_label_pairs(pair_paths(arguments.predictions, arguments.labels)), **settings)
    document = scores.to_json()
    if arguments.report:
        from ..report import evaluation_report

        evaluation_report(arguments.report, scores)
        document["report"] = arguments.report
    show(document, str(scores), arguments.json)
    return 0


def _label_pairs(pairs: Pairs) -> Iterator[tuple[Any, Any]]:
    for prediction, truth in pairs:
        predicted, true = read_labels(prediction), read_labels(truth)
        if predicted.shape != true.shape:
            raise InputError(
                f"Prediction and truth must have the same shape. Got {predicted.shape} in {str(prediction)!r} and "
                f"{true.shape} in {str(truth)!r}."
            )
        yield predicted, true
