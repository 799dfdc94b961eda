"""The confusion matrix: how many pixels of each true class were predicted as which class.

Every score is a function of it, and matrices of pieces, images or files add up to the matrix of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["Integers", "Matrix", "confusion_matrix", "present_values"]

Integers = npt.NDArray[np.integer]
Matrix = npt.NDArray[np.int64]

_CHUNK = 2**21  # pixels at a time: temporary arrays stay in the tens of megabytes
_TABLE = 2**20  # a look-up table up to this many entries


def confusion_matrix(truth: npt.ArrayLike, prediction: npt.ArrayLike, values: Sequence[int] | Integers) -> Matrix:
    """Count pixels by true and predicted value.

    Parameters
    ----------
    truth, prediction : integers of the same shape, any axes.
    values : the label values to count, ascending; pixels where either side has another value are left out.

    Returns
    -------
    Matrix
        int64 `(K, K)`, rows are the truth, columns the prediction.

    Raises
    ------
    InputError
        When shapes differ, or one of the arrays does not hold integers.

    Examples
    --------
    >>> confusion_matrix([1, 1, 5, 9], [1, 5, 5, 5], values=[1, 5]).tolist()
    [[1, 1], [0, 1]]
    """
    true, predicted = _checked(truth, prediction)
    index, count = _indexer(np.asarray(values, dtype=np.int64)), len(values)
    total = np.zeros((count + 1) ** 2, dtype=np.int64)
    for t, p in zip(_chunks(true), _chunks(predicted), strict=True):
        total += np.bincount(index(t) * (count + 1) + index(p), minlength=total.size)
    return total.reshape(count + 1, count + 1)[:count, :count]


def present_values(array: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """The different values in an array of integers, ascending, without sorting its pixels when they are small."""
    found: set[int] = set()
    for chunk in _chunks(_integers(array)):
        if chunk.dtype.itemsize <= 2:
            low = int(np.iinfo(chunk.dtype).min)
            found.update((np.flatnonzero(np.bincount(chunk.astype(np.int64) - low)) + low).tolist())
        else:
            found.update(np.unique(chunk).tolist())
    if found and max(found) > np.iinfo(np.int64).max:
        raise InputError(f"Label values must be less than 2**63. Got {max(found)}.")
    return np.array(sorted(found), dtype=np.int64)


def _checked(truth: npt.ArrayLike, prediction: npt.ArrayLike) -> tuple[Integers, Integers]:
    true, predicted = _integers(truth), _integers(prediction)
    if true.shape != predicted.shape:
        raise InputError(f"Prediction and truth must have the same shape. Got {predicted.shape} and {true.shape}.")
    return true, predicted


def _integers(array: npt.ArrayLike) -> Integers:
    numbers = np.asarray(array)
    if numbers.dtype.kind == "b":
        return numbers.astype(np.uint8)
    if numbers.dtype.kind not in "iu":
        raise InputError(f"Labels must be whole numbers to be compared. Got {numbers.dtype}.")
    return numbers


def _chunks(array: Integers) -> Iterator[Integers]:
    flat = array.reshape(-1)  # a view unless the array has strides that a line cannot have
    for start in range(0, flat.size, _CHUNK):
        yield flat[start : start + _CHUNK]


def _indexer(values: npt.NDArray[np.int64]) -> Callable[[Integers], npt.NDArray[np.int64]]:
    """A function from label values to their positions in `values`; other values get the position after the last."""
    count = len(values)
    if count == 0:
        return lambda labels: np.zeros(labels.shape, dtype=np.int64)
    low, high = int(values[0]), int(values[-1])
    if high - low < _TABLE:
        table = np.full(high - low + 3, count, dtype=np.int64)
        table[values - low + 1] = np.arange(count)
        return lambda labels: table[np.clip(labels.astype(np.int64), low - 1, high + 1) - (low - 1)]

    def search(labels: Integers) -> npt.NDArray[np.int64]:
        wanted = labels.astype(np.int64)
        positions = np.searchsorted(values, wanted)
        return np.where(values[np.minimum(positions, count - 1)] == wanted, positions, count)

    return search
