"""What is known of a running training besides its weights: enough to go on with it another day."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

from ..metrics import Scores

__all__ = ["Course", "LossRecord", "Record"]

S = TypeVar("S")
"""What tells how good weights are: scores, or a loss."""


@dataclass
class Course(Generic[S]):
    """How far a training has come, and how well it did.

    Attributes
    ----------
    step, seconds : done so far.
    batch_size : patches a step.
    start, majority, best : on what was held out, of the starting network, of what anybody could say without having
        learnt anything, and of the best weights so far.
    best_step : the step of those.
    scored_step, scored_progress : when the network was scored last.
    score_seconds, scoring_seconds : what the last score took, and all of them.
    no_better : scores in a row that were no better than the best.
    """

    batch_size: int
    step: int = 0
    seconds: float = 0.0
    start: S | None = None
    majority: S | None = None
    best: S | None = None
    best_step: int = 0
    scored_step: int = 0
    scored_progress: float = 0.0
    score_seconds: float = 0.0
    scoring_seconds: float = 0.0
    no_better: int = 0

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes."""
        document = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value.to_json() if isinstance(value, Scores) else value for name, value in document.items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The record that `to_json` described."""
        values: dict[str, Any] = dict(document)
        for name, value in document.items():
            if isinstance(value, Mapping):
                values[name] = Scores.from_json(value)
        return cls(**values)

    def summary(self, *, kept_start: bool) -> str:
        """An honest sentence about whether it got better; `kept_start` when something was there before that is kept."""
        raise NotImplementedError


@dataclass
class Record(Course[Scores]):
    """Of a training to segment: `majority` are the scores of calling everything the most common class."""

    def summary(self, *, kept_start: bool) -> str:
        """An honest sentence about whether it got better; `kept_start` when a segmenter was there before."""
        if not self.step:
            return "Nothing was learnt: training was stopped before its first step."
        if self.start is None or self.best is None:
            return "Trained; nothing was held out, so how well it segments is not known."
        before, after = self.start.mean_iou, self.best.mean_iou
        change = f"mean IoU on held-out pixels {before:.3f} before, {after:.3f} after training"
        if after <= before:
            kept = "; the segmenter that it started from is kept" if kept_start and not self.best_step else ""
            return f"No better than before: {change}{kept}."
        if self.majority is not None and after <= self.majority.mean_iou:
            common = max(self.majority.classes, key=lambda row: row.pixels).name
            score = self.majority.mean_iou
            return f"No better than calling everything '{common}', which has mean IoU {score:.3f}: {change}."
        return f"It got better: {change}."


@dataclass
class LossRecord(Course[float]):
    """Of a training without labels: losses, and `majority` is the loss of the mean image."""

    def summary(self, *, kept_start: bool) -> str:
        """An honest sentence about whether it learnt to reconstruct."""
        if not self.step:
            return "Nothing was learnt: training was stopped before its first step."
        if self.start is None or self.best is None or self.majority is None:
            return "Trained; nothing was held out, so how well it reconstructs is not known."
        change = (
            f"loss on held-out pixels {self.start:.4f} before, {self.best:.4f} after training, {self.majority:.4f} for "
            f"the mean of each channel"
        )
        if self.best >= self.start:
            return f"No better than before: {change}."
        if self.best >= self.majority:
            return f"No better than the mean of each channel: {change}."
        return f"It got better: {change}."
