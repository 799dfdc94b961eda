"""What live mode does in its thread: fit the pixel head whenever somebody has painted, and segment what is seen."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import DataConfig, ModelConfig, TrainingConfig
from ..errors import FcnError, InputError
from ..options import split
from . import layers
from .training_job import TrainingOutcome
from .worker import Progress, Stop

if TYPE_CHECKING:
    from ..training.live import LivePixels
    from ..training.preview import Preview, Window

__all__ = ["LiveJob", "Talk"]

WAIT = 0.03
"""Seconds between two looks for something to do."""
SIDE = 1024
"""Of a larger view, the middle of so many pixels is segmented."""


@dataclass
class Talk:
    """What the window and the thread of live mode tell each other.

    Attributes
    ----------
    labels, version : of each image, as they were when somebody stopped painting, and how often that was.
    window : what is seen, as `training.preview.Window`; None for nothing.
    preview, doubt : the newest answer, and where it is unsure.
    answered : the version of that answer.
    seconds : from the snapshot of labels to the answer.
    colormap : in which the classes are shown.
    """

    labels: list[np.ndarray[Any, Any]] = field(default_factory=list)
    version: int = 0
    window: tuple[int, tuple[int, ...], slice, slice] | None = None
    preview: Preview | None = None
    doubt: np.ndarray[Any, Any] | None = None
    answered: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class LiveJob:
    """Images and settings of live mode, without widgets or layers; attributes as those of `TrainingJob`."""

    images: list[Any]
    names: Mapping[int, str]
    colors: Mapping[int, str]
    pixel_size: float | None
    settings: Mapping[str, Any]
    talk: Talk = field(default_factory=Talk)

    def run(self, stop: Stop) -> Generator[Progress, None, TrainingOutcome | None]:
        """Answer until told to stop, in the worker's thread."""
        yield Progress(None, "Getting ready…")
        live, talk = self._make(), self.talk
        text, asked, seen = "Paint two classes or more.", 0, None
        ready: Iterator[None] | None = None
        yield Progress(1.0, text, talk, at_once=True)
        while not stop.wait(WAIT):
            version, labels, window = talk.version, talk.labels, talk.window
            fresh = version != asked
            if fresh:
                begin, asked = time.perf_counter(), version
                if not live.fitted:
                    yield Progress(None, "Looking at the image…")
                try:
                    live.update(labels)
                except InputError as error:
                    yield Progress(1.0, str(error), talk, at_once=True)
                    continue
                seen = None
            if window is None or window == seen:
                continue
            if not live.fitted:
                ready = ready or live.get_ready(_limited_to(window))
                with suppress(FcnError):  # said when there is something to learn
                    next(ready, None)
                continue
            seen = window
            self._answer(live, window, version)
            if fresh:
                talk.seconds = time.perf_counter() - begin
                text = f"Live: answered in {talk.seconds:.1f} s. Paint on; Cancel ends it and keeps the result."
            yield Progress(1.0, text, talk, at_once=True)
        if not live.fitted:
            return None
        segmenter = live.segmenter()
        times = "once" if live.updates == 1 else f"{live.updates:,} times"
        return TrainingOutcome(segmenter, "pixel", None, f"Painted live; it learnt anew {times}.")

    def _make(self) -> LivePixels:
        from ..training.live import LivePixels

        model, data, config = split(dict(self.settings), ModelConfig, DataConfig, TrainingConfig)
        return LivePixels(
            self.images,
            self.settings["axes"],
            model=model,
            data=data,
            config=config,
            class_names=self.names,
            class_colors=self.colors,
            pixel_size=self.pixel_size,
        )

    def _answer(self, live: LivePixels, seen: tuple[int, tuple[int, ...], slice, slice], version: int) -> None:
        from ..training.preview import Preview

        window = _limited_to(seen)
        begin = time.perf_counter()
        found = live.see(window)
        if found is not None:
            self.talk.preview = Preview(window, found.labels, time.perf_counter() - begin)
            self.talk.doubt = found.uncertainty
            self.talk.answered = version


def _limited_to(seen: tuple[int, tuple[int, ...], slice, slice]) -> Window:
    from ..training.preview import Window, middle

    image, index, rows, columns = seen
    return Window(image, index, middle(rows, SIDE), middle(columns, SIDE))


def class_colors(colormap: Any, labels: list[np.ndarray[Any, Any]]) -> dict[int, str]:
    """Colours of the values that are painted already."""
    return layers.class_colors(colormap, {int(value) for array in labels for value in np.unique(array)})
