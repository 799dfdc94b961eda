"""Classes: from the label values that a user painted to indices 0 .. K-1 and back, unchanged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError

__all__ = ["ClassTable", "LabelClass", "check_labels", "default_color"]

PALETTE = (
    "#e6550d", "#3182bd", "#31a354", "#e7ba52", "#756bb1", "#17becf", "#d6616b", "#8c6d31", "#636363", "#bcbd22",
)  # fmt: skip
MOST_CLASSES = 256


def default_color(value: int) -> str:
    """The colour of a label value for which nobody chose one; 0 is a dark grey."""
    return "#404040" if value == 0 else PALETTE[(value - 1) % len(PALETTE)]


@dataclass(frozen=True)
class LabelClass:
    """One class: the user's label value, its name and its colour as '#rrggbb'."""

    value: int
    name: str
    color: str


def check_labels(labels: Any) -> None:
    """Raise `InputError` unless `labels` holds integers (or booleans)."""
    if np.dtype(labels.dtype).kind not in "biu":
        raise InputError(f"Labels must be integers, one class value a pixel. Got dtype {labels.dtype}.")


@dataclass(frozen=True)
class ClassTable:
    """The classes of a segmenter, by rising label value.

    Examples
    --------
    >>> table = ClassTable.from_labels([np.array([[0, 7], [3, 7]])], zero="unlabelled")
    >>> table.values
    (3, 7)
    >>> table.to_indices(np.array([[0, 7], [3, 7]]))
    array([[-1,  1],
           [ 0,  1]], dtype=int16)
    >>> table.to_values(np.array([1, 0]))
    array([7, 3], dtype=uint8)
    """

    classes: tuple[LabelClass, ...]

    @classmethod
    def from_labels(
        cls,
        labels: Sequence[npt.NDArray[Any]],
        *,
        zero: str,
        ignore: Sequence[int] = (),
        names: Mapping[int, str] | None = None,
        colors: Mapping[int, str] | None = None,
    ) -> ClassTable:
        """The classes that occur in `labels`, integer arrays of any shape.

        Raises
        ------
        InputError
            The labels are no integers, or hold fewer than two classes or hundreds of them.
        """
        found: set[int] = set()
        for array in labels:
            check_labels(array)
            found.update(int(value) for value in np.unique(array))
        values = sorted(found - set(ignore) - ({0} if zero == "unlabelled" else set()))
        if not values:
            raise InputError("The labels hold no labelled pixel; paint at least two classes.")
        if len(values) == 1:
            hint = (
                "or say that 0 is a class of its own (zero='background')" if 0 in found and zero == "unlabelled" else ""
            )
            only = "only 0" if values == [0] else f"only the class {values[0]}"
            raise InputError(f"The labels hold {only}; paint at least two classes{', ' + hint if hint else ''}.")
        if len(values) > MOST_CLASSES:
            raise InputError(
                f"The labels hold {len(values)} values, more than {MOST_CLASSES} classes; "
                f"if each value is an object, turn them into classes first (labels > 0)."
            )
        names, colors = names or {}, colors or {}
        return cls(
            tuple(
                LabelClass(v, names.get(v) or cls._default_name(v), colors.get(v) or default_color(v)) for v in values
            )
        )

    @staticmethod
    def _default_name(value: int) -> str:
        return "background" if value == 0 else f"class {value}"

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[LabelClass]:
        return iter(self.classes)

    @cached_property
    def values(self) -> tuple[int, ...]:
        """Label values, rising; their positions are the class indices."""
        return tuple(entry.value for entry in self.classes)

    @property
    def names(self) -> dict[int, str]:
        """Label value to name."""
        return {entry.value: entry.name for entry in self.classes}

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The smallest unsigned integer type that holds the values and `nodata_value` (signed when one is negative)."""
        return np.promote_types(np.min_scalar_type(min(*self.values, 0)), np.min_scalar_type(max(self.values)))

    @cached_property
    def nodata_value(self) -> int:
        """What prediction writes where there is no data: 0 when it is no class, else the highest free value."""
        if 0 not in self.values:
            return 0
        highest = int(np.iinfo(self.dtype).max)
        return next(value for value in range(highest, -2, -1) if value not in self.values)

    def to_indices(self, labels: npt.NDArray[Any]) -> npt.NDArray[np.int16]:
        """Class indices of label values, int16 in the shape of `labels`; -1 for values that are no class."""
        values = np.asarray(self.values)
        positions = np.searchsorted(values, labels).clip(max=len(values) - 1)
        return np.where(values[positions] == labels, positions, -1).astype(np.int16)

    def to_values(self, indices: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Label values of class indices; -1 becomes `nodata_value`."""
        table = np.array([*self.values, self.nodata_value], dtype=self.dtype)
        values: npt.NDArray[Any] = table[indices]
        return values

    def to_json(self) -> list[dict[str, Any]]:
        """The table as a list of {value, name, color}."""
        return [{"value": entry.value, "name": entry.name, "color": entry.color} for entry in self.classes]

    @classmethod
    def from_json(cls, document: Sequence[Mapping[str, Any]]) -> ClassTable:
        """The table that `to_json` described."""
        return cls(tuple(LabelClass(int(e["value"]), str(e["name"]), str(e["color"])) for e in document))
