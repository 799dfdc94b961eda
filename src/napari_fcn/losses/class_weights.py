"""How much each class counts in the loss: alike, by how rare it is, or as given."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..registry import class_weightings

__all__ = ["check_class_weights", "class_weights"]

Weights = npt.NDArray[np.float64]
MOST = 1e6
"""The largest weight that can be given."""


def class_weights(choice: str, counts: npt.NDArray[np.int64], values: Sequence[int]) -> Weights | None:
    """The weights of the classes in the loss.

    Parameters
    ----------
    choice : "none", "balanced" (`balanced`), "effective" (`effective`), or weights given as VALUE=WEIGHT,VALUE=WEIGHT
        by label value; a class that is not named there counts 1.
    counts : labelled training pixels of each class, `(K,)` int64.
    values : label value of each class, K different ones.

    Returns
    -------
    `(K,)` float64, or None where all classes count alike. Those that are computed have mean 1 over the classes that
    have pixels, and 0 for the others; those that are given are as given.

    Raises
    ------
    InputError
        The text is neither, names a value that is no class or names one twice, or no class with pixels counts.

    Examples
    --------
    >>> counts = np.array([600, 300, 100])
    >>> class_weights("balanced", counts, [0, 1, 7]).round(3).tolist()
    [0.333, 0.667, 2.0]
    >>> class_weights("7=2.5,0=0.5", counts, [0, 1, 7]).tolist()
    [0.5, 1.0, 2.5]
    """
    check_class_weights(choice)
    if choice == "none":
        return None
    if choice not in class_weightings:
        weights = _given(choice, values)
        if not weights[counts > 0].astype(np.float32).any():  # as the loss has them
            raise InputError(f"`class_weights` must let a class with labelled pixels count. Got {choice!r}.")
        return weights
    present = counts > 0
    if not present.any():
        raise InputError(f"Class weights {choice!r} come from labelled pixels, and there are none.")
    computed = class_weightings[choice].target(counts[present])
    weights = np.zeros(len(counts))
    weights[present] = computed / computed.mean()
    return weights


def check_class_weights(choice: str) -> None:
    """Raise `InputError` unless `choice` has a form that `class_weights` takes, whatever the classes are."""
    if choice not in class_weightings:
        _parse(choice)


@class_weightings.register("none", summary="as it is")
def none(counts: npt.NDArray[np.int64]) -> Weights:
    """All alike."""
    return np.ones(len(counts))


@class_weightings.register("balanced", summary="rare classes count more: the median share divided by the class's own")
def balanced(counts: npt.NDArray[np.int64]) -> Weights:
    """Median frequency balancing: the median of the classes' shares, divided by the class's own.

    Eigen and Fergus 2015, Predicting depth, surface normals and semantic labels; with shares of all labelled pixels
    together. The median is a factor that `class_weights` divides away again. `counts` must be positive.
    """
    shares = counts / counts.sum()
    weights: Weights = np.median(shares) / shares
    return weights


@class_weightings.register(
    "effective", summary="rare classes count more, in moderation: by the effective number of pixels"
)
def effective(counts: npt.NDArray[np.int64]) -> Weights:
    """The inverse of the effective number of pixels, (1 - beta) / (1 - beta^n) with beta = (N - 1) / N.

    Cui et al. 2019, Class-balanced loss based on effective number of samples, proposition 1. N is how many different
    samples a class can have: a class with far fewer pixels than N counts by their inverse, and one with far more counts
    1 / N, since more of them teach nothing new. The paper searches N, from 10 to 10,000, where a class has thousands of
    images at most. Pixels come by the million, so that with any fixed N all classes would count alike in large images
    and by their inverse in small ones. Here N is the geometric mean of the classes' pixels, which makes the weights
    depend on the shares alone: common classes count alike and rare ones more. Of two classes, one r times as frequent
    as the other, the rare one counts about the square root of r times as much; when balanced, r times. `counts` must be
    positive.
    """
    different = max(2.0, math.exp(np.log(counts).mean()))
    logarithm = math.log1p(-1 / different)  # of beta, which rounds to 1 where there are many pixels
    weights: Weights = (-1 / different) / np.expm1(counts * logarithm)
    return weights


def _given(text: str, values: Sequence[int]) -> Weights:
    given = _parse(text)
    weights = np.ones(len(values))
    for value, weight in given.items():
        if value not in values:
            raise InputError(
                f"`class_weights` must name label values of the classes, {', '.join(map(str, values))}, as "
                f"VALUE=WEIGHT,VALUE=WEIGHT. Got {value} in {text!r}."
            )
        weights[list(values).index(value)] = weight
    return weights


def _parse(text: str) -> dict[int, float]:
    """Label value to weight, of a text such as "1=0.5,2=3"."""
    given: dict[int, float] = {}
    for part in text.split(","):
        value, _, weight = part.partition("=")
        try:
            key, number = int(value), float(weight)
        except ValueError:
            raise _refusal(text, f"{part.strip()!r} is none of these") from None
        if not 0 <= number <= MOST:
            raise _refusal(text, f"{part.strip()!r} has no such weight")
        if key in given:
            raise _refusal(text, f"the value {key} is there twice")
        given[key] = number
    return given


def _refusal(text: str, reason: str) -> InputError:
    return InputError(
        f"`class_weights` must be {', '.join(class_weightings)}, or VALUE=WEIGHT,VALUE=WEIGHT with each label value "
        f"once and weights from 0 to {MOST:,.0f}, such as 1=0.5,2=3. Got {text!r}: {reason}."
    )
