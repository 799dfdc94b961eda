"""One registry for everything that a user chooses by name.

The registries stand here, empty; the packages that own the entries fill them when they are imported, and a registry
imports its owner the first time that somebody looks. So the command line, the widgets and the docs read the same list,
without importing torch and in any import order.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from .errors import UnknownNameError

__all__ = [
    "Entry",
    "Registry",
    "architectures",
    "augmentations",
    "autoencoder_kinds",
    "class_weightings",
    "encoders",
    "filters",
    "losses",
    "nearest",
    "noises",
    "reconstruction_losses",
    "upsampling",
    "weights",
]

Target = TypeVar("Target", bound=Callable[..., Any])


def nearest(name: str, candidates: list[str]) -> str | None:
    """The candidate most like `name`, or None when nothing is like it."""
    lowered = {candidate.lower(): candidate for candidate in candidates}
    matches = difflib.get_close_matches(name.lower(), list(lowered), n=1, cutoff=0.5)
    return lowered[matches[0]] if matches else None


@dataclass(frozen=True)
class Entry:
    """A registered thing.

    Attributes
    ----------
    name : what the user types.
    target : the function that makes or does it; it imports torch itself, when it is called.
    summary : one line for lists and tooltips.
    details : facts for tables, such as paper, licence, `offline`.
    """

    name: str
    target: Callable[..., Any]
    summary: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Registry(Mapping[str, Entry]):
    """Entries by name, in the order in which they were registered.

    Parameters
    ----------
    kind : the word for one entry, used in messages: "architecture".
    owner : the package whose import fills the registry.

    Examples
    --------
    >>> colours = Registry("colour", owner="napari_fcn.registry")
    >>> @colours.register("red", summary="warm")
    ... def red(): return (1, 0, 0)
    >>> colours["red"].target()
    (1, 0, 0)
    """

    def __init__(self, kind: str, owner: str) -> None:
        self.kind = kind
        self._owner = owner
        self._entries: dict[str, Entry] = {}
        self._filled = False

    def register(self, name: str, *, summary: str, **details: Any) -> Callable[[Target], Target]:
        """Decorator that adds a function under `name`; a name taken twice is a programming error (ValueError)."""

        def decorate(target: Target) -> Target:
            if name in self._entries:
                raise ValueError(f"The {self.kind} {name!r} is registered twice.")
            self._entries[name] = Entry(name, target, summary, details)
            return target

        return decorate

    def _fill(self) -> dict[str, Entry]:
        if not self._filled:
            importlib.import_module(self._owner)
            self._filled = True
        return self._entries

    def __getitem__(self, name: str) -> Entry:
        entries = self._fill()
        if name not in entries:
            raise self.unknown(name)
        return entries[name]

    def __contains__(self, name: object) -> bool:
        return name in self._fill()

    def __iter__(self) -> Iterator[str]:
        return iter(self._fill())

    def __len__(self) -> int:
        return len(self._fill())

    def unknown(self, name: str, more: list[str] | None = None) -> UnknownNameError:
        """The error for an unknown name, with the nearest of the entries (and of `more`) or the whole list."""
        known = list(self._fill())
        close = nearest(name, known + (more or []))
        hint = f"the nearest is {close!r}" if close else f"known are {', '.join(known)}"
        return UnknownNameError(f"There is no {self.kind} {name!r}; {hint}.")


architectures = Registry("architecture", owner="napari_fcn.models")
encoders = Registry("encoder", owner="napari_fcn.models")
weights = Registry("kind of weights", owner="napari_fcn.models")
upsampling = Registry("upsampling operator", owner="napari_fcn.models")
losses = Registry("loss", owner="napari_fcn.losses")
class_weightings = Registry("way to weigh classes", owner="napari_fcn.losses")
augmentations = Registry("augmentation preset", owner="napari_fcn.data")
reconstruction_losses = Registry("reconstruction loss", owner="napari_fcn.losses")
autoencoder_kinds = Registry("kind of autoencoder", owner="napari_fcn.training")
noises = Registry("kind of noise", owner="napari_fcn.training")
filters = Registry("filter", owner="napari_fcn.imaging")
