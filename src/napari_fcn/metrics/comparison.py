"""Everything that can be said about a segmentation beside the truth, in one object: pixels, objects, boundaries."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .boundaries import BoundaryScores, boundary_scores
from .objects import THRESHOLDS, ObjectScores, object_scores, regions_of
from .scores import Scores, score_pairs

__all__ = ["OBJECTS", "ClassObjects", "Comparison", "compare"]

OBJECTS = {
    "regions": "connected regions of each class",
    "numbers": "every value is an object, 0 is none",
    "none": "do not count objects",
}
"""What objects are."""


@dataclass(frozen=True)
class ClassObjects:
    """Objects of one class at IoU 0.5 to 0.95."""

    value: int
    name: str
    scores: tuple[ObjectScores, ...]

    @property
    def half(self) -> ObjectScores:
        """At IoU 0.5."""
        return self.scores[0]

    @property
    def mean_average_precision(self) -> float:
        """Mean of the average precision over all thresholds."""
        return float(np.mean([score.average_precision for score in self.scores]))


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes
    ----------
    scores : by pixels.
    objects, boundaries : by class; empty when they were not asked for.
    errors : uint8 in the shape of the labels: 1 where prediction and truth differ and count, else 0.
    unit : of distances.
    """

    scores: Scores
    objects: tuple[ClassObjects, ...]
    boundaries: tuple[BoundaryScores, ...]
    errors: npt.NDArray[np.uint8]
    unit: str = "pixels"

    def rows(self) -> list[dict[str, Any]]:
        """One dictionary a class, with the same keys in each; None where something is not defined."""
        objects = {entry.value: entry for entry in self.objects}
        boundaries = {entry.value: entry for entry in self.boundaries}
        rows = []
        for entry in self.scores.classes:
            row: dict[str, Any] = {
                "value": entry.value,
                "class": entry.name,
                "iou": entry.iou,
                "dice": entry.dice,
                "precision": entry.precision,
                "recall": entry.recall,
                "pixels": entry.pixels,
            }
            if self.objects:
                found = objects.get(entry.value)
                row["objects"] = None if found is None else found.half.found + found.half.missed
                row["object_f1"] = None if found is None else found.half.f1
                row["object_ap"] = None if found is None else found.half.average_precision
                row["object_ap_mean"] = None if found is None else found.mean_average_precision
            if self.boundaries:
                apart = boundaries.get(entry.value)
                row[f"hausdorff_{self.unit}"] = None if apart is None else apart.hausdorff
                row[f"hausdorff95_{self.unit}"] = None if apart is None else apart.hausdorff95
                row[f"mean_distance_{self.unit}"] = None if apart is None else apart.mean_distance
            rows.append({key: None if isinstance(v, float) and math.isnan(v) else v for key, v in row.items()})
        return rows

    def to_csv(self, separator: str = ",") -> str:
        """The rows as a table with a header, then the totals; spreadsheets paste it when tabulators separate."""
        rows = self.rows()
        text = io.StringIO()
        writer = csv.writer(text, delimiter=separator, lineterminator="\n")
        writer.writerow(rows[0])
        writer.writerows([["" if value is None else value for value in row.values()] for row in rows])
        scores = self.scores
        total = [("mean", scores.mean_iou, scores.mean_dice), ("pixel accuracy", scores.pixel_accuracy, "")]
        writer.writerows([["", name, iou, dice, *[""] * (len(rows[0]) - 4)] for name, iou, dice in total])
        return text.getvalue()


