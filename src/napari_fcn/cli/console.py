"""What a person sees in the terminal while work goes on: on stderr, so that stdout is for results."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from tqdm import tqdm

__all__ = ["Progress", "interrupts", "say", "show"]

BAR = "{desc} {percentage:3.0f}%|{bar}| {elapsed}{postfix}"
LINE_SECONDS = 10.0
"""How often a line tells about the progress where no bar can be drawn."""


def say(text: str) -> None:
    """Tell the person something."""
    print(text, file=sys.stderr, flush=True)


def show(document: dict[str, Any], text: str, as_json: bool) -> None:
    """Print the result: one JSON document, or text for people."""
    print(json.dumps(document, allow_nan=False) if as_json else text, flush=True)


class Progress:
    """A bar on a terminal; elsewhere a line now and then."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._bar = tqdm(
            total=1.0, desc=title, bar_format=BAR, file=sys.stderr, disable=None, leave=False, dynamic_ncols=True
        )
        self._told = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def move(self, fraction: float, facts: str = "") -> None:
        """Say which part is done, between 0 and 1, with a few words about it."""
        if self._bar.disable:
            if time.monotonic() - self._told > LINE_SECONDS:
                self.line(f"{self._title} {fraction:4.0%}  {facts}".rstrip())
            return
        if facts:
            self._bar.set_postfix_str(facts, refresh=False)
        self._bar.update(max(0.0, fraction - self._bar.n))

    def line(self, text: str) -> None:
        """A line that stays."""
        self._bar.clear()
        say(text)
        self._told = time.monotonic()


@contextlib.contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """While this is open, the first Ctrl-C is only remembered, and the given function tells; the next one stops."""
    asked = False

    def remember(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        say("\nStopping after this step; Ctrl-C again to lose what was learnt.")

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)
