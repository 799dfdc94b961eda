"""What there is to choose from, read from the registries: a document, and tables of it for people.

The command `models` and the page docs/models.md both show these tables.
"""

from __future__ import annotations

import dataclasses
import functools
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from .. import registry
from ..config import ARCHITECTURE_SETTINGS, ModelConfig, settings_of
from ..options import options
from ..registry import Entry

__all__ = ["Table", "describe", "tables"]

GAP = "  "

Document = dict[str, list[dict[str, Any]]]
Fact = Callable[[dict[str, Any]], str]


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes
    ----------
    name : what it lists, one word.
    title : the same in a few words.
    header : names of the columns.
    rows : as many texts each as there are columns.
    right : columns that are aligned at the right.
    """

    name: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: frozenset[str] = frozenset()

    def text(self, width: int = 120) -> str:
        """The table for a terminal: cells are wrapped at spaces until it is no wider than `width`, where that can be.

        Examples
        --------
        >>> print(Table("fruits", "Fruits", ("name", "number"), (("red apples", "7"),), frozenset({"number"})).text(14))
        name    number
        red          7
        apples
        """
        cells = [self.header, *self.rows]
        widths = _fit(cells, width)
        lines = []
        for row in cells:
            wrapped = [_wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
            for number in range(max(map(len, wrapped))):
                parts = [cell[number] if number < len(cell) else "" for cell in wrapped]
                aligned = [
                    part.rjust(size) if name in self.right else part.ljust(size)
                    for part, size, name in zip(parts, widths, self.header, strict=True)
                ]
                lines.append(GAP.join(aligned).rstrip())
        return "\n".join(lines)

    def markdown(self) -> str:
        """The table for a page."""
        rule = ["---:" if name in self.right else "---" for name in self.header]
        rows = [self.header, rule, *([cell.replace("|", r"\|") for cell in row] for row in self.rows)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def describe(progress: Callable[[float], None] = lambda fraction: None) -> Document:
    """All registries, and the settings of the architectures, as lists of entries, ready for JSON.

    Each entry has `name`, `summary` and its details. Architectures are measured with their usual encoder and settings,
    for images of 256 x 256 pixels with 3 channels and 2 classes; that takes some seconds.

    Parameters
    ----------
    progress : called with the fraction of the architectures that are measured.
    """
    measured = []
    for entry in registry.architectures.values():
        measured.append(_architecture(entry))
        progress(len(measured) / len(registry.architectures))
    plain = {
        "weights": registry.weights,
        "upsampling": registry.upsampling,
        "losses": registry.losses,
        "autoencoder_kinds": registry.autoencoder_kinds,
        "noises": registry.noises,
        "reconstruction_losses": registry.reconstruction_losses,
        "augmentations": registry.augmentations,
    }
    return {
        "architectures": measured,
        "settings": [_setting(name) for name in ARCHITECTURE_SETTINGS],
        "encoders": [_entry(entry) | {"offline": _works_offline(entry.name)} for entry in registry.encoders.values()],
        **{name: [_entry(entry) for entry in entries.values()] for name, entries in plain.items()},
    }


def tables(document: Document) -> list[Table]:
    """The tables of what `describe` has described."""
    return [
        _table(
            document,
            "architectures",
            "Architectures, with the usual encoder for 2 classes and an image of 256 x 256 pixels with 3 channels",
            {
                "name": _text("name"),
                "family": _text("family"),
                "year": _text("year"),
                "parameters": _size("parameters", 1e6, "M"),
                "multiply-adds": _size("multiply_adds", 1e9, "G"),
                "stride": _text("stride"),
                "works offline": _offline,
                "licence": _text("licence"),
                "paper": _text("paper"),
            },
            right={"year", "parameters", "multiply-adds", "stride"},
        ),
        _table(
            document,
            "architecture_settings",
            "What the architectures are, and their settings, the usual value first",
            {"name": _text("name"), "what it is": _text("summary"), "settings": _settings},
            of="architectures",
        ),
        _table(
            document,
            "settings",
            "What the settings are",
            {"name": _text("name"), "what it is": _text("summary"), "values": _range},
        ),
        _table(
            document,
            "encoders",
            "Encoders; every name that segmentation-models-pytorch or timm knows is one too",
            {
                "name": _text("name"),
                "what it is": _text("summary"),
                "works offline": _offline,
                "licence": _text("licence"),
                "source": _text("source"),
                "paper": _text("paper"),
            },
        ),
        _table(
            document,
            "weights",
            "Weights; a file is possible too, and any name that the model hub has for the encoder",
            {
                "name": _text("name"),
                "what it is": _text("summary"),
                "channels": _channels,
                "encoder": lambda entry: str(entry.get("encoder") or "any"),
                "works offline": _offline,
                "licence": _text("licence"),
                "source": _text("source"),
            },
        ),
        *(
            _table(document, name, title, {"name": _text("name"), "what it is": _text("summary")} | more)
            for name, title, more in (
                ("upsampling", "Upsampling operators", {"paper": _text("paper")}),
                ("losses", "Losses; several are joined by '+'", {"paper": _text("paper")}),
                ("augmentations", "Augmentation presets", {}),
                ("autoencoder_kinds", "Kinds of autoencoders", {"paper": _text("paper")}),
                ("noises", "Noise that a denoising autoencoder removes", {}),
                ("reconstruction_losses", "Losses of autoencoders", {}),
            )
        ),
    ]


def _entry(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, "summary": entry.summary, **entry.details}


def _architecture(entry: Entry) -> dict[str, Any]:
    """What is registered of an architecture, and what is measured."""
    from ..models.measure import measure

    model = ModelConfig(architecture=entry.name)
    settings = {
        name: {"usual": getattr(model, name), "choices": _choices(name, allowed)}
        for name, allowed in settings_of(entry.name).items()
    }
    return {
        "name": entry.name,
        "summary": entry.summary,
        **dict.fromkeys(("family", "year", "paper", "licence")),  # None where nothing was registered
        **entry.details,
        "encoder": model.encoder,
        "weights": model.weights,
        "offline": _works_offline(model.encoder),
        "settings": settings,
        **dataclasses.asdict(measure(model)),
    }


def _setting(name: str) -> dict[str, Any]:
    """What a setting is; its choices are named by itself, or by the architectures when all that have it name some."""
    _, option = options(ModelConfig)[name]
    having = [
        settings_of(architecture)[name] for architecture in registry.architectures if name in settings_of(architecture)
    ]
    listed = [set(allowed) for allowed in having if isinstance(allowed, tuple)]
    return {
        "name": name,
        "summary": option.help,
        "choices": option.names() or (sorted(set().union(*listed)) if len(listed) == len(having) else None),
        "minimum": option.minimum,
        "maximum": option.maximum,
    }


def _choices(name: str, allowed: Any) -> list[Any] | None:
    """The values that a setting may have, None when it is free."""
    return list(allowed) if isinstance(allowed, tuple) else options(ModelConfig)[name][1].names() or None


def _works_offline(encoder: str) -> bool:
    """Whether an encoder's usual weights are on this machine, or it has none."""
    details = registry.encoders[encoder].details if encoder in registry.encoders else {}
    if "none" in details.get("weights", ()):
        return True
    from ..models.encoders import offline_encoders

    return encoder in offline_encoders()


