"""Filters one after the other: as text, as JSON, and on the planes of images and labels.

A filter sees a whole plane, since objects, percentiles and backgrounds know no tiles. While it works it takes 8 to 55
bytes a pixel (of images: and channel), watershed 120 and random walks 490 (measured, docs/process.md); a prepared plane
stays as floats of 4 or 8 bytes while a network reads it. An empty chain holds nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..registry import filters
from .filter import Filter, Floats, ImageFilter, LabelFilter, Scene, filter_named, parse_step
from .missing import distinct, filled, missing

__all__ = ["Chain"]


@dataclass(frozen=True)
class Chain:
    """Filters of one stage, in their order; an empty one does nothing.

    Raises
    ------
    InputError
        Filters for images and for labels are mixed.

    Examples
    --------
    >>> chain = Chain.parse("median:radius=2 + gamma:exponent=0.5")
    >>> print(chain)
    median + gamma:exponent=0.5
    >>> Chain.from_json(chain.to_json()) == chain
    True
    """

    steps: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        images = [step.name for step in self.steps if step.stage == "before"]
        others = [step.name for step in self.steps if step.stage == "after"]
        if images and others:
            raise InputError(
                f"A chain works on images or on labels. Got {images[0]!r}, which works on images, and {others[0]!r}, "
                "which works on labels; make two chains of them."
            )

    @classmethod
    def parse(cls, text: str | Sequence[str] | Chain | None) -> Chain:
        """A chain from `name:key=value,key=value + name`, or from one such text for each step.

        Raises
        ------
        InputError
            A filter or setting is unknown (the message has the nearest), or a value is not allowed.
        """
        if isinstance(text, Chain):
            return text
        parts = [text] if isinstance(text, str) else list(text or ())
        steps = [step for part in parts for step in re.split(r"\s*\+\s*(?=[A-Za-z])|\s+(?=[A-Za-z])", part.strip())]
        return cls(tuple(parse_step(step) for step in steps if step))

    def __str__(self) -> str:
        return " + ".join(map(str, self.steps))

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[Filter]:
        return iter(self.steps)

    def to_json(self) -> list[dict[str, Any]]:
        """A list of {filter, settings}, complete, so that another version's usual values change nothing."""
        return [{"filter": step.name, "settings": step.to_json()} for step in self.steps]

    @classmethod
    def from_json(cls, document: Sequence[Mapping[str, Any]]) -> Chain:
        """The chain that `to_json` described; an unknown filter or setting raises `InputError` with the nearest."""
        steps = []
        for entry in document:
            kind: type[Filter] = filter_named(entry["filter"])
            steps.append(kind.from_json(entry["settings"]))
        return cls(tuple(steps))

    def require(self, stage: str, name: str) -> Chain:
        """The chain itself, or `InputError` when it does not belong to `stage`; `name` is the setting's."""
        wrong = [step.name for step in self.steps if step.stage != stage]
        if wrong:
            known = ", ".join(each for each, entry in filters.items() if entry.details["stage"] == stage)
            raise InputError(f"`{name}` takes filters that work on {_WORDS[stage]}: {known}. Got {wrong[0]!r}.")
        return self

    @property
    def needs_image(self) -> bool:
        """Whether labels can only be filtered with the image that they belong to."""
        return any("image" in step.takes for step in self.steps if step.stage == "after")

    @property
    def needs_probabilities(self) -> bool:
        """Whether labels can only be filtered with the probabilities that they come from."""
        return any("probabilities" in step.takes for step in self.steps)

    @property
    def numbers(self) -> bool:
        """Whether numbered objects come out instead of classes."""
        return any(isinstance(step, LabelFilter) and step.numbers for step in self.steps)

    def image_dtype(self, dtype: npt.DTypeLike) -> np.dtype[Any]:
        """The type that `like` gives back for images of this type."""
        given = np.dtype(dtype)
        rescales = any(isinstance(step, ImageFilter) and step.rescales for step in self.steps)
        if given.kind == "b" or (rescales and _span(given) is None and given.kind != "f"):
            return np.dtype(np.float32)
        return given

    def labels_dtype(self, dtype: npt.DTypeLike) -> np.dtype[Any]:
        """The type of `labels` for labels of this type: the same, or int32 where objects are numbered."""
        return np.dtype(np.int32) if self.numbers else np.dtype(dtype)

    def image(self, plane: npt.NDArray[Any], nodata: float | None = None) -> Floats:
        """Filter a plane of an image for a network.

        Parameters
        ----------
        plane : `(C, H, W)`, any integer or float type, or bool.
        nodata : the value of missing pixels; those that are not finite are missing too.

        Returns
        -------
        `(C, H, W)` float32, or float64 where float32 does not hold the given type; NaN where pixels are missing, and
        no other pixel has the value `nodata`.
        """
        self.require("before", "preprocess")
        gone = missing(plane, nodata)
        values = self._filtered(plane, gone)
        if gone is not None:
            values[:, gone] = np.nan
        return distinct(values, nodata)

    def like(self, plane: npt.NDArray[Any], nodata: float | None = None) -> npt.NDArray[Any]:
        """As `image`, in the type of the plane (see `image_dtype`), rounded, and with missing pixels as they were."""
        self.require("before", "filters")
        dtype = self.image_dtype(plane.dtype)
        gone = missing(plane, nodata)
        values = self._filtered(plane, gone)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            values = np.rint(values, out=values).clip(limits.min, limits.max)
        result = distinct(values.astype(dtype), nodata)
        if gone is not None:
            result[:, gone] = plane[:, gone]
        return result

    def _filtered(self, plane: npt.NDArray[Any], gone: npt.NDArray[np.bool_] | None) -> Floats:
        exact = plane.dtype.itemsize <= 2 or plane.dtype == np.float32
        values: Floats = plane.astype(np.float32 if exact else np.float64)
        if gone is not None:
            if gone.all():
                return values
            values = filled(values, gone)
        span = _span(plane.dtype)
        for step in self.steps:
            if isinstance(step, ImageFilter):
                values = step.plane(values, span)
        return values

    def labels(
        self,
        labels: npt.NDArray[Any],
        *,
        image: npt.NDArray[Any] | None = None,
        probabilities: npt.NDArray[np.float32] | None = None,
        values: Sequence[int] = (),
        ignore: Sequence[int] = (),
        nodata: float | None = None,
        first: int = 1,
    ) -> npt.NDArray[Any]:
        """Filter a plane of labels, or a volume of them as one.

        Parameters
        ----------
        labels : integers of any shape; they are not changed.
        image : `(C, *labels.shape)`, where a filter needs it (`needs_image`).
        probabilities, values : `(K, *labels.shape)` and the K label values, where a filter needs them.
        ignore : label values of pixels that stay as they are and say nothing about others: unlabelled, no data. Where
            objects are numbered, these pixels become 0.
        nodata : the image's value of missing pixels.
        first : the lowest number for objects, where they are numbered, so that planes go on where others end.

        Raises
        ------
        InputError
            A filter needs the image or the probabilities, and there is none; or shapes differ.
        """
        self.require("after", "postprocess")
        for need, given, word in (
            (self.needs_image, image, "image"),
            (self.needs_probabilities, probabilities, "probabilities"),
        ):
            if need and given is None:
                name = next(step.name for step in self.steps if word in step.takes)
                raise InputError(f"The filter {name!r} needs the {word} that the labels belong to. Got none.")
            if need and given is not None and given.shape[1:] != labels.shape:
                raise InputError(
                    f"The {word} must have the labels' shape {labels.shape} after the first axis. Got {given.shape}."
                )
        if labels.dtype.kind == "b":
            labels = labels.astype(np.uint8)
        kept = np.isin(labels, list(ignore)) if len(ignore) else None
        guide = None
        if self.needs_image and image is not None:
            gone = missing(image, nodata)
            guide = image.astype(np.float32)
            if gone is not None:
                kept = gone if kept is None else kept | gone
                guide = guide if gone.all() else filled(guide, gone)
                guide[~np.isfinite(guide)] = 0
        if kept is not None and not kept.any():
            kept = None
        scene = Scene(guide, probabilities if self.needs_probabilities else None, tuple(values), kept)
        result = labels
        for step in self.steps:
            if isinstance(step, LabelFilter):
                result = step.labels(result, scene)
        dtype = self.labels_dtype(labels.dtype)
        if self.numbers and first > 1:
            result = np.where(result > 0, result + (first - 1), result)
        return result.astype(dtype, copy=result is labels)


_WORDS = {"before": "images", "after": "labels"}


def _span(dtype: np.dtype[Any]) -> tuple[float, float] | None:
    if dtype in (np.uint8, np.uint16):
        return 0.0, float(np.iinfo(dtype).max)
    return (0.0, 1.0) if dtype.kind == "b" else None
