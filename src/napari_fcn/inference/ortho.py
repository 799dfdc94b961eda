"""Segmenting a stack in three directions: planes XY, XZ and YZ, whose probabilities are averaged.

A network that learnt on planes sees each voxel from three sides so, which helps where voxels are as deep as they are
wide (Prasoon et al. 2013 call it 2.5D). The sums of probabilities lie in a Zarr of blocks beside the result, so that
memory holds one row of tiles of one direction, whatever the size of the stack.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..io.pieces import Frame
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
    folder : where the sums may lie until the end; the system's folder for temporary files when None.
    """
    import zarr

    own = predictors[0]
    frame, classes = own.frame, len(own.classes)
    shape = (classes, *frame.shape)
    with tempfile.TemporaryDirectory(prefix=".directions-", dir=folder) as place:
        sums: Any = zarr.create_array(
            str(Path(place) / "sums.zarr"),
            shape=shape,
            dtype="float32",
            chunks=(
                1,
                *(min(size, BLOCK) if a in "ZYX" else 1 for size, a in zip(frame.shape, frame.axes, strict=True)),
            ),
            compressors=None,
            fill_value=0,
        )
        for number, predictor in enumerate(predictors):
            with Behind(2) as behind:
                for plane in range(len(predictor.planes)):
                    for region in predictor.window(plane):
                        behind.do(_add, sums, predictor.frame, region, len(predictors))
                    yield 0.95 * (number + (plane + 1) / len(predictor.planes)) / len(predictors)
        yield from _read_back(own, sums, frame, outputs)


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


def _add(sums: Any, frame: Frame, region: Region, count: int) -> None:
    place = (slice(None), *frame.key(region.plane, region.rows, region.columns))
    sums[place] = sums[place] + frame.turned(region.probabilities) / count


def _read_back(own: Predictor, sums: Any, frame: Frame, outputs: Sequence[Output]) -> Iterator[float]:
    """The means as finished regions, some rows at a time, with what is missing in the image."""
    for plane in range(len(frame.planes)):
        for top in range(0, frame.height, BLOCK):
            rows, columns = slice(top, min(top + BLOCK, frame.height)), slice(0, frame.width)
            values = frame.turned(np.asarray(sums[(slice(None), *frame.key(plane, rows, columns))]))
            gone = own.normalization.apply(own.planes.read(plane, rows, columns), own.statistics)[1]
            values = np.ascontiguousarray(values)
            if gone is not None:
                values[:, gone] = 0
            own.give(outputs, Region(plane, rows, columns, values, gone))
            commit_rows(outputs, plane, rows.stop)
        yield 0.95 + 0.05 * (plane + 1) / len(frame.planes)
