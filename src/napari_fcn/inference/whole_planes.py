"""Labels that go through filters before they are written, which see a plane whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from ..data import Planes
from ..imaging import Chain
from ..io.pieces import Frame, Sink
from .predictor import Output, Predictor

if TYPE_CHECKING:
    from ..data import ClassTable

__all__ = ["WholePlanes"]


class Finishing(Protocol):
    """Who knows which filters labels go through: a segmenter."""

    @property
    def postprocess(self) -> Chain:
        """The filters."""

    @property
    def classes(self) -> ClassTable:
        """What the labels are."""

    def finish_plane(
        self,
        labels: npt.NDArray[Any],
        *,
        image: npt.NDArray[Any] | None = None,
        probabilities: npt.NDArray[np.float32] | None = None,
        first: int = 1,
    ) -> npt.NDArray[Any]:
        """A predicted plane after the filters."""


class WholePlanes:
    """A sink that collects the labels of a plane, filters them, and gives them on.

    One plane of labels is in memory, and its probabilities where a filter needs them.

    Parameters
    ----------
    sink : where the filtered labels go.
    segmenter : whose `postprocess` it is.
    predictor : of the image.
    """

    def __init__(self, sink: Sink, segmenter: Finishing, predictor: Predictor) -> None:
        self.sink, self.segmenter, self.frame = sink, segmenter, predictor.frame
        self.image: Planes = predictor.planes
        self.labels = np.zeros((self.frame.height, self.frame.width), segmenter.classes.dtype)
        self.probabilities: npt.NDArray[np.float32] | None = None
        if segmenter.postprocess.needs_probabilities:
            shape = (len(segmenter.classes), self.frame.height, self.frame.width)
            self.probabilities = np.zeros(shape, np.float32)
        self._objects = self._objects_before()

    def outputs(self) -> list[Output]:
        """What a predictor is to be asked for."""
        outputs = [Output("labels", self)]
        if self.probabilities is not None:
            outputs.append(Output("probabilities", _Buffer(self.probabilities)))
        return outputs

    @property
    def done(self) -> Sequence[int]:
        """Rows of each plane that are finished."""
        return getattr(self.sink, "done", [0] * len(self.frame.planes))

    def write(self, plane: int, rows: slice, columns: slice, values: npt.NDArray[Any]) -> None:
        """Take a window of a plane."""
        self.labels[rows, columns] = values

    def commit(self, plane: int, rows: int) -> None:
        """All pixels of a plane above `rows` were given; with the last ones the plane is filtered and given on."""
        if rows < self.frame.height:
            return
        chain = self.segmenter.postprocess
        made = self.segmenter.finish_plane(
            self.labels,
            image=self.image.read(plane) if chain.needs_image else None,
            probabilities=self.probabilities,
            first=self._objects + 1,
        )
        if chain.numbers:
            self._objects = max(self._objects, int(made.max()))
        self.sink.write(plane, slice(0, self.frame.height), slice(0, self.frame.width), made)
        commit = getattr(self.sink, "commit", None)
        if commit is not None:
            commit(plane, rows)

    def finish(self) -> None:
        """Everything was written: put it in its place."""
        self.sink.finish()

    def abort(self) -> None:
        """It will not be complete."""
        self.sink.abort()

    def _objects_before(self) -> int:
        """The highest number that an earlier run has given to an object."""
        frame: Frame = self.frame
        finished = [plane for plane, rows in enumerate(self.done) if rows == frame.height]
        if not self.segmenter.postprocess.numbers or not finished:
            return 0
        array: Any = self.sink.array  # type: ignore[attr-defined]
        whole = slice(None), slice(None)
        return max(int(np.max(array[frame.key(plane, *whole)])) for plane in finished)


class _Buffer:
    """One plane's probabilities, each plane over the one before."""

    def __init__(self, values: npt.NDArray[np.float32]) -> None:
        self.values = values

    def write(self, plane: int, rows: slice, columns: slice, values: npt.NDArray[Any]) -> None:
        self.values[:, rows, columns] = values

    def finish(self) -> None:
        """Nothing is left to do."""

    def abort(self) -> None:
        """Nothing is left to do."""
