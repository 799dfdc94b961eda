"""Work in a thread of napari's pool: a generator of progress that can be told to stop and still hands over a result.

napari's own generator workers are used, but for three habits: `quit` drops the result, an exception that derives from
`RuntimeError` (torch's, for one) ends the worker without any signal, and the window that asks whether to close shows
the function's address instead of what is going on.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, TypeAlias

from napari.qt.threading import create_worker
from superqt.utils import GeneratorWorker

__all__ = ["Task", "Worker", "start"]

#: Yields progress, looks at the event after every step, and returns a result even when it was told to stop.
Task: TypeAlias = Callable[[threading.Event], Generator[Any, None, Any]]


class Worker(GeneratorWorker[Any, Any, Any]):
    """A running task; `quit` asks it to stop after the current step."""

    stop: threading.Event

    def quit(self) -> None:
        """Ask the task to stop; it still returns what it has got."""
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


def _guarded(task: Task, stop: threading.Event) -> Generator[Any, None, Any]:
    try:
        return (yield from task(stop))
    except RuntimeError as error:
        return _Failed(error)


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
    yielded, returned, failed, finished : called in the thread of the window, `finished` always and last.
    """
    _share_the_processor()
    stop = threading.Event()
    function = _Described(_guarded, task, stop)
    function.description = description

    def hand_over(result: Any) -> None:
        if isinstance(result, _Failed):
            failed(result.error)
        else:
            returned(result)

    worker: Worker = create_worker(
        function,
        _start_thread=False,
        _worker_class=Worker,
        _connect={"yielded": yielded, "returned": hand_over, "errored": failed, "finished": finished},
    )
    worker.stop = stop
    # Warnings of libraries are for the log, not for the analyst.
    worker.warned.connect(lambda warning: logging.getLogger(__name__).warning("%s", warning[0]))
    worker.start()
    return worker


def _share_the_processor() -> None:
    """Let torch's threads wait for each other without burning the processor that the window needs.

    GNU OpenMP reads this when torch is loaded. By its default a thread that is done first spins for milliseconds; when
    anything else runs, such as the window being drawn, the others then wait for a processor in each of the thousands of
    loops of a step. Measured on 2 cores, seconds a step: 0.19 before and 0.17 now on a quiet machine, more than 5
    before and 1.2 now beside one busy process.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
