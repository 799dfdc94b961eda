"""How good a segmentation is: one confusion matrix over all pixels of all images, and what follows from it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import functions
from .confusion import Matrix, confusion_matrix, present_values

__all__ = ["ClassScores", "Scores", "score_pairs"]

_MOST_CLASSES = 1000


@dataclass(frozen=True)
class ClassScores:
    """The scores of one class; NaN for a class that is in neither truth nor prediction. `pixels` are true ones."""

    value: int
    name: str
    iou: float
    dice: float
    precision: float
    recall: float
    pixels: int


@dataclass(frozen=True)
class Scores:
    """Scores of a segmentation; print it for a table.

    Attributes
    ----------
    mean_iou, mean_dice : means over the classes that are in truth or prediction.
    pixel_accuracy : the part of the counted pixels that is right.
    confusion : `(K, K)` counts as nested tuples, rows truth, columns prediction, in the order of `values`.
    values : label values of the classes, ascending.
    classes : scores of each class.
    """

    mean_iou: float
    pixel_accuracy: float
    mean_dice: float
    confusion: tuple[tuple[int, ...], ...]
    values: tuple[int, ...]
    classes: tuple[ClassScores, ...]

    @classmethod
    def from_confusion(cls, confusion: Matrix, values: Sequence[int], names: Mapping[int, str] | None = None) -> Scores:
        """Scores from a confusion matrix `(K, K)`, the K label values of its rows, and names of some of them."""
        iou, dice = functions.iou(confusion), functions.dice(confusion)
        columns = zip(
            values,
            iou.tolist(),
            dice.tolist(),
            functions.precision(confusion).tolist(),
            functions.recall(confusion).tolist(),
            confusion.sum(axis=1).tolist(),
            strict=True,
        )
        names = names or {}
        return cls(
            mean_iou=functions.mean(iou),
            pixel_accuracy=functions.pixel_accuracy(confusion),
            mean_dice=functions.mean(dice),
            confusion=tuple(tuple(row) for row in confusion.tolist()),
            values=tuple(int(value) for value in values),
            classes=tuple(ClassScores(int(v), names.get(int(v), str(v)), *scores) for v, *scores in columns),
        )

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes; what is not defined is None."""
        document: dict[str, Any] = _without_nan(asdict(self))
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Scores:
        """The scores that `to_json` described."""
        scores = dict(_with_nan(document))
        scores["classes"] = tuple(ClassScores(**row) for row in scores["classes"])
        scores["confusion"] = tuple(tuple(row) for row in scores["confusion"])
        return cls(**{**scores, "values": tuple(scores["values"])})

    def __str__(self) -> str:
        width = max(5, *(len(row.name) for row in self.classes)) if self.classes else 5
        lines = [f"{'class':<{width}}  {'IoU':>6}  {'Dice':>6}  {'precision':>9}  {'recall':>6}  {'pixels':>11}"]
        for row in self.classes:
            lines.append(
                f"{row.name:<{width}}  {_shown(row.iou):>6}  {_shown(row.dice):>6}  {_shown(row.precision):>9}  "
                f"{_shown(row.recall):>6}  {row.pixels:>11,}"
            )
        lines.append(f"{'mean':<{width}}  {_shown(self.mean_iou):>6}  {_shown(self.mean_dice):>6}")
        lines.append(f"pixel accuracy {_shown(self.pixel_accuracy)}")
        return "\n".join(lines)


def score_pairs(
    pairs: Iterable[tuple[npt.ArrayLike, npt.ArrayLike]],
    *,
    zero: str = "background",
    ignore: Iterable[int] = (),
    names: Mapping[int, str] | None = None,
) -> Scores:
    """Compare predicted labels with true ones, pooled over all pixels of all pairs.

    Parameters
    ----------
    pairs : (prediction, truth), integers of the same shape; taken one after the other, so they may be read on the way.
    zero : "background" when 0 is a class, "unlabelled" when pixels whose truth is 0 are not to be counted.
    ignore : pixels where truth or prediction has one of these values are not counted.
    names : names of label values; a named class is in the table even when it is nowhere in the images.

    Raises
    ------
    InputError
        When shapes differ, arrays do not hold integers, or no pixel is left to count.

    Examples
    --------
    >>> print(score_pairs([([[1, 1], [0, 0]], [[1, 0], [0, 0]])], names={0: "background", 1: "cell"}))
    class          IoU    Dice  precision  recall       pixels
    background   0.667   0.800      1.000   0.667            3
    cell         0.500   0.667      0.500   1.000            1
    mean         0.583   0.733
    pixel accuracy 0.750
    """
    if zero not in ("background", "unlabelled"):
        raise InputError(f"`zero` must be 'background' or 'unlabelled'. Got {zero!r}.")
    ignored = set(ignore)
    values = np.array([], dtype=np.int64)
    total = np.zeros((0, 0), dtype=np.int64)
    for prediction, truth in pairs:
        prediction, truth = np.asarray(prediction), np.asarray(truth)
        here = np.union1d(present_values(truth), present_values(prediction))
        here = here[~np.isin(here, list(ignored))]
        if len(here) > _MOST_CLASSES:
            raise InputError(
                f"Labels to be compared must be classes, at most {_MOST_CLASSES}. Got {len(here)} different values, "
                "which look like numbered objects."
            )
        matrix = confusion_matrix(truth, prediction, here)
        if zero == "unlabelled":
            matrix[here == 0] = 0
        values, total = _add(values, total, here, matrix)
    if not total.sum():
        raise InputError("There is no pixel to compare: all of them are unlabelled or ignored.")
    named = np.array([value for value in names or {} if value not in ignored], dtype=np.int64)
    if zero == "unlabelled":
        named = named[named != 0]
    counted = values[(total.sum(axis=0) + total.sum(axis=1)) > 0]
    shown = np.union1d(counted, named)
    values, total = _add(shown, np.zeros((len(shown), len(shown)), dtype=np.int64), values, total)
    keep = np.isin(values, shown)
    return Scores.from_confusion(total[np.ix_(keep, keep)], values[keep].tolist(), names)


def _add(
    values: npt.NDArray[np.int64], total: Matrix, more: npt.NDArray[np.int64], matrix: Matrix
) -> tuple[npt.NDArray[np.int64], Matrix]:
    """The sum of two confusion matrices over the union of their values."""
    union = np.union1d(values, more)
    result = np.zeros((len(union), len(union)), dtype=np.int64)
    for part_values, part in ((values, total), (more, matrix)):
        places = np.searchsorted(union, part_values)
        result[np.ix_(places, places)] += part
    return union, result


def _shown(score: float) -> str:
    return "-" if math.isnan(score) else f"{score:.3f}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(each) for each in value]
    return value


def _with_nan(value: Any) -> Any:
    if value is None:
        return math.nan
    if isinstance(value, Mapping):
        return {key: _with_nan(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_with_nan(each) for each in value]
    return value
