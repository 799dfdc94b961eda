import threading
from collections.abc import Generator
from typing import Any

import pytest
from pytestqt.qtbot import QtBot

from napari_fcn.widgets import worker
from napari_fcn.widgets.worker import Progress


class Log:
    def __init__(self) -> None:
        self.yielded: list[Any] = []
        self.returned: list[Any] = []
        self.failed: list[Exception] = []
        self.finished = 0

    def callbacks(self) -> dict[str, Any]:
        def finish() -> None:
            self.finished += 1

        return {
            "yielded": self.yielded.append,
            "returned": self.returned.append,
            "failed": self.failed.append,
            "finished": finish,
        }


def test_a_task_that_is_told_to_stop_still_hands_over_its_result(qtbot: QtBot) -> None:
    def task(stop: threading.Event) -> Generator[Progress, None, str]:
        step = 0
        while not stop.wait(0.01):
            step += 1
            yield Progress(None, str(step), at_once=True)
        return f"learnt until {step}"

    log = Log()
    running = worker.start(task, "counting", **log.callbacks())
    qtbot.waitUntil(lambda: len(log.yielded) > 2)
    running.quit()
    qtbot.waitUntil(lambda: log.finished == 1)
    (result,) = log.returned
    assert int(result.removeprefix("learnt until ")) >= int(log.yielded[-1].text)
    assert log.failed == []


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), ValueError("bad"), StopAsyncIteration()])
def test_every_exception_ends_the_worker_and_is_told(qtbot: QtBot, error: Exception) -> None:
    def task(stop: threading.Event) -> Generator[Progress, None, None]:
        yield Progress(None, "working")
        raise error

    log = Log()
    worker.start(task, "failing", **log.callbacks())
    qtbot.waitUntil(lambda: log.finished == 1)
    assert log.failed == [error]
    assert log.returned == []


@pytest.mark.both_qt
def test_it_runs_in_another_thread_and_calls_back_in_this_one(qtbot: QtBot) -> None:
    seen: list[threading.Thread] = []

    def task(stop: threading.Event) -> Generator[Progress, None, threading.Thread]:
        yield Progress(None, "working")
        return threading.current_thread()

    log = Log()
    callbacks = log.callbacks() | {"yielded": lambda _: seen.append(threading.current_thread())}
    worker.start(task, "asking", **callbacks)
    qtbot.waitUntil(lambda: log.finished == 1)
    assert seen == [threading.current_thread()]
    assert log.returned[0] is not threading.current_thread()


def test_progress_that_comes_quickly_is_left_out_unless_it_is_to_be_shown_at_once(qtbot: QtBot) -> None:
    def task(stop: threading.Event) -> Generator[Progress, None, None]:
        for number in range(20):
            yield Progress(number / 20, str(number), at_once=number == 7)

    log = Log()
    worker.start(task, "hurrying", **log.callbacks())
    qtbot.waitUntil(lambda: log.finished == 1)
    assert [progress.text for progress in log.yielded] == ["0", "7"]
