"""The segmenters of this session, by name: Train puts them here, Segment offers them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal

from ..errors import OutputError

if TYPE_CHECKING:
    from ..segmenter import Segmenter

__all__ = ["SegmenterStore", "segmenters"]


IN_MEMORY = 4
"""Segmenters that stay in memory; a network is some 20 to 300 MB."""


class SegmenterStore(Mapping[str, "Segmenter"]):
    """Segmenters by unique names, in the order in which they came.

    Only those that were asked for last stay in memory; others wait in files, until they are asked for or the program
    ends. `changed` is emitted with the name of a segmenter that was added or removed.
    """

    changed = Signal(str)

    def __init__(self) -> None:
        self._segmenters: dict[str, Segmenter | Path] = {}
        self._used: list[str] = []
        self._folder: Path | None = None
        self._trained = 0
        self._written = 0

    def __getitem__(self, name: str) -> Segmenter:
        found = self._segmenters[name]
        if isinstance(found, Path):
            from ..segmenter import Segmenter

            path, found = found, Segmenter.load(found)
            self._segmenters[name] = found
            path.unlink()
        self._use(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._segmenters

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
        self._use(unique)
        self.changed.emit(unique)
        return unique

    def add_trained(self, segmenter: Segmenter, architecture: str, score: float | None) -> str:
        """Keep a segmenter that was just trained, under a name such as 'unet 1 (0.83)', and return the name."""
        self._trained += 1
        suffix = "" if score is None else f" ({score:.2f})"
        return self.add(segmenter, f"{architecture} {self._trained}{suffix}")

    def exchange(self, name: str, segmenter: Segmenter) -> None:
        """Keep another segmenter under a name that there is, such as the same with filters; nobody is told."""
        self._forget(self._segmenters[name])
        self._segmenters[name] = segmenter
        self._use(name)

    def remove(self, name: str) -> None:
        """Forget a segmenter; its file, if it has one, stays."""
        self._forget(self._segmenters.pop(name))
        if name in self._used:
            self._used.remove(name)
        self.changed.emit(name)

    def _use(self, name: str) -> None:
        """Note that this one was asked for, and put aside the one that nobody has asked for the longest."""
        if name in self._used:
            self._used.remove(name)
        self._used.append(name)
        if len(self._used) > IN_MEMORY:
            self._put_aside(self._used.pop(0))

    def _put_aside(self, name: str) -> None:
        segmenter = self._segmenters[name]
        if isinstance(segmenter, Path):
            return
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="napari-fcn-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        self._written += 1
        # Where nothing can be written it stays in memory.
        with contextlib.suppress(OutputError):
            self._segmenters[name] = segmenter.save(self._folder / f"{self._written}.safetensors")

    def _forget(self, held: Segmenter | Path) -> None:
        if isinstance(held, Path):
            held.unlink(missing_ok=True)


#: The one store of this process; all viewers share it.
segmenters = SegmenterStore()
