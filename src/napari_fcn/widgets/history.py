"""What has happened in a training so far, noted by its thread and drawn by the window's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..training.events import Event

__all__ = ["History", "Moment"]

MOST_POINTS = 600
"""Points of the loss that are kept for drawing; beyond, neighbours are averaged."""
RECENT = 20
"""Steps over which the speed is averaged."""


@dataclass
class History:
    """Points of the curves; lists grow at their end only, so that another thread may read them.

    Attributes
    ----------
    loss : (progress in [0, 1], loss), averaged over neighbouring steps where there are many.
    scores : (progress in [0, 1], {class name: IoU}) of each score on held-out pixels.
    mean_scores : their means.
    """

    loss: list[tuple[float, float]] = field(default_factory=list)
    scores: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    mean_scores: list[tuple[float, float]] = field(default_factory=list)
    _progress: float = 0.0
    _held: list[float] = field(default_factory=list)
    _share: int = 1

    def add(self, event: Event) -> None:
        """Note an event."""
        from ..training import events

        if isinstance(event, events.Step):
            self._progress = event.progress
            self._held.append(event.loss)
            if len(self._held) >= self._share:
                self.loss.append((event.progress, sum(self._held) / len(self._held)))
                self._held = []
            if len(self.loss) >= MOST_POINTS:
                # A new list, for the old one may just be drawn.
                self.loss = [
                    ((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)
                    for a, b in zip(self.loss[::2], self.loss[1::2], strict=False)
                ]
                self._share *= 2
        elif isinstance(event, events.Validated):
            self.mean_scores.append((self._progress, event.scores.mean_iou))
            self.scores.append((self._progress, {row.name: row.iou for row in event.scores.classes}))


@dataclass(frozen=True)
class Moment:
    """What is known of a running training, as text.

    Attributes
    ----------
    text : lines for people.
    explanation : whole notes, where the text has their beginning only.
    """

    started: Any = None
    notes: tuple[str, ...] = ()
    step: int = 0
    loss: float | None = None
    score: float | None = None
    fraction: float | None = None
    left: float | None = None
    times: tuple[float, ...] = ()

    def after(self, event: Event) -> Moment:
        """The moment after an event."""
        from ..training import events

        if isinstance(event, events.Started):
            return replace(self, started=event, notes=event.notes, left=event.seconds)
        if isinstance(event, events.Validated):
            return replace(self, score=event.scores.mean_iou)
        if isinstance(event, events.Noted):
            return replace(self, notes=(*self.notes, event.text))
        if isinstance(event, events.Step):
            # Nothing is known about the end before something is done.
            left = event.seconds * (1 / event.progress - 1) if event.progress > 0 else self.left
            times = (*self.times[-RECENT:], event.seconds)
            return replace(self, step=event.step, loss=event.loss, fraction=event.progress, left=left, times=times)
        return self

    @property
    def speed(self) -> float | None:
        """Steps a second, lately."""
        if len(self.times) < 3 or self.times[-1] <= self.times[0]:
            return None
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])

    @property
    def text(self) -> str:
        """A few short lines."""
        first = [f"step {self.step}" if self.step else "first step"]
        first += [] if self.loss is None else [f"loss {self.loss:.3f}"]
        first += [] if self.score is None else [f"score {self.score:.2f}"]
        first += [] if self.left is None else [f"{_duration(self.left)} left"]
        lines = [", ".join(first).capitalize()]
        if self.started is not None:
            second = [
                f"{self.started.batch_size} patches of {self.started.patch_size} x {self.started.patch_size} a step"
            ]
            second += [] if self.speed is None else [_speed(self.speed)]
            second += [f"on {self.started.device}"]
            lines.append(", ".join(second).capitalize())
        return "\n".join([*lines, *map(brief, self.notes)])

    @property
    def explanation(self) -> str:
        """The notes of which the text has the first sentence only."""
        return "\n".join(note for note in self.notes if brief(note) != note)


def brief(note: str) -> str:
    """The first sentence of a note, for where there is little room."""
    first, dot, _ = note.partition(". ")
    return first + dot.strip()


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def _speed(steps: float) -> str:
    return f"{steps:.1f} steps/s" if steps >= 1 else f"{1 / steps:.1f} s a step"
