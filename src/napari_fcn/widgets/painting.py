"""When somebody has stopped painting for a moment, and meanwhile a regular look at what is seen."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from napari.layers import Labels
from qtpy.QtCore import QTimer

__all__ = ["Painting"]

EVERY = 50
"""Milliseconds between two looks."""
PAUSE = 0.12
"""Seconds without a change that end a stroke."""
EVENTS = ("labels_update", "paint", "data", "set_data")
"""A labels layer's events after its values may have changed: by a brush, by a script, and, the last one, by undo."""


class Painting:
    """Watches labels layers.

    Parameters
    ----------
    paused : called after what may have been a change, once nothing has changed for a moment.
    look : called regularly while it watches.
    """

    def __init__(self, paused: Callable[[], None], look: Callable[[], None]) -> None:
        self._paused, self._look = paused, look
        self._layers: list[Labels] = []
        self._changed: float | None = None
        self._timer = QTimer()
        self._timer.setInterval(EVERY)
        self._timer.timeout.connect(self._tick)

    def start(self, layers: Sequence[Labels]) -> None:
        """Watch these layers."""
        self.stop()
        self._layers = list(layers)
        for layer in self._layers:
            for name in EVENTS:
                layer.events[name].connect(self._note)
        self._timer.start()

    def stop(self, *_: Any) -> None:
        """Watch nothing any more."""
        if not self._layers:  # when the program ends, the timer may be gone before the widget
            return
        self._timer.stop()
        for layer in self._layers:
            for name in EVENTS:
                layer.events[name].disconnect(self._note)
        self._layers, self._changed = [], None

    def _note(self, event: Any = None) -> None:
        self._changed = time.monotonic()

    def _tick(self) -> None:
        if self._changed is not None and time.monotonic() - self._changed >= PAUSE:
            self._changed = None
            self._paused()
        self._look()
