"""Segmenting one image on a dask cluster: each task writes whole chunks of the results, which nobody else touches.

A worker reads the image and writes the results itself, so both must lie where every worker can reach them. A task that
is lost with its worker is given to another one by dask; doing it twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MissingExtraError
from ..io.store import SIDE, StoreSink

if TYPE_CHECKING:
    from .predictor import Output, Predictor

__all__ = ["connect", "predict_on"]

REGION = 8
"""Side of a task's window, in chunks, at least: tiles on its edges are computed by its neighbour too."""
TILES = 6
"""And in tiles."""
PATIENCE = "60s"


@dataclass(frozen=True)
class _Task:
    """What a worker needs: everything but the window."""

    predictor: Predictor
    outputs: tuple[Output, ...]


def connect(address: str) -> AbstractContextManager[Any]:
    """A client of the dask scheduler at `address`, such as "tcp://10.0.0.1:8786"; closed when the context is left.

    Raises
    ------
    MissingExtraError
        dask.distributed is not installed.
    InputError
        Nobody answers there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise MissingExtraError(
            "A cluster needs dask.distributed, which is not installed; install it with pip install "
            "'napari-fcn[cluster]', here and on every worker."
        ) from None
    try:
        client: AbstractContextManager[Any] = Client(address, timeout=PATIENCE)
    except (OSError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split()).rstrip(".")
        raise InputError(f"There is no dask scheduler at {address!r}: {reason}.") from None
    return client


def predict_on(client: Any, predictor: Predictor, outputs: Sequence[Output]) -> Iterator[float]:
    """Segment the predictor's image on a cluster, giving the finished fraction after each task.

    Closing the generator cancels the tasks that have not begun. Results are those of `predictor.write`.

    Parameters
    ----------
    client : a `distributed.Client`.
    predictor : its image must be something that workers can open: a Zarr, a TIFF that is read by pieces, a dask array;
        or an array in memory, which is sent to every worker.
    outputs : into `StoreSink`s, whose folders every worker can write to.

    Raises
    ------
    InputError
        A sink is none that several workers can write to, or the image cannot be read there.
    """
    from distributed import as_completed

    for output in outputs:
        if not isinstance(output.sink, StoreSink):
            raise InputError("A cluster writes to files; give paths for the results.")
    height, width = predictor.planes.height, predictor.planes.width
    windows = [
        (plane, rows, columns)
        for plane in range(len(predictor.planes))
        for rows in _parts(height, predictor.grid.tile_height)
        for columns in _parts(width, predictor.grid.tile_width)
    ]
    sinks: list[Any] = [output.sink for output in outputs]
    wanted = [window for window in windows if not all(_has(sink, *window) for sink in sinks)]
    task = client.scatter(_Task(predictor, tuple(outputs)), broadcast=True, hash=False)
    futures = {client.submit(_predict, task, *window, pure=False, retries=2): window for window in wanted}
    try:
        for number, future in enumerate(as_completed(list(futures))):
            future.result()
            plane, rows, columns = futures[future]
            for sink in sinks:
                sink.commit_window(plane, rows.start, columns.start)
            yield (len(windows) - len(wanted) + number + 1) / len(windows)
    finally:
        client.cancel(list(futures))


def _has(sink: StoreSink, plane: int, rows: slice, columns: slice) -> bool:
    """Whether an earlier run has finished a window."""
    return rows.stop <= sink.done[plane] or (plane, rows.start, columns.start) in sink.done_windows


def _parts(length: int, tile: int) -> list[slice]:
    """The side of a plane in whole chunks, large enough that little is computed twice."""
    side = max(REGION, -(-TILES * tile // SIDE)) * SIDE
    return [slice(start, min(start + side, length)) for start in range(0, length, side)]


def _predict(task: _Task, plane: int, rows: slice, columns: slice) -> None:
    """Segment one window, on a worker."""
    parts = [replace(output, sink=output.sink.part()) for output in task.outputs]  # type: ignore[attr-defined]
    for region in task.predictor.window(plane, rows, columns):
        task.predictor.give(parts, region)
    for output in parts:
        output.sink.check_complete()  # type: ignore[attr-defined]
