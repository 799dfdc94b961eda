"""What a person sees in the terminal while work goes on: on stderr, so that stdout is for results."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from tqdm import tqdm

__all__ = ["ProgressBar", "interrupts", "say", "show"]

BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}"


def say(text: str) -> None:
    """Tell the person something."""
    print(text, file=sys.stderr, flush=True)


def show(document: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the result: one JSON document, or text for people."""
    print(json.dumps(document, allow_nan=False) if as_json else text)


class ProgressBar:
    """A bar on a terminal; elsewhere only the lines given to `line`."""

    def __init__(self, title: str) -> None:
        self._bar = tqdm(
            total=1.0, desc=title, bar_format=BAR, file=sys.stderr, disable=None, leave=False, dynamic_ncols=True
        )

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def move(self, fraction: float, facts: str = "") -> None:
        """Set the bar to a fraction between 0 and 1, with a few words behind it."""
        if facts:
            self._bar.set_postfix_str(facts, refresh=False)
        self._bar.update(max(0.0, fraction - self._bar.n))

    def line(self, text: str) -> None:
        """A line that stays."""
        self._bar.clear()
        say(text)


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """While this is open, the first Ctrl-C is only remembered, and the given function tells; the next one stops."""
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, before)
        say("\nStopping after this step; Ctrl-C again to stop at once.")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