def _table(
    document: Document,
    name: str,
    title: str,
    columns: dict[str, Fact],
    *,
    right: Iterable[str] = (),
    of: str | None = None,
) -> Table:
    rows = tuple(tuple(fact(entry) for fact in columns.values()) for entry in document[of or name])
    return Table(name, title, tuple(columns), rows, frozenset(right))


def _text(key: str) -> Fact:
    return lambda entry: str(entry.get(key) or "")


def _size(key: str, unit: float, letter: str) -> Fact:
    """A number in millions or the like, with one digit behind the point, or two digits where it is small."""

    def fact(entry: dict[str, Any]) -> str:
        number = entry[key] / unit
        return f"{number:.1f} {letter}" if number >= 0.1 else f"{number:.2g} {letter}"

    return fact


def _offline(entry: dict[str, Any]) -> str:
    """Not whether an extra happens to be installed here, for the page is the same for all readers."""
    if "extra" in entry:
        return f"with extra {entry['extra']!r}"
    offline = entry.get("offline")
    return offline if isinstance(offline, str) else "yes" if offline else "no"


def _settings(entry: dict[str, Any]) -> str:
    """The settings with their values; dots are for all other values of a free one."""
    return "; ".join(f"{name} {_values(**setting)}" for name, setting in entry["settings"].items())


def _values(usual: Any, choices: list[Any] | None) -> str:
    first = [] if usual is None else [usual]
    return ", ".join(map(str, dict.fromkeys([*first, *(choices or ["..."])])))


def _range(entry: dict[str, Any]) -> str:
    if entry["choices"]:
        return ", ".join(map(str, entry["choices"]))
    least, most = (f"{bound:g}" if bound is not None else "" for bound in (entry["minimum"], entry["maximum"]))
    return f"{least} to {most}" if most else f"from {least}" if least else ""


def _channels(entry: dict[str, Any]) -> str:
    bands = entry.get("bands")
    return ", ".join(bands) if bands else str(entry.get("channels") or "any")


@functools.cache
def _wrap(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def _fit(rows: Sequence[tuple[str, ...]], width: int) -> list[int]:
    """Widths of the columns, made narrower one by one until the table is narrow enough or words would break.

    Each time it is the column that costs the fewest lines, of equals the widest.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    least = [max(len(word) for cell in column for word in [*cell.split(), ""]) for column in columns]
    heights = [[len(_wrap(cell, size)) for cell in column] for column, size in zip(columns, widths, strict=True)]
    while sum(widths) + len(GAP) * (len(widths) - 1) > width:
        trials = []
        for number, column in enumerate(columns):
            if widths[number] > least[number]:
                narrower = [len(_wrap(cell, widths[number] - 1)) for cell in column]
                others = [max(row) for row in zip(*heights[:number], *heights[number + 1 :], narrower, strict=True)]
                trials.append((sum(others), -widths[number], number, narrower))
        if not trials:
            break
        _, _, number, heights[number] = min(trials)
        widths[number] -= 1
    return widths
