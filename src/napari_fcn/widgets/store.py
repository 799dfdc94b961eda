"""The segmenters of this session, by name: Train puts them here, Segment offers them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from psygnal import Signal

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["SegmenterStore", "segmenters"]


class SegmenterStore(Mapping[str, "Segmenter"]):
    """Segmenters by unique names, in the order in which they came.

    `changed` is emitted with the name of a segmenter that was added or removed.
    """

    changed = Signal(str)

    def __init__(self) -> None:
        self._segmenters: dict[str, Segmenter] = {}
        self._trained = 0

    def __getitem__(self, name: str) -> Segmenter:
        return self._segmenters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._segmenters)

    def __len__(self) -> int:
        return len(self._segmenters)

    def add(self, segmenter: Segmenter, name: str) -> str:
        """Keep a segmenter under `name`, or under 'name [1]' and so on when that is taken, and return the name."""
        unique, number = name, 0
        while unique in self._segmenters:
            number += 1
            unique = f"{name} [{number}]"
        self._segmenters[unique] = segmenter
        self.changed.emit(unique)
        return unique

    def add_trained(self, segmenter: Segmenter, architecture: str, score: float | None) -> str:
        """Keep a segmenter that was just trained, under a name such as 'unet 1 (0.83)', and return the name."""
        self._trained += 1
        suffix = "" if score is None else f" ({score:.2f})"
        return self.add(segmenter, f"{architecture} {self._trained}{suffix}")

    def remove(self, name: str) -> None:
        """Forget a segmenter; its file, if it has one, stays."""
        del self._segmenters[name]
        self.changed.emit(name)


#: The one store of this process; all viewers share it.
segmenters = SegmenterStore()
