"""The learning-rate finder: what the loss does while the rate grows from far too low to far too high."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..errors import InputError

if TYPE_CHECKING:
    from .fit import Training

__all__ = ["RateCurve", "find_rate", "running_mean"]

LOWEST, HIGHEST = 1e-5, 1.0
STEPS = 80
NEIGHBOURS = 6
"""Steps on either side of a rate that its slope is taken from: single ones are noise."""
TOO_MUCH = 3.0
"""The search ends when the smoothed loss is so many times its lowest value."""


@dataclass(frozen=True)
class RateCurve:
    """The loss at growing rates.

    Attributes
    ----------
    rates : learning rates, ascending.
    losses, smoothed : the loss of each step, and its running mean.
    suggestion : the rate at which the loss falls fastest; None when it never falls.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    suggestion: float | None


def find_rate(training: Training) -> Generator[float, None, RateCurve]:
    """Learn for some steps at rates that grow exponentially from 1e-5 to 1 (Smith 2017, section 3.3).

    The training's network is used up by this; make a new one to train. All groups keep the ratio of their rates.

    Yields
    ------
    float
        The finished fraction.

    Returns
    -------
    RateCurve
        The suggestion is where the smoothed loss falls most steeply against the logarithm of the rate.
    """
    learner = training.learner
    learner.settle(1.0)
    batches = training.image_batches()
    rates = np.geomspace(LOWEST, HIGHEST, STEPS)
    losses: list[float] = []
    try:
        for number, rate in enumerate(rates):
            batch = batches.draw(number, training.sizes.batch)
            try:
                loss = learner.step(batch, float(rate) / training.config.rate)
            except InputError:  # no number any more: that is what the end looks like
                break
            if not math.isfinite(loss):
                break
            losses.append(loss)
            yield (number + 1) / STEPS
            smoothed = running_mean(losses)
            if smoothed[-1] > TOO_MUCH * smoothed.min():
                break
    finally:
        batches.close()
    smoothed = running_mean(losses)
    tried = rates[: len(losses)]
    return RateCurve(tuple(tried.tolist()), tuple(losses), tuple(smoothed.tolist()), _steepest(tried, smoothed))


def running_mean(losses: list[float]) -> npt.NDArray[np.float64]:
    """Exponential running mean with the start's bias taken out."""
    mean, result = 0.0, []
    for number, loss in enumerate(losses, start=1):
        mean = 0.9 * mean + 0.1 * loss
        result.append(mean / (1 - 0.9**number))
    return np.array(result)


def _steepest(rates: npt.NDArray[np.float64], smoothed: npt.NDArray[np.float64]) -> float | None:
    """Where a line through a place's neighbours, in the logarithm of the rate, falls most; None where none falls."""
    lowest = int(smoothed.argmin()) + 1 if len(smoothed) else 0
    places = range(NEIGHBOURS, max(NEIGHBOURS, lowest - NEIGHBOURS))
    windows = [slice(place - NEIGHBOURS, place + NEIGHBOURS + 1) for place in places]
    slopes = [np.polyfit(np.log(rates[window]), smoothed[window], 1)[0] for window in windows]
    if not slopes or min(slopes) >= 0:
        return None
    return float(rates[places[int(np.argmin(slopes))]])
