"""The folder of a run: its settings, what happened, the checkpoint and the best segmenter; whole at every moment.

A process that is killed, at any time, leaves a folder from which training goes on: files are replaced in one step, and
events are lines that are added, of which the last may be half a line that is dropped when the folder is next written.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from ..errors import InputError, OutputError
from ..io import atomic
from . import checkpoint
from .event_file import EventFile
from .events import Event, Measured, Step, Validated

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RunFolder", "Savable"]

CONFIG, EVENTS, CHECKPOINT, BEST = "config.json", "events.jsonl", "checkpoint.safetensors", "best.safetensors"
BOARD = "tensorboard"
LOCK = ".lock"
LEFTOVERS = ".*.partial*"
"""What a killed process leaves of a file that it was writing."""
PATIENCE = 1.0
"""Seconds to wait for another one who writes: it may be just about to end."""
FLUSH_SECONDS = 10
"""How long TensorBoard's files may lag behind."""


class Savable(Protocol):
    """What a training makes: a segmenter or an autoencoder."""

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write it to one file, complete or not at all."""
        ...


class RunFolder:
    """The folder of one run.

    One training at a time writes to it, from its first event until `close` or its end; reading is always possible.

    Parameters
    ----------
    path : a folder that holds a run.

    Attributes
    ----------
    path : the folder.
    config : the settings that the run was started with.

    Raises
    ------
    InputError
        There is no run in it, or its settings cannot be read.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     with RunFolder.create(Path(parent, "run"), {"seed": 1}) as folder:
    ...         folder.record(Step(1, 0.7, 0.001, 0.5, 0.1))
    ...     again = RunFolder.open(folder.path)
    ...     again.config, again.events()
    ({'seed': 1}, [Step(step=1, loss=0.7, rate=0.001, seconds=0.5, progress=0.1)])
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self.config: dict[str, Any] = _read_config(self.path)
        self._lock: int | None = None
        self._events = EventFile(self.path / EVENTS)
        self._board: Any = None
        self._has_board = True
        self._next_step: int | None = None

    @classmethod
    def create(cls, path: str | Path, config: Mapping[str, Any]) -> Self:
        """Make the folder of a new run.

        Parameters
        ----------
        path : a folder that is empty or does not exist yet.
        config : the settings, as JSON can hold them; they are kept in this order, to be read by people.

        Raises
        ------
        OutputError
            The folder holds something, or cannot be written.
        """
        folder = Path(path).expanduser()
        _refuse(folder)
        with atomic(folder / CONFIG, overwrite=False) as temporary:
            text = json.dumps(dict(config), indent=2, ensure_ascii=False, allow_nan=False)
            temporary.write_bytes(f"{text}\n".encode("utf-8", "surrogatepass"))
        return cls(folder)

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The run in a folder, to go on with it or to read it; what a killed process left half-written is removed.

        Raises
        ------
        InputError
            There is no run in it, or its settings cannot be read.
        """
        run = cls(path)
        if leftovers := list(run.path.glob(LEFTOVERS)):
            # While somebody is writing these are no leftovers, and one may be allowed to read only.
            with contextlib.suppress(InputError, OSError), run._alone(wait=0):
                for leftover in leftovers:
                    leftover.unlink(missing_ok=True)
        return run

    def record(self, event: Event) -> None:
        """Add an event, as one line of JSON that is with the operating system when this returns.

        With the extra 'tensorboard', loss, rate and scores also go to TensorBoard's files, at their step.

        Raises
        ------
        InputError
            Another training writes to this folder, or its events are damaged.
        OutputError
            The line cannot be written; the folder is what it was.
        """
        self._claim()
        self._events.add(event)
        self._show(event)

    def events(self) -> list[Event]:
        """What happened so far, without a last line that is only half there.

        Raises
        ------
        InputError
            A line other than the last is no event.
        """
        return self._events.read()

    def rewind(self, step: int) -> list[Event]:
        """Forget what happened after a step, since training goes on from there, and that it was finished.

        Everything after the last `Step`, `Validated` or `Measured` up to this step is removed, and a `Finished`
        wherever it stands.

        Parameters
        ----------
        step : the step of the checkpoint; 0 is the starting model, -1 forgets everything.

        Returns
        -------
        list of Event
            What is kept.

        Raises
        ------
        InputError
            Another training writes to this folder, or its events are damaged.
        OutputError
            The folder cannot be written.
        """
        with self._alone():
            self._end_files()
            kept = self._events.rewind(step)
        self._next_step = step + 1
        return kept

    def save_checkpoint(self, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
        """Replace the checkpoint; see `checkpoint.save_checkpoint`.

        What has been recorded is on the disk before the checkpoint is.

        Raises
        ------
        InputError
            Another training writes to this folder.
        OutputError
            The place cannot be written; the checkpoint before is what it was.
        """
        with self._alone():
            self._events.flush()
            checkpoint.save_checkpoint(self.path / CHECKPOINT, tensors, document)

    def load_checkpoint(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The tensors and the document of the last checkpoint, None when there is none yet.

        Raises
        ------
        SegmenterFileError
            The file is damaged, of another kind or of a newer format.
        """
        path = self.path / CHECKPOINT
        return checkpoint.load_checkpoint(path) if path.exists() else None

    def save_best(self, product: Savable) -> Path:
        """Keep a segmenter or autoencoder as the best so far, in place of the one before; returns its file.

        Raises
        ------
        InputError
            Another training writes to this folder.
        OutputError
            The place cannot be written; the one before is what it was.
        """
        with self._alone():
            return product.save(self.path / BEST, overwrite=True)

    def close(self) -> None:
        """End the files, and let others write to the folder. Recording goes on where it was, should there be more."""
        self._end_files()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_lock", None) is not None:
            self.close()

    @contextlib.contextmanager
    def _alone(self, wait: float | None = None) -> Iterator[None]:
        """Be the one who writes here for a moment, or for longer when that was so before."""
        before = self._lock is not None
        self._claim(wait)
        try:
            yield
        finally:
            if not before:
                self.close()

    def _claim(self, wait: float | None = None) -> None:
        """Be the one who writes here until `close`, or raise `InputError` when another one is."""
        if self._lock is not None:
            return
        try:
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _cannot_write(self.path, error) from error
        deadline = time.monotonic() + (PATIENCE if wait is None else wait)
        while not _locked(lock):
            if time.monotonic() >= deadline:
                os.close(lock)
                raise InputError(
                    f"Another training writes to {str(self.path)!r} at the moment; stop it, or choose another folder."
                )
            time.sleep(0.05)
        self._lock = lock

    def _end_files(self) -> None:
        self._events.close()
        if self._board is not None:
            with contextlib.suppress(OSError):  # what it could not write it has said before
                self._board.close()
            self._board = None

    def _show(self, event: Event) -> None:
        """Add a step or scores to TensorBoard's files, when it is there."""
        if not self._has_board or not isinstance(event, (Step, Validated, Measured)):
            return
        try:
            if self._board is None:
                from torch.utils.tensorboard import SummaryWriter

                self._board = SummaryWriter(
                    str(self.path / BOARD), purge_step=self._next_step, flush_secs=FLUSH_SECONDS
                )
                self._next_step = None
            for name, value in _scalars(event).items():
                self._board.add_scalar(name, value, event.step)
            if not isinstance(event, Step):
                self._board.flush()
        except ImportError:
            self._has_board = False
        except OSError as error:
            raise _cannot_write(self.path / BOARD, error) from error


