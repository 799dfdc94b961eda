"""Events as a file of JSON lines."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError, OutputError
from ..io import atomic
from .events import Event, Finished, Measured, Step, Validated, from_json, to_json

__all__ = ["EventFile"]


class EventFile:
    """Events as lines of JSON, where a process that is killed leaves at most half a line, the last.

    Parameters
    ----------
    path : the file; made with the first event.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stream: BinaryIO | None = None

    def add(self, event: Event) -> None:
        """Add an event, which is with the operating system when this returns.

        Raises
        ------
        InputError
            A line other than the last is no event.
        OutputError
            It cannot be written; then the file is what it was.
        """
        line = json.dumps(to_json(event), allow_nan=False).encode() + b"\n"
        stream = self._open()
        before = os.fstat(stream.fileno()).st_size
        written = 0
        try:
            while written < len(line):
                written += stream.write(line[written:])
        except BaseException as error:
            with contextlib.suppress(OSError):
                stream.truncate(before)
            if isinstance(error, OSError):
                raise self._cannot_write(error) from error
            raise

    def read(self) -> list[Event]:
        """The events so far, without a last line that is only half there.

        Raises
        ------
        InputError
            A line other than the last is no event.
        """
        return [event for _, event in self._lines()]

    def rewind(self, step: int) -> list[Event]:
        """Keep the events up to the last `Step`, `Validated` or `Measured` up to this step, but for `Finished`.

        Returns what is kept; raises as `add` does.
        """
        self.close()
        lines = self._lines()
        length = 0
        for number, (_, event) in enumerate(lines, start=1):
            if isinstance(event, (Step, Validated, Measured)):
                if event.step > step:
                    break
                length = number
        kept = [(line, event) for line, event in lines[:length] if not isinstance(event, Finished)]
        self._replace([line for line, _ in kept])
        return [event for _, event in kept]

    def flush(self) -> None:
        """Bring what was added to the disk, where the place allows that."""
        if self._stream is not None:
            with contextlib.suppress(OSError):
                os.fsync(self._stream.fileno())

    def close(self) -> None:
        """End the file; it is opened again when there is more to add."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _open(self) -> BinaryIO:
        """The file to add to, after a whole line; nothing stands between it and the operating system."""
        if self._stream is None:
            lines = [line for line, _ in self._lines()]
            if self.path.exists() and self.path.read_bytes() != b"".join(lines):
                self._replace(lines)
            try:
                self._stream = self.path.open("ab", buffering=0)
            except OSError as error:
                raise self._cannot_write(error) from error
        return self._stream

    def _lines(self) -> list[tuple[bytes, Event]]:
        """Each whole line, with its end, and the event that it holds."""
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(f"{str(self.path)!r} cannot be read: {error.strerror}.") from error
        if not lines[-1]:
            lines.pop()
        found: list[tuple[bytes, Event]] = []
        for number, line in enumerate(lines, start=1):
            try:
                found.append((line + b"\n", from_json(json.loads(line.decode()))))
            except (ValueError, RecursionError) as error:
                if number < len(lines):
                    raise InputError(
                        f"Line {number} of {str(self.path)!r} is no event; take it out, or start a new run elsewhere."
                    ) from error
        return found

    def _replace(self, lines: list[bytes]) -> None:
        with atomic(self.path) as temporary:
            temporary.write_bytes(b"".join(lines))

    def _cannot_write(self, error: OSError) -> OutputError:
        return OutputError(f"{str(self.path)!r} cannot be written: {(error.strerror or str(error)).rstrip('.')}.")
