"""How unsure a segmentation is, from its class probabilities."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ..errors import InputError, UnknownNameError

__all__ = ["MEASURES", "entropy", "least_confidence", "margin", "uncertainty"]

Floats = npt.NDArray[np.float32]


def entropy(probabilities: Floats) -> Floats:
    """Shannon entropy over the first axis, divided by its maximum log K: 0 certain, 1 all classes alike.

    Parameters
    ----------
    probabilities : `(K, *spatial)`, sum 1 over K >= 2 classes; 0 for all classes where there is no data.

    Returns
    -------
    array
        float32 `spatial`; 0 where there is no data.

    Examples
    --------
    >>> entropy(np.float32([[0.5, 1.0], [0.5, 0.0]])).tolist()
    [1.0, 0.0]
    """
    # In place over single classes, so that nothing of the size of all of them is made.
    total = np.zeros(probabilities.shape[1:], np.float32)
    for part in probabilities:
        total -= part * np.log(np.where(part > 0, part, 1))
    return np.asarray(total / np.float32(math.log(len(probabilities))), np.float32)


def margin(probabilities: Floats) -> Floats:
    """1 minus how far the likeliest class is ahead of the second; shapes as for `entropy`.

    Examples
    --------
    >>> margin(np.float32([[0.5, 0.75], [0.5, 0.25]])).tolist()
    [1.0, 0.5]
    """
    first, second = np.zeros((2, *probabilities.shape[1:]), np.float32)
    for part in probabilities:
        second = np.maximum(second, np.minimum(first, part))
        first = np.maximum(first, part)
    return np.where(first > 0, 1 - (first - second), 0).astype(np.float32)


def least_confidence(probabilities: Floats) -> Floats:
    """1 minus the probability of the likeliest class, divided by its maximum 1 - 1/K; shapes as for `entropy`.

    Examples
    --------
    >>> least_confidence(np.float32([[0.5, 0.75], [0.5, 0.25]])).tolist()
    [1.0, 0.5]
    """
    first = np.max(probabilities, axis=0)
    return np.where(first > 0, (1 - first) / (1 - 1 / len(probabilities)), 0).astype(np.float32)


MEASURES: Mapping[str, Callable[[Floats], Floats]] = {
    "entropy": entropy,
    "margin": margin,
    "confidence": least_confidence,
}
"""Measures by name, each from 0 (certain) to 1 (all classes alike, or the first two for `margin`); see Settles 2009."""


def uncertainty(probabilities: Floats, measure: str = "entropy") -> Floats:
    """How unsure a segmentation is at each pixel.

    Parameters
    ----------
    probabilities : `(K, *spatial)` float32, as `Segmenter.predict` gives them.
    measure : one of `MEASURES`.

    Returns
    -------
    array
        float32 `spatial` from 0 to 1; 0 where there is no data.

    Raises
    ------
    InputError
        There are fewer than two classes.
    UnknownNameError
        There is no such measure.
    """
    if measure not in MEASURES:
        raise UnknownNameError(f"`measure` must be one of {', '.join(MEASURES)}. Got {measure!r}.")
    if probabilities.ndim < 2 or len(probabilities) < 2:
        raise InputError(f"Probabilities must be of two classes at least. Got shape {probabilities.shape}.")
    return MEASURES[measure](probabilities)
