"""Work for a live preview: only the newest request counts, one at a time, in a thread, after a moment of rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer
from superqt.utils import create_worker

__all__ = ["Latest"]

REST = 200
"""Milliseconds without a new request before the work begins."""


class Latest:
    """Runs the newest job that was asked for.

    Parameters
    ----------
    parent : what this belongs to; nothing is shown when it is gone.
    show : called in the thread of the window with the result of a job, unless a newer one was asked for.
    failed : the same, with the exception.
    """

    def __init__(self, parent: QObject, show: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        self._show: Callable[[Any], None] | None = show
        self._failed: Callable[[Exception], None] | None = failed
        self._job: Callable[[], Any] | None = None
        self._running = False
        self._timer = QTimer(parent)
        self._timer.setSingleShot(True)
        self._timer.setInterval(REST)
        self._timer.timeout.connect(self._begin)

    @property
    def busy(self) -> bool:
        """Whether something is asked for or running."""
        return self._running or self._job is not None

    def ask(self, job: Callable[[], Any]) -> None:
        """Run `job` soon, instead of what was asked for before."""
        if self._show is not None:
            self._job = job
            self._timer.start()

    def forget(self) -> None:
        """Ask for nothing, and show nothing of what is running."""
        self._job = None
        self._generation += 1

    def close(self) -> None:
        """Never show anything again."""
        self._job = self._show = self._failed = None

    _generation = 0

    def _begin(self) -> None:
        if self._running or self._job is None:
            return
        job, self._job = self._job, None
        self._running = True
        generation = self._generation

        def guarded() -> tuple[Any, Exception | None]:
            try:
                return job(), None
            except Exception as error:  # noqa: BLE001 (superqt's workers lose some kinds)
                return None, error

        def returned(outcome: tuple[Any, Exception | None]) -> None:
            self._running = False
            if self._show is None or self._failed is None:
                return
            result, error = outcome
            if self._job is not None:
                self._timer.start(0)
            elif generation == self._generation:
                if error is None:
                    self._show(result)
                else:
                    self._failed(error)

        create_worker(guarded, _start_thread=True, _connect={"returned": returned})
