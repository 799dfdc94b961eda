"""Following a training in the terminal, and what a report shows of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from ..io import check_output
from .console import Progress

if TYPE_CHECKING:
    from ..report import Panel
    from ..segmenter import Segmenter
    from ..training import Event
    from ..training.loop import Loop

__all__ = ["check_report", "follow", "panels"]

EXAMPLES = 3
"""Images that a report shows."""


def check_report(path: str | None, overwrite: bool) -> None:
    """Raise `OutputError` when a report cannot be written there; None is no report."""
    if path is None:
        return
    if Path(path).suffix.lower() != ".png":
        raise OutputError(f"A report is a .png file. Got {path!r}; use {Path(path).with_suffix('.png')}.")
    check_output(path, overwrite)


def follow(training: Loop[Any], interrupted: Callable[[], bool]) -> list[Event]:
    """Run a training to its end, or until somebody interrupts it, and show how it goes."""
    from ..training import Measured, Noted, Started, Step, Validated

    events: list[Event] = []
    run = training.run()
    score = ""
    with Progress("training") as progress:
        for event in run:
            events.append(event)
            if isinstance(event, Started):
                progress.line(
                    f"{event.trainable:,} of {event.parameters:,} parameters learn, on {event.device} in "
                    f"{event.precision}, {event.batch_size} patches of {event.patch_size} x {event.patch_size} a step."
                )
                for note in event.notes:
                    progress.line(note)
                if event.resumed:
                    progress.line(f"Going on after step {event.resumed}.")
            elif isinstance(event, Noted):
                progress.line(event.text)
            elif isinstance(event, Step):
                progress.move(event.progress, f"step {event.step}, loss {event.loss:.3f}{score}")
            elif isinstance(event, Validated):
                score = f", score {event.scores.mean_iou:.3f}"
                progress.line(f"{event.seconds:6.1f} s  step {event.step:5d}  mean IoU {event.scores.mean_iou:.3f}")
            elif isinstance(event, Measured):
                score = f", held out {event.loss:.4f}"
                progress.line(f"{event.seconds:6.1f} s  step {event.step:5d}  loss on held-out pixels {event.loss:.4f}")
            if interrupted():
                run.close()
                break
    return events


def panels(
    segmenter: Segmenter, titles: Sequence[str], images: Sequence[Any], labels: Sequence[Any], axes: str
) -> list[Panel]:
    """Examples for a report: of some images the first plane that has labels."""
    from ..data import Planes
    from ..report import Panel

    channels = segmenter.training.get("channels")
    shown = []
    for title, image, truth in list(zip(titles, images, labels, strict=True))[:EXAMPLES]:
        planes = Planes(image, axes)
        labelled = next((p for p in range(len(planes)) if planes.plane_of(truth, p).any()), 0)
        values = planes.read(labelled)
        prediction = segmenter.predict(values, "CYX", channels=tuple(channels) if channels else None)
        shown.append(Panel(title, values, planes.plane_of(truth, labelled), prediction))
    return shown
