"""What a setting is: described once, checked when it is given, JSON both ways.

Every setting that a user can choose is a field of one of the classes in `config`, one class a stage. The command line
makes its options from the fields, the widgets their controls, `train` and `predict` their keyword arguments; so a
setting has one name, one default and one explanation everywhere.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar

from .errors import InputError, UnknownNameError
from .registry import Registry, nearest

__all__ = ["Config", "Option", "option", "options", "refuse_unknown", "split"]

Kind = Literal["text", "integer", "number", "integers"]


@dataclass(frozen=True)
class Option:
    """What the command line, the widgets and the docs have to know of a setting.

    Attributes
    ----------
    help : one line in plain words.
    kind : how a value looks; `integers` is a list of them.
    choices : the allowed names, from a registry or as a tuple with the meaning of each; None when free.
    open : the choices are suggestions (encoders: thousands more are known by name); who uses the name checks it.
    joined : several choices may be joined by '+'.
    minimum, maximum : bounds of numbers, inclusive.
    multiple : whole numbers must be a multiple of this.
    advanced : folded away in the widgets.
    group : the heading under which a long list shows it; that of its stage, `Config.group`, when empty.
    """

    help: str
    kind: Kind = "text"
    choices: Registry | Mapping[str, str] | None = None
    open: bool = False
    joined: bool = False
    minimum: float | None = None
    maximum: float | None = None
    multiple: int | None = None
    advanced: bool = False
    group: str = ""

    def names(self) -> list[str]:
        """The choices, in their order."""
        return list(self.choices) if self.choices is not None else []

    def check(self, name: str, value: Any) -> None:
        """Raise `InputError` when `value` cannot be the setting `name`; None means 'not given' and is always right."""
        if value is None:
            return
        checks: dict[Kind, Callable[[Any], bool]] = {
            "text": lambda v: isinstance(v, str),
            "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
            "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v),
            "integers": lambda v: isinstance(v, tuple) and all(isinstance(i, int) for i in v),
        }
        words = {"text": "a text", "integer": "a whole number", "number": "a number", "integers": "whole numbers"}
        if not checks[self.kind](value):
            raise InputError(f"`{name}` must be {words[self.kind]}. Got {value!r}.")
        if self.kind in ("integer", "number"):
            self._check_bounds(name, value)
        if self.choices is not None and not self.open:
            for part in value.split("+") if self.joined else [value]:
                if part not in self.choices:
                    raise self._unknown(name, part)

    def _check_bounds(self, name: str, value: float) -> None:
        if self.minimum is not None and value < self.minimum:
            raise InputError(f"`{name}` must be at least {self.minimum:g}. Got {value:g}.")
        if self.maximum is not None and value > self.maximum:
            raise InputError(f"`{name}` must be at most {self.maximum:g}. Got {value:g}.")
        if self.multiple is not None and value % self.multiple:
            below = int(value // self.multiple) * self.multiple
            near = ", ".join(str(v) for v in (below, below + self.multiple) if v > 0)
            raise InputError(f"`{name}` must be a multiple of {self.multiple}. Got {value:g}; nearest: {near}.")

    def _unknown(self, name: str, value: str) -> UnknownNameError:
        if isinstance(self.choices, Registry):
            return self.choices.unknown(value)
        return UnknownNameError(f"`{name}` must be one of {', '.join(self.names())}. Got {value!r}.")


def option(default: Any, help: str, **details: Any) -> Any:
    """A dataclass field that carries an `Option`."""
    return field(default=default, metadata={"option": Option(help=help, **details)})


C = TypeVar("C", bound="Config")


@dataclass(frozen=True)
class Config:
    """Base of all settings: checks every value, refuses unknown keys, goes to JSON and back.

    Attributes
    ----------
    group : the heading of the stage's settings in long lists.
    """

    group: ClassVar[str] = ""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, list):
                object.__setattr__(self, entry.name, tuple(value))
            if value is None and entry.default is not None:
                raise InputError(f"`{entry.name}` must be given; the usual value is {entry.default!r}.")
            entry.metadata["option"].check(entry.name, getattr(self, entry.name))

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes and `from_json` turns back into an equal object."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls: type[C], document: Mapping[str, Any]) -> C:
        """The settings that `to_json` described; an unknown key raises `InputError` with the nearest known one."""
        refuse_unknown(document, [entry.name for entry in fields(cls)])
        return cls(**document)


def refuse_unknown(names: Iterable[str], known: list[str]) -> None:
    """Raise `InputError` for the first of `names` that is not `known`."""
    for name in names:
        if name not in known:
            close = nearest(name, known)
            hint = f"the nearest is {close!r}" if close else f"known are {', '.join(known)}"
            raise InputError(f"There is no option {name!r}; {hint}.")


def options(*configs: type[Config]) -> dict[str, tuple[Any, Option]]:
    """All settings of some stages: name to (default, `Option`)."""
    found = {}
    for config in configs:
        for entry in fields(config):
            described: Option = entry.metadata["option"]
            found[entry.name] = (entry.default, dataclasses.replace(described, group=described.group or config.group))
    return found


def split(values: Mapping[str, Any], *configs: type[Config]) -> list[Any]:
    """One object of each class in `configs`, made from a flat dictionary of settings; unknown names are refused."""
    refuse_unknown(values, [entry.name for config in configs for entry in fields(config)])
    return [config(**{e.name: values[e.name] for e in fields(config) if e.name in values}) for config in configs]
