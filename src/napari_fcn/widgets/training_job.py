"""What Train does in its thread: learn, and say how it goes."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from . import layers
from .panel import Progress

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["TrainingJob", "TrainingOutcome"]


@dataclass(frozen=True)
class TrainingOutcome:
    """What came of a training: the segmenter, what to say about it, and whether it is another than the one before."""

    segmenter: Segmenter
    architecture: str
    score: float | None
    summary: str
    new: bool = True


@dataclass(frozen=True)
class TrainingJob:
    """All that training needs, without widgets or layers."""

    images: list[Any]
    labels: list[np.ndarray[Any, Any]]
    names: Mapping[int, str]
    colormap: Any
    pixel_size: float | None
    settings: Mapping[str, Any]

    def run(self, stop: threading.Event) -> Generator[Progress, None, TrainingOutcome | None]:
        """Train, in the worker's thread; only here torch is loaded."""
        from .. import api

        yield Progress(None, "Preparing…")
        present = {int(value) for labels in self.labels for value in np.unique(labels)}
        if stop.is_set():
            return None
        training = api.prepare_training(
            self.images,
            self.labels,
            class_names=self.names,
            class_colors=layers.class_colors(self.colormap, present),
            pixel_size=self.pixel_size,
            **self.settings,
        )
        view = _View()
        run = training.run()
        try:
            for event in run:
                view = view.after(event)
                yield view.progress()
                if stop.is_set():
                    break
        finally:
            run.close()
        end = training.result
        score = None if end is None or end.best is None else end.best.mean_iou
        return TrainingOutcome(
            training.segmenter(),
            training.model.architecture,
            score,
            "" if end is None else end.summary,
            new=end is None or end.best_step > 0 or not self.settings.get("init"),
        )


@dataclass(frozen=True)
class _View:
    """What is known of a running training, as text."""

    device: str = ""
    notes: tuple[str, ...] = ()
    step: int = 0
    loss: float | None = None
    score: float | None = None
    fraction: float | None = None
    left: float | None = None

    def after(self, event: Any) -> _View:
        from ..training import events

        if isinstance(event, events.Started):
            return replace(self, device=event.device, notes=event.notes, left=event.seconds)
        if isinstance(event, events.Validated):
            return replace(self, score=event.scores.mean_iou)
        if isinstance(event, events.Noted):
            return replace(self, notes=(*self.notes, event.text))
        if isinstance(event, events.Step):
            # Nothing is known about the end before something is done.
            left = event.seconds * (1 / event.progress - 1) if event.progress > 0 else self.left
            return replace(self, step=event.step, loss=event.loss, fraction=event.progress, left=left)
        return self

    def progress(self) -> Progress:
        facts = [f"step {self.step}" if self.step else "first step"]
        facts += [] if self.loss is None else [f"loss {self.loss:.3f}"]
        facts += [] if self.score is None else [f"score {self.score:.2f}"]
        facts += [] if self.left is None else [f"{self.left:.0f} s left"]
        facts += [f"on {self.device}"] if self.device else []
        return Progress(self.fraction, "\n".join([", ".join(facts).capitalize(), *self.notes]))