def compare(
    prediction: npt.NDArray[Any],
    truth: npt.NDArray[Any],
    *,
    zero: str = "background",
    ignore: Sequence[int] = (),
    counted: npt.NDArray[np.bool_] | None = None,
    names: Mapping[int, str] | None = None,
    objects: str = "regions",
    boundaries: bool = True,
    spacing: Sequence[float] | None = None,
    unit: str = "pixels",
) -> Generator[float, None, Comparison]:
    """Compare predicted labels with true ones in every way.

    Parameters
    ----------
    prediction, truth : integers of the same shape, any number of axes.
    zero, ignore, names : as for `score_pairs`.
    counted : bool; pixels outside count nowhere. None counts all.
    objects : one of `OBJECTS`. With "numbers", both sides are numbered objects, and the pixels' classes are object or
        not.
    boundaries : whether to measure distances of boundaries.
    spacing, unit : size of a pixel along the last two or three axes, for distances; axes before them are walked
        through, and the greatest of their distances counts.

    Yields
    ------
    The finished part, between 0 and 1.

    Raises
    ------
    InputError
        Shapes differ, labels are no integers, there are too many classes, or nothing is left to compare.
    """
    if objects not in OBJECTS:
        raise InputError(f"`objects` must be one of {', '.join(OBJECTS)}. Got {objects!r}.")
    if prediction.shape != truth.shape:
        raise InputError(f"Prediction and truth must have the same shape. Got {prediction.shape} and {truth.shape}.")
    valid = ~(np.isin(truth, list(ignore)) | np.isin(prediction, list(ignore)))
    if counted is not None:
        valid &= counted
    numbered = objects == "numbers"
    if zero == "unlabelled" and not numbered:
        valid &= truth != 0
    if not valid.any():
        raise InputError("There is no pixel to compare: all of them are unlabelled, ignored or outside the region.")
    classes = [labels != 0 if numbered else labels for labels in (prediction, truth)]
    named = {0: "no object", 1: "object"} if numbered else names
    scores = score_pairs([(classes[0][valid], classes[1][valid])], names=named)
    if not numbered and names:
        scores = _only_present(scores, names)
    yield 0.2
    values = [value for value in scores.values if value != 0]
    found = []
    for number, value in enumerate(values if objects != "none" else ()):
        if numbered:
            true, predicted = (np.where(valid, labels, 0) for labels in (truth, prediction))
        else:
            true, predicted = (regions_of(labels, value, valid) for labels in (truth, prediction))
        name = next(entry.name for entry in scores.classes if entry.value == value)
        found.append(ClassObjects(value, name, object_scores(true, predicted, THRESHOLDS)))
        yield 0.2 + 0.4 * (number + 1) / len(values)
    apart: list[BoundaryScores] = []
    for number, value in enumerate(values if boundaries else ()):
        name = next(entry.name for entry in scores.classes if entry.value == value)
        apart.append(_boundaries(classes[1], classes[0], value, name, valid, spacing))
        yield 0.6 + 0.35 * (number + 1) / len(values)
    errors = (valid & (prediction != truth if not numbered else classes[0] != classes[1])).astype(np.uint8)
    return Comparison(scores, tuple(found), tuple(apart), errors, unit)


def _only_present(scores: Scores, names: Mapping[int, str]) -> Scores:
    """The scores without classes that are nowhere: a layer may name many more than an image has."""
    matrix = np.array(scores.confusion)
    there = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    values = [value for value, present in zip(scores.values, there, strict=True) if present]
    return Scores.from_confusion(matrix[np.ix_(there, there)], values, names)


def _boundaries(
    truth: npt.NDArray[Any],
    prediction: npt.NDArray[Any],
    value: int,
    name: str,
    valid: npt.NDArray[np.bool_],
    spacing: Sequence[float] | None,
) -> BoundaryScores:
    """Of one class; of several frames, the greatest distances, and the mean of the means."""
    depth = min(truth.ndim, len(spacing) if spacing is not None else 3)
    sizes = tuple(spacing or (1.0,) * depth)[-depth:]
    frames = [
        boundary_scores(truth[at], prediction[at], [value], spacing=sizes, counted=valid[at])[0]
        for at in np.ndindex(truth.shape[: truth.ndim - depth])
    ]
    there = [frame for frame in frames if not math.isnan(frame.hausdorff)]
    if not there:
        return BoundaryScores(value, name, math.nan, math.nan, math.nan)
    return BoundaryScores(
        value,
        name,
        max(frame.hausdorff for frame in there),
        max(frame.hausdorff95 for frame in there),
        float(np.mean([frame.mean_distance for frame in there])),
    )
