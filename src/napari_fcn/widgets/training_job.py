"""What Train does in its thread: learn, and say how it goes."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import layers
from .history import History, Moment
from .worker import Progress, Stop

if TYPE_CHECKING:
    from ..metrics import Scores
    from ..segmenter import Segmenter
    from ..training import Training
    from ..training.preview import Preview

__all__ = ["Live", "TrainingJob", "TrainingOutcome"]


@dataclass(frozen=True)
class TrainingOutcome:
    """What came of a training.

    Attributes
    ----------
    segmenter, architecture, score : the best weights, their kind, and their mean IoU where something was held out.
    summary : an honest sentence about it, and the scores of each class before and after.
    new : whether it is another segmenter than the one that it started from.
    saved : where it was saved, because the window went.
    """

    segmenter: Segmenter
    architecture: str
    score: float | None
    summary: str
    new: bool = True
    saved: Path | None = None


@dataclass
class Live:
    """What the thread of a training and the window tell each other while it runs.

    Attributes
    ----------
    history : the curves; grows.
    window : what is to be previewed, as `training.preview.Window`; set by the window's thread, None for nothing.
    preview : the newest one; set by the training's thread.
    showing : seconds that the window has taken to show previews; set by its thread.
    colors : of the classes, by name.
    """

    history: History = field(default_factory=History)
    window: tuple[int, tuple[int, ...], slice, slice] | None = None
    preview: Preview | None = None
    showing: float = 0.0
    colors: Mapping[str, str] | None = None


@dataclass(frozen=True)
class TrainingJob:
    """All that training needs, without widgets or layers.

    Attributes
    ----------
    images, labels, names, colormap, pixel_size : as the layers have them.
    settings : of `napari_fcn.train`; `axes` among them.
    init : a segmenter to start from; its file stands in the settings instead.
    run_dir : a new folder for events and checkpoints.
    refuge : where the segmenter is saved when the window goes.
    live : what it tells while it runs.
    """

    images: list[Any]
    labels: list[np.ndarray[Any, Any]]
    names: Mapping[int, str]
    colormap: Any
    pixel_size: float | None
    settings: Mapping[str, Any]
    init: Segmenter | None = None
    run_dir: Path | None = None
    refuge: Path | None = None
    live: Live = field(default_factory=Live)

    def run(self, stop: Stop) -> Generator[Progress, None, TrainingOutcome | None]:
        """Train, in the worker's thread; only here torch is loaded."""
        yield Progress(None, "Preparing…")
        if stop.is_set():
            return None
        training = self.prepare()
        self.live.colors = {entry.name: entry.color for entry in training.examples.classes}
        try:
            yield from self._learn(training, stop)
        finally:
            saved = self._save(training) if stop.leaving else None
        return self._outcome(training, saved)

    def prepare(self) -> Training:
        """The training, checked and ready to run."""
        from .. import api

        settings = dict(self.settings)
        if self.init is not None:
            settings["init"] = self.init
        present = {int(value) for labels in self.labels for value in np.unique(labels)}
        return api.prepare_training(
            self.images,
            self.labels,
            class_names=self.names,
            class_colors=layers.class_colors(self.colormap, present),
            pixel_size=self.pixel_size,
            run_dir=self.run_dir,
            **settings,
        )

    def _learn(self, training: Training, stop: Stop) -> Generator[Progress, None, None]:
        from ..training import events
        from ..training.preview import Previewer, Window

        moment, live = Moment(), self.live
        previewer = Previewer(training, self.images, self.settings["axes"])
        run = training.run()
        try:
            for event in run:
                moment = moment.after(event)
                live.history.add(event)
                if isinstance(event, events.Step) and not stop.is_set():
                    seen = live.window
                    live.preview = previewer.turn(Window(*seen) if seen else None, live.showing) or live.preview
                yield Progress(moment.fraction, moment.text, live, explanation=moment.explanation)
                if stop.is_set():
                    break
        finally:
            run.close()

    def _save(self, training: Training) -> Path | None:
        """Save what was learnt where it is found again, for nobody is there to take it."""
        if self.refuge is None or training.result is None or not training.result.steps:
            return None
        self.refuge.parent.mkdir(parents=True, exist_ok=True)
        return training.segmenter().save(self.refuge, overwrite=True)

    def _outcome(self, training: Training, saved: Path | None) -> TrainingOutcome:
        end = training.result
        started = self.init is not None or bool(self.settings.get("init"))
        return TrainingOutcome(
            training.segmenter(),
            training.model.architecture,
            None if end is None or end.best is None else end.best.mean_iou,
            "" if end is None else "\n".join([end.summary, *_by_class(end.start, end.best)]),
            new=end is None or end.best_step > 0 or not started,
            saved=saved,
        )


def _by_class(start: Scores | None, best: Scores | None) -> list[str]:
    """IoU of each class before and after, in a line for each."""
    if start is None or best is None:
        return []
    before = {row.value: row.iou for row in start.classes}
    rows = [(row.name, before.get(row.value, np.nan), row.iou) for row in best.classes]
    return [f"{name}: {was:.2f} → {now:.2f}" for name, was, now in rows if np.isfinite(now) and np.isfinite(was)]
