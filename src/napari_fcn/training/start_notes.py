"""What is said of a start from a segmenter: how much was taken over, what is new, and why."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

from ..models import NetworkSpec

if TYPE_CHECKING:
    from ..data import ClassTable
    from ..segmenter import Segmenter

__all__ = ["notes_of"]

MOST_LISTED = 4
"""Classes that a note names; of more it says the number."""


def notes_of(
    names: Sequence[str],
    taken: Collection[str],
    spec: NetworkSpec,
    classes: ClassTable,
    init: Segmenter,
    *,
    scoring: Collection[str],
    adapted: Collection[str],
    other_encoder: bool,
) -> tuple[str, ...]:
    """One or two sentences; layers that score classes are the last one here.

    Parameters
    ----------
    names, taken : the network's tensors, and those of them that were taken over.
    spec, classes : of the new training.
    init : what it started from.
    scoring, adapted : tensors that depend on the number of classes and of channels, where these differ.
    other_encoder : the encoder is another than the segmenter's.
    """

    def news(part: str, inside: Callable[[str], bool], why: str) -> list[str]:
        there = [name in taken for name in names if inside(name)]
        return [] if all(there) else [f"{'part of ' * any(there)}the {part} is new, {why}"]

    def scores(name: str) -> bool:
        return name.startswith("head.") or name in scoring

    settings = "because its settings are others"
    reason = "because it is another one" if other_encoder else settings
    new = news("encoder", lambda name: name.startswith("encoder."), reason)
    if spec.model.architecture != init.model.architecture:
        new.append("the decoder and the last layer are new, because the architecture is another")
    else:
        why = "to fit the encoder" if other_encoder else settings
        new += news("decoder", lambda name: not name.startswith("encoder.") and not scores(name), why)
        if any(scores(name) for name in taken) or not set(classes.values) & set(init.classes.values):
            new += _classes_note(classes, init.classes) or news("last layer", scores, why)
        else:
            new += news("last layer", scores, why)
    count = f"{len(taken)} of {len(names)}" if len(taken) < len(names) else f"all {len(names)}"
    notes = ["; ".join([f"Started from a segmenter: {count} tensors were taken over", *new]) + "."]
    if any(name in taken for name in adapted):
        before, now = init.channels, spec.in_channels
        first = f": the first {before} are taken to be the same, the others count for nothing until it learns"
        made = f"The first layer, made for {before} channel{'s' * (before != 1)}, was adapted to {now}"
        notes.append(f"{made}{first if now > before > 1 else ''}.")
    return tuple(notes)


def _classes_note(classes: ClassTable, before: ClassTable) -> list[str]:
    """What became of the classes in the last layer; nothing when they are the same."""
    unknown = [value for value in classes.values if value not in before.values]
    gone = [value for value in before.values if value not in classes.values]
    if len(unknown) == len(classes):
        return ["the last layer is new, because the classes are others"]
    if unknown:
        return [f"the last layer is new for {_listed(unknown)}"]
    return [f"the last layer leaves out {_listed(gone)}"] if gone else []


def _listed(values: list[int]) -> str:
    if len(values) > MOST_LISTED:
        return f"{len(values)} classes"
    *others, last = map(str, values)
    return f"the classes {', '.join(others)} and {last}" if others else f"the class {last}"
