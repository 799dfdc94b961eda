"""Work in a thread of napari's pool: a generator of progress that can be told to stop and still hands over a result.

napari's own generator workers are used, but for these habits (napari 0.9.2, superqt 0.9): `quit` drops the result; an
exception that derives from `RuntimeError`, as torch's do, ends the worker without any signal, and any other one fails
again in the code that notes it for the window; and a window that asks whether to close shows the function's address
instead of what is going on.
"""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from napari.qt.threading import create_worker
from superqt.utils import GeneratorWorker

from ..inference.memory import trim

__all__ = ["Progress", "Stop", "Task", "Worker", "start"]

LAST_WORDS = 120_000
"""Milliseconds that running tasks may take to end when the program does."""

SECONDS_BETWEEN_UPDATES = 1.0
"""Progress that comes faster is left out: the whole window is drawn for it, without a graphics card on the CPU."""


@dataclass(frozen=True)
class Progress:
    """What a task tells the panel.

    Attributes
    ----------
    fraction : how far it is in [0, 1], None when it cannot say.
    text : a line or two about it.
    detail : more, for panels that can show it.
    at_once : show it however little time has passed since the last one.
    explanation : what is to be read when the mouse rests on the text.
    """

    fraction: float | None
    text: str
    detail: Any = None
    at_once: bool = False
    explanation: str = ""


class Stop(threading.Event):
    """Set when a task is to stop; `leaving` when nobody will be there to take its result, so that it is to be saved."""

    leaving = False


#: Yields progress, looks at the event after every step, and returns a result even when it was told to stop.
Task: TypeAlias = Callable[[Stop], Generator[Progress, None, Any]]


class Worker(GeneratorWorker[Any, Any, Any]):
    """A running task."""

    stop: Stop

    def cancel(self) -> None:
        """Ask the task to stop after the current step; it still returns what it has got."""
        self.stop.set()

    def quit(self) -> None:
        """Ask the same because the window goes, as napari does."""
        self.stop.leaving = True
        self.stop.set()


class _Described(partial[Any]):
    """A function that is shown as a sentence in napari's list of running tasks."""

    description = ""

    def __str__(self) -> str:
        return self.description


class _Failed:
    """An exception on its way out of the thread."""

    def __init__(self, error: Exception) -> None:
        self.error = error


def _guarded(tasks: list[Task], stop: Stop) -> Generator[Progress, None, Any]:
    shown = -SECONDS_BETWEEN_UPDATES
    steps = tasks.pop()(stop)
    try:
        while True:
            progress = next(steps)
            now = time.monotonic()
            if progress.at_once or now - shown >= SECONDS_BETWEEN_UPDATES:
                shown = now
                yield progress
    except StopIteration as end:
        return end.value
    except Exception as error:  # noqa: BLE001 (it goes to the window's thread, whatever it is)
        return _Failed(error)
    finally:
        steps.close()
        trim()  # what a run needed is not kept until the next


def start(
    task: Task,
    description: str,
    *,
    yielded: Callable[[Any], None],
    returned: Callable[[Any], None],
    failed: Callable[[Exception], None],
    finished: Callable[[], None],
) -> Worker:
    """Start `task` in a thread.

    Parameters
    ----------
    task : what to do.
    description : what it does, for napari's question before it closes: "training of unet".
    yielded, returned, failed, finished : called in the thread of the window, `finished` always and last;
        `yielded` at most once a second, or with progress that is to be shown at once.
    """
    stop = Stop()
    # napari keeps its workers; without this it would keep images, labels and the widget with them.
    tasks = [task]
    listeners: dict[str, Callable[..., None]] = {
        "yielded": yielded,
        "returned": returned,
        "failed": failed,
        "finished": finished,
    }

    def hand_over(result: Any) -> None:
        if isinstance(result, _Failed):
            listeners["failed"](result.error)
        else:
            listeners["returned"](result)

    def progress(value: Any) -> None:
        listeners["yielded"](value)

    def end() -> None:
        last = listeners["finished"]
        listeners.clear()
        last()

    function = _Described(_guarded, tasks, stop)
    function.description = description
    worker: Worker = create_worker(
        function,
        _start_thread=False,
        _worker_class=Worker,
        _connect={"yielded": progress, "returned": hand_over, "finished": end},
    )
    worker.stop = stop
    # Warnings of libraries are for the log, not for the analyst.
    worker.warned.connect(lambda warning: logging.getLogger(__name__).warning("%s", warning[0]))
    worker.start()
    return worker


@atexit.register
def _end_all() -> None:
    """Let tasks that still run when the program ends save what they have got."""
    running = list(Worker._worker_set)
    for worker in running:
        worker.quit()
    if running:
        Worker.await_workers(LAST_WORDS)
