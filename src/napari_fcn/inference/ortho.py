"""Segmenting a stack in three directions: planes XY, XZ and YZ, whose probabilities are averaged.

A network that learnt on planes sees each voxel from three sides so, which helps where voxels are as deep as they are
wide (Prasoon et al. 2013 call it 2.5D). Each direction's probabilities lie in a Zarr of blocks beside the result until
the end, so that memory holds one row of tiles of one direction, whatever the size of the stack, and a run that was
stopped goes on after its last complete plane.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..io.pieces import Frame
from ..io.store import DIRECTIONS_FOLDER
from .ahead import Behind
from .predict import Region
from .predictor import Output, Predictor, commit_rows

__all__ = ["predict_in_three_directions"]

BLOCK = 64
DIRECTIONS = ("ZYX", "YZX", "XYZ")
"""Which axes take the places of Z, Y and X: planes XY, XZ and YZ."""


def predict_in_three_directions(
    predictors: Sequence[Predictor], outputs: Sequence[Output], folder: Path | None = None
) -> Iterator[float]:
    """Segment a stack into sinks, giving the finished fraction; the caller finishes or aborts the sinks.

    Parameters
    ----------
    predictors : of the same image, one for each of `DIRECTIONS`, which are the axes' names that they were given.
    outputs : what is wanted, and where it goes.
    folder : where the directions' probabilities lie until the end, and an earlier run of the same has left some; the
        system's folder for temporary files, and nothing from earlier, when None.
    """
    own = predictors[0]
    with contextlib.ExitStack() as stack:
        if folder is None:
            place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".directions-")))
        else:
            place = folder / DIRECTIONS_FOLDER
        kept = _Kept(place, own.frame, len(own.classes))
        for number, predictor in enumerate(predictors):
            with Behind(2) as behind:
                for plane in range(len(predictor.planes)):
                    if (number, plane) not in kept.done:
                        for region in predictor.window(plane):
                            behind.do(kept.write, number, predictor.frame, region)
                        behind.do(kept.note, number, plane)
                    yield 0.95 * (number + (plane + 1) / len(predictor.planes)) / len(predictors)
        yield from _read_back(own, kept, outputs)


class _Kept:
    """The probabilities of each direction, in blocks of a Zarr, and a list of the planes that are complete."""

    def __init__(self, place: Path, frame: Frame, classes: int) -> None:
        import zarr

        self.frame = frame
        self.journal = place / "journal"
        self.done: set[tuple[int, int]] = set()
        with contextlib.suppress(FileNotFoundError):
            for line in self.journal.read_text(encoding="utf-8").splitlines():
                match line.split():
                    case [number, plane, "."]:
                        self.done.add((int(number), int(plane)))
                    case _:  # the end of this line was never written
                        continue
        make: Any = zarr.open_array if self.done else zarr.create_array
        block = [min(size, BLOCK) if a in "ZYX" else 1 for size, a in zip(frame.shape, frame.axes, strict=True)]
        described: dict[str, Any] = {
            "shape": (len(DIRECTIONS), classes, *frame.shape),
            "dtype": "float32",
            "chunks": (1, 1, *block),
            "compressors": None,
            "fill_value": 0,
            "overwrite": True,
        }
        self.values: Any = make(str(place / "probabilities.zarr"), **({"mode": "r+"} if self.done else described))

    def write(self, number: int, frame: Frame, region: Region) -> None:
        """Take a region of one direction's plane; again is no harm."""
        place = (number, slice(None), *frame.key(region.plane, region.rows, region.columns))
        self.values[place] = frame.turned(region.probabilities)

    def note(self, number: int, plane: int) -> None:
        """Remember that a plane is complete."""
        with self.journal.open("a", encoding="utf-8") as journal:
            journal.write(f"{number} {plane} .\n")

    def mean(self, plane: int, rows: slice, columns: slice) -> npt.NDArray[np.float32]:
        """The directions' mean `(K, h, w)` over a window of a plane of the image."""
        place = (slice(None), slice(None), *self.frame.key(plane, rows, columns))
        found: npt.NDArray[np.float32] = self.frame.turned(np.asarray(self.values[place]).mean(axis=0))
        return np.ascontiguousarray(found)


def turned_axes(axes: str, direction: str) -> str:
    """The axes of a stack when those in `direction` take the places of Z, Y and X.

    Examples
    --------
    >>> turned_axes("TZCYX", "YZX"), turned_axes("ZYX", "XYZ")
    ('TYCZX', 'XYZ')
    """
    if "Z" not in axes:
        raise InputError(f"`planes` 'ortho' needs a stack with an axis Z. Got axes {axes}; use 'own'.")
    return axes.translate(str.maketrans(direction, "ZYX"))


def _read_back(own: Predictor, kept: _Kept, outputs: Sequence[Output]) -> Iterator[float]:
    """The means as finished regions, some rows at a time, with what is missing in the image."""
    frame = own.frame
    for plane in range(len(frame.planes)):
        for top in range(0, frame.height, BLOCK):
            rows, columns = slice(top, min(top + BLOCK, frame.height)), slice(0, frame.width)
            values = kept.mean(plane, rows, columns)
            gone = own.normalization.apply(own.planes.read(plane, rows, columns), own.statistics)[1]
            if gone is not None:
                values[:, gone] = 0
            own.give(outputs, Region(plane, rows, columns, values, gone))
            commit_rows(outputs, plane, rows.stop)
        yield 0.95 + 0.05 * (plane + 1) / len(frame.planes)
