"""A result under way: pieces are kept in a hidden Zarr beside the result's place until it is complete.

Whatever the format of the result is, its pieces go into a Zarr first, whose chunks are files of their own: a process
that is killed loses the chunks that it was about to write, and nothing else. Then the Zarr is moved to its place, or
read through once to make a TIFF, a .npy or a PNG of it.
"""

from __future__ import annotations

import contextlib
import copy
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import zarr

from ..errors import InputError, OutputError
from .atomic import atomic, check_output, make_parents, translated
from .files import suffix
from .image_file import PixelSize
from .pieces import Frame

__all__ = ["StoreSink", "partial_folder"]

SIDE = 512
"""Side of the chunks of labels in pixels; whole rows of them are finished together."""

DIRECTIONS_FOLDER = "directions"
"""In the folder of the pieces: what a stack's three directions have given so far, with a journal of its own."""
WORTH_KEEPING = 2
"""Rows of tiles from which on the pieces of a run that was stopped are kept."""


def partial_folder(target: Path) -> Path:
    """The hidden folder in which the result `target` is being made."""
    place = target.expanduser().resolve()
    return place.with_name(f".{place.name}.partial")


class StoreSink:
    """Labels, probabilities or uncertainty of an image, into a file or a Zarr.

    Parameters
    ----------
    target : `.zarr`, `.ome.zarr` (with a pyramid), `.tif` (tiled, a BigTIFF where that is needed), `.npy` or, one plane
        of labels, `.png`.
    frame : shape and axes of the image without its channels.
    dtype : of the values.
    classes : K for probabilities `(K, *shape)`, None for one value a pixel.
    begun : what the result depends on, JSON; kept beside the pieces, and compared when work goes on.
    resume : go on where an earlier run ended that had begun with the same.
    overwrite : whether a result that is there may be replaced.
    georeference : a GeoTIFF whose place on Earth a `.tif` gets.
    nodata : the value that marks missing pixels, for a `.tif` with a georeference.
    pixel_size : for `.ome.zarr`.

    Attributes
    ----------
    done : rows of each plane that are finished.
    done_windows : plane, first row and first column of windows that are finished, where the work was cut into windows.

    Raises
    ------
    OutputError
        The place cannot be written.
    InputError
        There is something to go on with, but it was begun with other settings.
    """

    def __init__(
        self,
        target: str | Path,
        frame: Frame,
        dtype: npt.DTypeLike,
        *,
        classes: int | None = None,
        begun: Mapping[str, Any] | None = None,
        resume: bool = False,
        overwrite: bool = False,
        georeference: Path | None = None,
        nodata: float | None = None,
        pixel_size: PixelSize | None = None,
    ) -> None:
        self.target, self.frame, self.dtype = Path(target), frame, np.dtype(dtype)
        check_output(self.target, overwrite)
        self._overwrite, self._georeference, self._nodata = overwrite, georeference, nodata
        self._pixel_size = pixel_size
        self.axes = ("C" if classes else "") + frame.axes
        self.shape = (*((classes,) if classes else ()), *frame.shape)
        self.folder = partial_folder(self.target)
        self.done = [0] * len(frame.planes)
        self.done_windows: set[tuple[int, int, int]] = set()
        self._side = SIDE if classes is None else SIDE // 2
        self._noted = 0
        self._made: list[Path] = []
        self._pieces: dict[tuple[int, int, int], tuple[npt.NDArray[Any], int]] = {}
        header = {"shape": list(self.shape), "dtype": str(self.dtype), "axes": self.axes, **(begun or {})}
        with translated(self.target):
            if not (resume and self._go_on(header)):
                self._begin(header)
        self.array = self._open()

    @staticmethod
    def begun(target: str | Path) -> dict[str, Any] | None:
        """What an unfinished result at `target` was begun with, or None when there is none."""
        try:
            document = json.loads((partial_folder(Path(target)) / "begun.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return document if isinstance(document, dict) else None

    def write(self, plane: int, rows: slice, columns: slice, values: npt.NDArray[Any]) -> None:
        """Take a window of a plane; chunks are written when they are complete."""
        side = self._side
        for chunk_row in range(rows.start // side, (rows.stop - 1) // side + 1):
            for chunk_column in range(columns.start // side, (columns.stop - 1) // side + 1):
                top, left = chunk_row * side, chunk_column * side
                y = slice(max(top, rows.start), min(top + side, rows.stop))
                x = slice(max(left, columns.start), min(left + side, columns.stop))
                height, width = min(side, self.frame.height - top), min(side, self.frame.width - left)
                piece = values[..., y.start - rows.start : y.stop - rows.start, x.start - columns.start :][
                    ..., : x.stop - x.start
                ]
                key = (plane, chunk_row, chunk_column)
                chunk, missing = self._pieces.get(key) or (
                    np.zeros((*piece.shape[:-2], height, width), self.dtype),
                    height * width,
                )
                chunk[..., y.start - top : y.stop - top, x.start - left : x.stop - left] = piece
                missing -= (y.stop - y.start) * (x.stop - x.start)
                if missing:
                    self._pieces[key] = chunk, missing
                    continue
                self._pieces.pop(key, None)
                self._put(plane, slice(top, top + height), slice(left, left + width), chunk)

    def finished_rows(self, plane: int, rows: int) -> int:
        """How many of `rows` finished pixel rows of a plane are in complete chunks, also of a sink with larger ones."""
        return rows if rows == self.frame.height else rows // SIDE * SIDE

    def commit(self, plane: int, rows: int) -> None:
        """Remember that all pixels of a plane above `rows` were given: a later run goes on from there."""
        kept = self.finished_rows(plane, rows)
        if kept > self.done[plane]:
            self.done[plane] = kept
            self._note(plane, kept)

    def commit_window(self, plane: int, row: int, column: int) -> None:
        """Remember that the window that begins there is complete."""
        self.done_windows.add((plane, row, column))
        self._note(plane, row, column)

    def part(self) -> StoreSink:
        """The same result for one of several that write to it at once, each to chunks of its own."""
        part = copy.copy(self)
        part._pieces = {}
        return part

    def _note(self, *numbers: int) -> None:
        self._noted += 1
        with (self.folder / "journal").open("a", encoding="utf-8") as journal:
            journal.write(" ".join(map(str, numbers)) + " .\n")

    def finish(self) -> None:
        """Make the result of the pieces and put it in its place.

        Raises
        ------
        OutputError
            The place cannot be written.
        """
        from . import finished

        self.check_complete()
        make: Callable[..., None] = finished.MAKERS[suffix(self.target)]
        with atomic(self.target, overwrite=self._overwrite) as temporary:
            if suffix(self.target) == ".zarr":
                if self._is_ome:
                    finished.add_pyramid(self._root, self.axes, self._pixel_size, self.dtype.kind != "f")
                self._root.rename(temporary)
            else:
                make(temporary, self.array, self.axes, georeference=self._georeference, nodata=self._nodata)
        shutil.rmtree(self.folder, ignore_errors=True)

    def check_complete(self) -> None:
        """Raise `RuntimeError` when a chunk was begun and not completed: a mistake of who cuts the work."""
        if self._pieces:
            raise RuntimeError(f"{len(self._pieces)} chunks of {str(self.target)!r} are not complete.")

    def abort(self) -> None:
        """Keep the pieces for a run that goes on, if they are more than one row of tiles; else leave nothing."""
        self._pieces.clear()
        if self._noted < WORTH_KEEPING and not (self.folder / DIRECTIONS_FOLDER / "journal").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            for folder in reversed(self._made):
                with contextlib.suppress(OSError):
                    folder.rmdir()

    @property
    def _is_ome(self) -> bool:
        return self.target.name.lower().endswith(".ome.zarr")

    @property
    def _root(self) -> Path:
        return self.folder / "pieces.zarr"

    def _begin(self, header: Mapping[str, Any]) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        self._made = make_parents(self.folder.parent)
        self.folder.mkdir()
        if self._is_ome:
            zarr.create_group(str(self._root))
        chunks = self.frame.chunks(self._side)
        zarr.create_array(
            str(self._root / "0" if self._is_ome else self._root),
            shape=self.shape,
            dtype=self.dtype,
            chunks=chunks if len(chunks) == len(self.shape) else (1, *chunks),
            dimension_names=[letter.lower() for letter in self.axes],
            fill_value=0,
        )
        (self.folder / "begun.json").write_text(json.dumps(header), encoding="utf-8")

    def _go_on(self, header: Mapping[str, Any]) -> bool:
        before = self.begun(self.target)
        if before is None:
            return False
        now = json.loads(json.dumps(header))
        other = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        if other:
            raise InputError(
                f"What is there of {str(self.target)!r} was begun with another {' and another '.join(sorted(other))}; "
                "go on with the same, or begin anew without --resume."
            )
        with contextlib.suppress(OSError):
            for line in (self.folder / "journal").read_text(encoding="utf-8").splitlines():
                self._noted += 1
                match line.split():
                    case [plane, rows, "."]:
                        self.done[int(plane)] = max(self.done[int(plane)], int(rows))
                    case [plane, row, column, "."]:
                        self.done_windows.add((int(plane), int(row), int(column)))
                    case _:  # the end of this line was never written
                        continue
        return True

    def _open(self) -> Any:
        try:
            return zarr.open_array(str(self._root / "0" if self._is_ome else self._root), mode="r+")
        except Exception as error:  # whatever zarr says of a damaged store
            raise OutputError(f"The pieces of {str(self.target)!r} in {str(self.folder)!r} are damaged.") from error

    def _put(self, plane: int, rows: slice, columns: slice, values: npt.NDArray[Any]) -> None:
        leading: Sequence[Any] = (slice(None),) * (values.ndim - 2)
        with translated(self.target):
            self.array[(*leading, *self.frame.key(plane, rows, columns))] = self.frame.turned(values)