def _scalars(event: Step | Validated | Measured) -> dict[str, float]:
    """What TensorBoard shows, by name; what is no number, such as the score of a class that is not there, is not."""
    if isinstance(event, Step):
        values = {"loss": event.loss, "rate": event.rate}
    elif isinstance(event, Measured):
        values = {"held-out loss": event.loss}
    else:
        values = {"mean IoU": event.scores.mean_iou} | {f"IoU/{row.name}": row.iou for row in event.scores.classes}
    return {name: value for name, value in values.items() if math.isfinite(value)}


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_bytes().decode("utf-8", "surrogatepass"))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"There is no run in {str(folder)!r}; a run's folder has a file {CONFIG!r}.") from None
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} is no JSON ({error}); a run's settings cannot be read from it.") from error
    if not isinstance(config, dict):
        raise InputError(f"{str(path)!r} holds no settings, but a {type(config).__name__}.")
    return config


def _refuse(folder: Path) -> None:
    """Raise for a folder that a new run must not be put into."""
    shown = repr(str(folder))
    try:
        if folder.exists() and not folder.is_dir():
            raise OutputError(f"{shown} is a file, where the folder of a run is to be made; choose another name.")
        contents = {path.name for path in folder.iterdir()} if folder.exists() else set()
        contents -= {path.name for path in folder.glob(LEFTOVERS)} | {LOCK}
    except OutputError:
        raise
    except OSError as error:
        raise _cannot_write(folder, error) from error
    if CONFIG in contents:
        raise OutputError(f"{shown} holds a run already; go on with it (--resume {folder}) or choose another folder.")
    if contents:
        raise OutputError(f"{shown} is not empty; choose another folder for the run.")


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{str(path)!r} cannot be written: {(error.strerror or str(error)).rstrip('.')}.")


def _locked(descriptor: int) -> bool:
    """Whether an open file could be locked against others; the system unlocks it when the process ends, however."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError:  # a place where nothing can be locked
        return True
    return True
