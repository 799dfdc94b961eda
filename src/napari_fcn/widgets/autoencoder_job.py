"""What the Autoencoder widget does in its thread; only there torch is loaded."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .worker import Progress

if TYPE_CHECKING:
    from ..autoencoder import Autoencoder

__all__ = ["OutputJob", "PretrainingJob", "PretrainingOutcome", "load"]


@dataclass(frozen=True)
class PretrainingOutcome:
    """What came of it, and what to say about it."""

    autoencoder: Autoencoder
    summary: str


@dataclass(frozen=True)
class PretrainingJob:
    """All that learning needs, without widgets or layers."""

    images: list[Any]
    settings: Mapping[str, Any]

    def run(self, stop: threading.Event) -> Generator[Progress, None, PretrainingOutcome | None]:
        """Learn; None when it was told to stop before it began."""
        from .. import api
        from ..training import Measured, Noted, Started, Step

        yield Progress(None, "Preparing…")
        if stop.is_set():
            return None
        training = api.prepare_pretraining(self.images, **self.settings)
        notes: list[str] = []
        held_out, text, fraction = "", "First step", None
        run = training.run()
        try:
            for event in run:
                if isinstance(event, Started):
                    notes += event.notes
                elif isinstance(event, Noted):
                    notes.append(event.text)
                elif isinstance(event, Measured):
                    held_out = f", on held-out pixels {event.loss:.3f}"
                elif isinstance(event, Step):
                    fraction = event.progress
                    left = event.seconds * (1 / event.progress - 1) if event.progress > 0 else 0.0
                    text = f"Step {event.step}, loss {event.loss:.3f}{held_out}, {left:.0f} s left"
                yield Progress(fraction, "\n".join([text, *notes]))
                if stop.is_set():
                    break
        finally:
            run.close()
        end = training.result
        return PretrainingOutcome(training.autoencoder(), "" if end is None else end.summary)


@dataclass(frozen=True)
class OutputJob:
    """All that making an output needs."""

    autoencoder: Autoencoder
    output: str
    image: Any
    axes: str
    classes: int
    detail: str | None

    def run(self, stop: threading.Event) -> Generator[Progress, None, Any]:
        """Make it; None when it was told to stop."""
        yield Progress(None, "Preparing…")
        steps = self.autoencoder.steps(self.output, self.image, self.axes, classes=self.classes, detail=self.detail)
        try:
            while not stop.is_set():
                fraction = next(steps)
                yield Progress(fraction, f"{fraction:.0%} done")
        except StopIteration as end:
            return end.value
        finally:
            steps.close()
        return None


def load(file: Path, stop: threading.Event) -> Generator[Progress, None, Autoencoder | None]:
    """Read an autoencoder."""
    yield Progress(None, f"Loading {file.name}…")
    from ..autoencoder import Autoencoder

    autoencoder = Autoencoder.load(file)
    return None if stop.is_set() else autoencoder
