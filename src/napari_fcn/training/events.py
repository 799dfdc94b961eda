"""What training tells while it runs: small frozen facts, for a progress bar, a curve, a loop or a file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass
from typing import Any, Literal, TypeAlias, get_args

from ..errors import InputError
from ..metrics import Scores

__all__ = ["Event", "Finished", "Measured", "Noted", "Reason", "Started", "Step", "Validated", "from_json", "to_json"]

Reason: TypeAlias = Literal["completed", "cancelled", "early"]


@dataclass(frozen=True)
class Started:
    """Training is about to begin, or to go on.

    Attributes
    ----------
    device, precision : where and how it computes, such as "cpu" and "bfloat16".
    batch_size, patch_size : patches a step and their side in pixels.
    steps : planned number of steps, None when seconds are the limit.
    seconds : planned seconds, None when steps are the limit.
    trainable, parameters : numbers of parameters that learn, and of all.
    notes : sentences that the user should know, such as a class that could not be held out.
    resumed : the step from which it goes on; 0 for a new training.
    majority : held-out scores of calling everything the most common class; None when nothing was held out.
    mean_loss : without labels, the held-out loss of the mean of each channel; None when nothing was held out.
    """

    device: str
    precision: str
    batch_size: int
    patch_size: int
    steps: int | None
    seconds: float | None
    trainable: int
    parameters: int
    notes: tuple[str, ...] = ()
    resumed: int = 0
    majority: Scores | None = None
    mean_loss: float | None = None


@dataclass(frozen=True)
class Step:
    """One step is done: its number from 1, loss, the decoder's learning rate, seconds so far, progress in [0, 1]."""

    step: int
    loss: float
    rate: float
    seconds: float
    progress: float


@dataclass(frozen=True)
class Validated:
    """The network was scored on held-out pixels; at step 0 it is the starting model.

    `best` says that these are the best weights so far.
    """

    step: int
    seconds: float
    scores: Scores
    best: bool


@dataclass(frozen=True)
class Measured:
    """The loss on held-out pixels of a training without labels; at step 0 it is the starting network's.

    `best` says that these are the best weights so far.
    """

    step: int
    seconds: float
    loss: float
    best: bool


@dataclass(frozen=True)
class Noted:
    """Something happened meanwhile that the user should know, such as a batch that had to be halved.

    Attributes
    ----------
    seconds : when, in seconds of training.
    text : a sentence.
    """

    seconds: float
    text: str


@dataclass(frozen=True)
class Finished:
    """Training is over, and `Training.segmenter()` has the best weights.

    Attributes
    ----------
    reason : "completed", "cancelled" when somebody stopped it, "early" when it no longer got better.
    steps, seconds : what it took.
    best_step : the step whose weights were kept.
    start, best : held-out scores of the starting model and of the kept weights; None when nothing was held out.
    summary : an honest sentence about whether it got better.
    majority : held-out scores of calling everything the most common class; None when nothing was held out.
    start_loss, best_loss, mean_loss : without labels, held-out losses of the starting network, of the kept weights and
        of the mean of each channel; None when nothing was held out.
    """

    reason: Reason
    steps: int
    seconds: float
    best_step: int
    start: Scores | None
    best: Scores | None
    summary: str
    majority: Scores | None = None
    start_loss: float | None = None
    best_loss: float | None = None
    mean_loss: float | None = None


Event: TypeAlias = Started | Step | Validated | Measured | Noted | Finished

_EVENTS: Mapping[str, type[Event]] = {kind.__name__.lower(): kind for kind in get_args(Event)}


def to_json(event: Event) -> dict[str, Any]:
    """An event as a dictionary that strict JSON can hold, with its kind under "event".

    NaN becomes None, infinities "inf" and "-inf".

    Examples
    --------
    >>> to_json(Noted(1.5, "The batch was halved."))
    {'event': 'noted', 'seconds': 1.5, 'text': 'The batch was halved.'}
    """
    values = {entry.name: _written(getattr(event, entry.name)) for entry in dataclasses.fields(event)}
    return {"event": type(event).__name__.lower(), **values}


def from_json(document: Mapping[str, Any]) -> Event:
    """The event that `to_json` described.

    Raises
    ------
    InputError
        It is no event, or a field is missing, unknown or of another kind.

    Examples
    --------
    >>> from_json({"event": "noted", "seconds": 1.5, "text": "The batch was halved."})
    Noted(seconds=1.5, text='The batch was halved.')
    """
    name = document.get("event") if isinstance(document, Mapping) else None
    kind = _EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InputError(f"An event must be one of {', '.join(_EVENTS)}. Got {name!r}.")
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    given = {key: value for key, value in document.items() if key != "event"}
    for key in given:
        if key not in fields:
            raise InputError(f"The event {name!r} has no {key!r}; it was written by another version of napari-fcn.")
    for key, entry in fields.items():
        if key not in given and entry.default is MISSING:
            raise InputError(f"The event {name!r} is not complete: {key!r} is missing.")
    try:
        return kind(**{key: _read(str(fields[key].type), value) for key, value in given.items()})
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"The event {name!r} cannot be read ({type(error).__name__}: {error}).") from error


def _written(value: Any) -> Any:
    if isinstance(value, Scores):
        return value.to_json()
    if isinstance(value, tuple):
        return list(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(float(value))
    return value


def _read(kind: str, value: Any) -> Any:
    """The value of a field whose type is written as `kind` in its class."""
    wanted, _, optional = kind.partition(" | ")
    if value is None and optional:
        return None
    if wanted == "float":
        return _number(value)
    if wanted == "Scores":
        return Scores.from_json(value)
    if wanted == "tuple[str, ...]":
        return tuple(_of_type(each, str) for each in value)
    if wanted == "Reason":
        if value not in get_args(Reason):
            raise ValueError(f"{value!r} is none of {', '.join(get_args(Reason))}")
        return value
    return _of_type(value, {"int": int, "bool": bool, "str": str}[wanted])


def _of_type(value: Any, wanted: type) -> Any:
    if type(value) is not wanted:
        raise TypeError(f"{value!r} is no {wanted.__name__}")
    return value


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if value in ("inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return value
