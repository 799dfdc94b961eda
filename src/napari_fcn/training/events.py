"""What training tells while it runs: small frozen facts, for a progress bar, a curve or a loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from ..metrics import Scores

__all__ = ["Event", "Finished", "Started", "Step", "Validated"]


@dataclass(frozen=True)
class Started:
    """Training is about to begin.

    Attributes
    ----------
    device, precision : where and how it computes, such as "cpu" and "bfloat16".
    batch_size, patch_size : patches a step and their side in pixels.
    steps : planned number of steps, None when seconds are the limit.
    seconds : planned seconds, None when steps are the limit.
    trainable, parameters : numbers of parameters that learn, and of all.
    notes : sentences that the user should know, such as a class that could not be held out.
    """

    device: str
    precision: str
    batch_size: int
    patch_size: int
    steps: int | None
    seconds: float | None
    trainable: int
    parameters: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Step:
    """One step is done: its number from 1, loss, the decoder's learning rate, seconds so far, progress in [0, 1]."""

    step: int
    loss: float
    rate: float
    seconds: float
    progress: float


@dataclass(frozen=True)
class Validated:
    """The network was scored on held-out pixels; at step 0 it is the starting model.

    `best` says that these are the best weights so far.
    """

    step: int
    seconds: float
    scores: Scores
    best: bool


@dataclass(frozen=True)
class Finished:
    """Training is over, and `Training.segmenter()` has the best weights.

    Attributes
    ----------
    reason : "completed", or "cancelled" when somebody stopped it.
    steps, seconds : what it took.
    best_step : the step whose weights were kept.
    start, best : held-out scores of the starting model and of the kept weights; None when nothing was held out.
    summary : an honest sentence about whether it got better.
    """

    reason: Literal["completed", "cancelled"]
    steps: int
    seconds: float
    best_step: int
    start: Scores | None
    best: Scores | None
    summary: str


Event: TypeAlias = Started | Step | Validated | Finished
