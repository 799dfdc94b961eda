"""A segmentation under way: labels that are seen while they are made, in a Zarr, so that they need not fit the memory.

The thread that segments writes; the window adds a layer, and draws it anew now and then. Large planes get a pyramid, of
which napari reads what is seen.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from napari.layers import Labels

from ..io.pieces import Frame
from . import layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from .segment_layers import Target

__all__ = ["Live", "LiveLayer", "worth_watching"]

WORTH = 4_000_000
"""Pixels from which on labels are shown while they are made."""
ONE_LEVEL = 4096
"""Sides up to which a plane has no pyramid, and may be painted in."""
SMALLEST, CHUNK = 1024, 512
SECONDS = 0.5
"""Between two drawings, at least; and ten times as long as one took."""


def worth_watching(shape: Sequence[int]) -> bool:
    """Whether labels of this shape take so long that they are shown while they are made."""
    return int(np.prod(shape)) >= WORTH


class Live:
    """A sink of labels into a Zarr in a temporary folder, which goes when this object or the program does.

    Parameters
    ----------
    frame : of the labels.
    dtype : of the labels.

    Attributes
    ----------
    levels : arrays, each of half the rows and columns of the one before.
    """

    def __init__(self, frame: Frame, dtype: npt.DTypeLike) -> None:
        import zarr

        folder = tempfile.mkdtemp(prefix="napari-fcn-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        self._frames = [frame]
        while max(self._frames[-1].height, self._frames[-1].width) > (SMALLEST if len(self._frames) > 1 else ONE_LEVEL):
            last = self._frames[-1]
            halved = [-(-size // 2) if a in "YX" else size for size, a in zip(last.shape, last.axes, strict=True)]
            self._frames.append(Frame(halved, last.axes))
        self.levels = [
            zarr.create_array(
                f"{folder}/{number}",
                shape=each.shape,
                dtype=np.dtype(dtype),
                chunks=each.chunks(CHUNK),
                fill_value=0,
            )
            for number, each in enumerate(self._frames)
        ]

    @property
    def data(self) -> Any:
        """What a labels layer takes."""
        return self.levels if len(self.levels) > 1 else self.levels[0]

    def write(self, plane: int, rows: slice, columns: slice, values: npt.NDArray[Any]) -> None:
        """Take a window of a plane: every second pixel of every second row goes to the next level."""
        for number, (level, frame) in enumerate(zip(self.levels, self._frames, strict=True)):
            if number:
                values = values[rows.start % 2 :: 2, columns.start % 2 :: 2]
                rows, columns = (slice(-(-side.start // 2), -(-side.stop // 2)) for side in (rows, columns))
            if not values.size:
                return
            level[frame.key(plane, rows, columns)] = frame.turned(values)

    def finish(self) -> None:
        """Nothing is left to do."""

    def abort(self) -> None:
        """What was written stays to be seen."""


@dataclass
class LiveLayer:
    """Shows the labels of one run.

    Attributes
    ----------
    target, segmenter, style : whose labels they are, who makes them, and how they look.
    layer : once there is one.
    """

    target: Target
    segmenter: str
    style: dict[str, Any]
    layer: Labels | None = None
    verb: str = "Added"
    _next: float = field(default=0.0, repr=False)

    @property
    def name(self) -> str:
        """Of the layer, as napari made it unique."""
        return "" if self.layer is None else self.layer.name

    def show(self, viewer: Viewer, live: Live, *, now: bool = False) -> None:
        """Add the layer, or draw it anew if that was not done just now. Who removed it does not see it again."""
        if self.layer is None:
            self._add(viewer, live)
        begin = time.monotonic()
        if self.layer not in viewer.layers or (begin < self._next and not now):
            return
        if self.layer is not None and (self.layer.visible or now):
            self.layer.refresh()
        took = time.monotonic() - begin
        self._next = begin + took + max(SECONDS, 10 * took)

    def _add(self, viewer: Viewer, live: Live) -> None:
        facts = {"source": self.target.identity, "segmenter": self.segmenter, "kind": "segmentation", "live": True}
        for other in list(viewer.layers):
            known = layers.facts(other)
            same = all(known.get(name) == facts[name] for name in ("source", "kind", "live"))
            if same and known.get("layer") == str(other.unique_id) and known.get("name") == other.name:
                viewer.layers.remove(other)  # a pyramid cannot take another one's place
                self.verb = "Updated"
        selected = set(viewer.layers.selection), viewer.layers.selection.active
        made = Labels(
            live.data,
            name=f"{self.target.name} segmentation",
            multiscale=len(live.levels) > 1,
            **self.target.geometry,
            **self.style,
        )
        made.metadata.update(self.target.place)
        self.layer = viewer.add_layer(made)
        # The folder goes with the layer.
        made.metadata[layers.KEY] = facts | {"layer": str(made.unique_id), "name": made.name, "folder": live}
        viewer.layers.selection.clear()
        viewer.layers.selection.update(selected[0])
        viewer.layers.selection.active = selected[1]
