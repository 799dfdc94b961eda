"""What a filter is: a frozen set of settings that works on one plane.

A new filter is one class with described settings and one method, registered where it stands; the command line, the
Process widget and the docs read the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, TypeVar, cast

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..options import Config, Option, options
from ..registry import filters, nearest

__all__ = [
    "Filter",
    "Floats",
    "ImageFilter",
    "LabelFilter",
    "Scene",
    "Takes",
    "filter_class",
    "filter_named",
    "parse_step",
]

Floats = npt.NDArray[np.floating[Any]]
Takes = Literal["image", "labels", "labels+image", "labels+probabilities+image"]


@dataclass(frozen=True)
class Scene:
    """What belongs to the labels that a filter works on.

    Attributes
    ----------
    image : `(C, *labels.shape)` finite floats, or None.
    probabilities : float32 `(K, *labels.shape)`, or None.
    values : the label value of each of the K classes.
    kept : bool in the shape of the labels where a filter must neither change a pixel nor learn from it: there is no
        data, or nobody has judged. None when there is no such pixel.
    """

    image: Floats | None = None
    probabilities: npt.NDArray[np.float32] | None = None
    values: tuple[int, ...] = ()
    kept: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Filter(Config):
    """One step: a filter with its settings.

    Attributes
    ----------
    name : in the registry.
    stage : "before" for images that a network is about to see, "after" for labels that it made.
    takes : what it works on.
    """

    name: ClassVar[str]
    stage: ClassVar[Literal["before", "after"]]
    takes: ClassVar[Takes]

    def __str__(self) -> str:
        """`name:key=value,key=value`, with the settings that are not the usual ones."""
        given = []
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value != entry.default:
                given.append(f"{entry.name}={_text(value)}")
        return self.name + (":" + ",".join(given) if given else "")


@dataclass(frozen=True)
class ImageFilter(Filter):
    """A filter of images; `rescales` says that values change their meaning, so that they need not fit the old type."""

    stage = "before"
    takes = "image"
    rescales: ClassVar[bool] = False

    def plane(self, values: Floats, span: tuple[float, float] | None) -> Floats:
        """Filter a plane.

        Parameters
        ----------
        values : `(C, H, W)` finite floats.
        span : the lowest and highest value of the image's type, for 8 and 16 bits without sign; None for other types,
            where the values themselves must say.

        Returns
        -------
        `(C, H, W)` of the same type.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class LabelFilter(Filter):
    """A filter of labels; `numbers` says that it makes numbered objects of classes."""

    stage = "after"
    takes: ClassVar[Takes] = "labels"
    numbers: ClassVar[bool] = False

    def labels(self, labels: npt.NDArray[Any], scene: Scene) -> npt.NDArray[Any]:
        """Filter labels, integers of any shape, without changing the array that is given.

        Pixels in `scene.kept` come back as they are.
        """
        raise NotImplementedError


F = TypeVar("F", bound=type[Filter])


def filter_class(name: str, *, summary: str, title: str = "") -> Callable[[F], F]:
    """Decorator that registers a dataclass of settings as the filter `name`; its `title` is for people."""

    def decorate(target: F) -> F:
        target.name = name
        settings: dict[str, tuple[Any, Option]] = options(target)
        words = title or name.replace("_", " ").capitalize()
        details = {"title": words, "stage": target.stage, "takes": target.takes, "settings": settings}
        filters.register(name, summary=summary, **details)(target)
        return target

    return decorate


def filter_named(name: str) -> type[Filter]:
    """The class of a registered filter; an unknown name raises `UnknownNameError` with the nearest."""
    return cast("type[Filter]", filters[name].target)


def parse_step(text: str) -> Filter:
    """A filter from `name` or `name:key=value,key=value`; lists of numbers are `values=1,2`.

    Raises
    ------
    InputError
        There is no such filter or setting (the message has the nearest), or a value is not allowed.

    Examples
    --------
    >>> print(parse_step("median:radius=3"))
    median:radius=3
    """
    name, colon, rest = (part.strip() for part in text.partition(":"))
    target = filter_named(name)
    settings: dict[str, tuple[Any, Option]] = dict(filters[name].details["settings"])
    given: dict[str, Any] = {}
    if colon and not rest:
        raise InputError(f"After {name + ':'!r} settings are expected, such as {_example(name, settings)}. Got none.")
    for part in re.split(r",(?=\s*[A-Za-z_]+\s*=)", rest) if rest else []:
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise InputError(
                f"Settings of a filter are written key=value, such as {_example(name, settings)}. Got {part!r}."
            )
        if key not in settings:
            close = nearest(key, list(settings))
            hint = f"the nearest is {close!r}" if close else f"known are {', '.join(settings)}"
            raise InputError(f"The filter {name!r} has no setting {key!r}; {hint}.")
        if key in given:
            raise InputError(f"The setting {key!r} of the filter {name!r} is given twice.")
        given[key] = _value(name, key, value, settings[key][1])
    return target(**given)


def _value(name: str, key: str, text: str, option: Option) -> Any:
    try:
        match option.kind:
            case "integer":
                return int(text)
            case "number":
                return float(text)
            case "integers":
                return tuple(int(part) for part in text.split(","))
    except ValueError:
        words = {"integer": "a whole number", "number": "a number", "integers": "whole numbers such as 1,2"}
        raise InputError(f"`{key}` of the filter {name!r} must be {words[option.kind]}. Got {text!r}.") from None
    return text


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    return str(value)


def _example(name: str, settings: dict[str, tuple[Any, Option]]) -> str:
    key, (default, _) = next(iter(settings.items()))
    return f"'{name}:{key}={_text(default if default is not None else 1)}'"
