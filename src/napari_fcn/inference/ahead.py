"""Doing several things at once: reading and computing ahead, and writing behind.

Never more than a few pieces of work are under way, so that memory is bounded. What is raised there is raised here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from types import TracebackType
from typing import Any, TypeVar

__all__ = ["Behind", "ahead"]

T = TypeVar("T")


def ahead(calls: Iterable[Callable[[], T]], depth: int, threads: int = 1) -> Generator[T, None, None]:
    """The calls' results in their order, computed in threads that are at most `depth` calls ahead.

    Closing the generator waits for the calls that run, and makes no further one.

    Examples
    --------
    >>> list(ahead([lambda: 1, lambda: 2], depth=1))
    [1, 2]
    """
    rest = iter(calls)
    with ThreadPoolExecutor(threads, "ahead") as pool:
        waiting = deque(pool.submit(call) for call in islice(rest, depth))
        try:
            while waiting:
                result = waiting.popleft().result()
                waiting.extend(pool.submit(call) for call in islice(rest, 1))
                yield result
                del result
        finally:
            for future in waiting:
                future.cancel()


class Behind:
    """Calls that are made in their order in another thread, while this one goes on.

    As a context: leaving it waits for all of them; leaving it by an exception waits for the one that runs.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._thread = ThreadPoolExecutor(1, "writer")
        self._waiting: deque[Future[Any]] = deque()

    def do(self, call: Callable[..., Any], *arguments: Any) -> None:
        """Make this call soon; waits while `depth` others have not been made yet."""
        while len(self._waiting) >= self._depth:
            self._waiting.popleft().result()
        self._waiting.append(self._thread.submit(call, *arguments))

    def __enter__(self) -> Behind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            while self._waiting and kind is None:
                self._waiting.popleft().result()
        finally:
            for future in self._waiting:
                future.cancel()
            self._thread.shutdown(wait=True)
