"""What Evaluate does in its thread: compare predicted labels with true ones."""

from __future__ import annotations

import threading
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import InputError
from ..metrics import Comparison, compare, present_values
from .worker import Progress

__all__ = ["EvaluationJob"]


@dataclass(frozen=True)
class EvaluationJob:
    """All that comparing needs, without widgets or layers.

    Attributes
    ----------
    prediction, truth : labels of the same shape, copies.
    predicted_names, true_names : of classes, by label value.
    match : "names" or "values": which classes belong together.
    settings : of `napari_fcn.metrics.compare`.
    """

    prediction: np.ndarray[Any, Any]
    truth: np.ndarray[Any, Any]
    predicted_names: Mapping[int, str]
    true_names: Mapping[int, str]
    match: str
    settings: Mapping[str, Any]

    @property
    def names(self) -> dict[int, str]:
        """Of classes, by label value; the truth knows better."""
        return {**self.predicted_names, **self.true_names}

    def run(self, stop: threading.Event) -> Generator[Progress, None, Comparison | None]:
        """Compare, in the worker's thread; None when it was told to stop."""
        yield Progress(None, "Comparing…")
        steps = compare(self.matched(), self.truth, names=self.names, **self.settings)
        try:
            while not stop.is_set():
                fraction = next(steps)
                yield Progress(fraction, f"{fraction:.0%} compared")
        except StopIteration as end:
            comparison: Comparison = end.value
            return comparison
        finally:
            steps.close()
        return None

    def matched(self) -> np.ndarray[Any, Any]:
        """The prediction with the truth's values for classes that have the same names."""
        if self.match != "names" or self.settings["objects"] == "numbers":
            return self.prediction
        values = {name: value for value, name in self.true_names.items()}
        moves = {v: values[name] for v, name in self.predicted_names.items() if values.get(name, v) != v}
        if not moves:
            return self.prediction
        taken = [int(v) for v in present_values(self.prediction) if int(v) in moves.values() and int(v) not in moves]
        if taken:
            name = next(name for name, value in values.items() if value == taken[0])
            raise InputError(
                f"The prediction has the value {taken[0]} for two classes, by its number and as {name!r} by name; "
                "match classes by value, or give the class a name."
            )
        result = self.prediction.astype(np.promote_types(self.prediction.dtype, self.truth.dtype))
        for value, other in moves.items():
            result[self.prediction == value] = other
        return result
