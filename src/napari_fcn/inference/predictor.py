"""A network made ready to segment one image: its tiles, its engine, and the finished regions one after the other."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..config import PredictionConfig
from ..data import ClassTable, Normalization, Planes
from ..data.normalization import Statistics
from ..errors import InputError
from ..io.pieces import Frame, Sink
from .ahead import Behind
from .choose import choose_way, fingerprint
from .engine import choose_engine
from .memory import trim
from .predict import Region, most_likely, predict_window, uncertainty
from .tiles import TileGrid, fitting_tile
from .ways import make_forward, possible_ways, streams_of

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Output", "Predictor", "commit_rows"]

BUDGET = 400e6
"""Bytes for the tiles and strips under way, when nobody says how many and twice as much is free."""
SMALL = 512
"""Planes up to this size are one tile, whatever the memory."""
ONE_TILE = 800e6
"""Bytes that a plane may take as a single tile, without seams, when nobody says how many and twice as much is free."""
WORTH_TRYING, WORTH_MEASURING = 1_000_000, 16_000_000
"""Pixels from which on it pays to time the ways that are made in no time, and from which on all of them."""
SOON_MEASURED = ("float32", "bfloat16")
LARGEST_BATCH = 16
WRITE_BEHIND = 2
OPENVINO_SHARE = 0.5
"""Of the memory for features: it joins operations (usual U-Net: 200 instead of 425 bytes a pixel)."""
PER_TILE, PER_COLUMN = 40, 768
"""Bytes for each class and pixel of a tile, and for each pixel column of the image, that a run needs beside features:
tiles on their way, rows that tiles share, chunks that are not complete."""

Kind = Literal["labels", "probabilities", "uncertainty"]
Window = tuple[int, slice, slice]
Part = tuple[int, slice | None, slice | None]


@dataclass(frozen=True)
class Output:
    """One of the results, and where its pieces go."""

    kind: Kind
    sink: Sink


class Predictor:
    """A segmenter's network, made ready for one image.

    Parameters
    ----------
    network : fp32, on the CPU; it is not changed.
    planes : the image.
    classes, normalization : of the segmenter.
    config : settings.
    plan : what an earlier predictor of the same image had decided, its `plan`; decided anew when None.

    Attributes
    ----------
    grid : where the tiles lie.
    way : how the network is computed, a name in `ways.WAYS`.
    frame : how results lie in an array of the image's axes without C.
    """

    def __init__(
        self,
        network: nn.Module,
        planes: Planes,
        *,
        classes: ClassTable,
        normalization: Normalization,
        config: PredictionConfig,
        plan: Mapping[str, Any] | None = None,
    ) -> None:
        self.network, self.planes, self.classes = network, planes, classes
        self.normalization, self.config = normalization, config
        self.engine = choose_engine(config.device)
        self._last: dict[Kind, tuple[Any, npt.NDArray[Any]]] = {}
        self.frame = Frame(planes.spatial_shape, planes.spatial_axes)
        if plan is None:
            self.statistics = normalization.fit(planes)
            self.way = self._choose_way()
            self.grid, self.batch = self._choose_tiles()
        else:
            self.statistics = Statistics(*(np.array(plan[name], np.float64) for name in ("mean", "std")))
            self.grid, self.batch, self.way = TileGrid(**plan["grid"]), int(plan["batch"]), str(plan["way"])

    @property
    def plan(self) -> dict[str, Any]:
        """All decisions that the result depends on, as JSON."""
        return {
            "mean": [float(value) for value in self.statistics.mean],
            "std": [float(value) for value in self.statistics.std],
            "grid": dataclasses.asdict(self.grid),
            "batch": self.batch,
            "way": self.way,
        }

    def identity(self) -> dict[str, Any]:
        """What must be the same for work to go on: model, image as it is described, and settings, as JSON."""
        settings = {name: value for name, value in self.config.to_json().items() if name not in ("device", "memory")}
        values = np.array([entry.value for entry in self.classes])
        return {
            "model": fingerprint(self.network) + hashlib.sha256(values.tobytes()).hexdigest()[:8],
            "normalization": self.normalization.to_json(),
            "image": [list(self.planes.array.shape), str(self.planes.array.dtype), self.planes.axes],
            "channels": list(self.planes.selection),
            **settings,
        }

    def window(self, plane: int, rows: slice | None = None, columns: slice | None = None) -> Iterator[Region]:
        """The finished regions of a window of a plane, with start and stop; of all of it when None."""
        return predict_window(
            self._forward,
            self.planes,
            plane,
            classes=len(self.classes),
            normalization=self.normalization,
            channel_statistics=self.statistics,
            grid=self.grid,
            rows=rows,
            columns=columns,
            batch=self.batch,
            streams=streams_of(self.way),
        )

    def regions(self, first: Window | None = None) -> Iterator[Region]:
        """All finished regions, each pixel once; closing the generator stops after the tile under way.

        Parameters
        ----------
        first : plane, rows and columns that are wanted before all others, such as what is visible.
        """
        for plane, rows, columns in self._order(first):
            yield from self.window(plane, rows, columns)

    def write(self, outputs: Sequence[Output], done: Sequence[int] | None = None) -> Iterator[float]:
        """Segment the image into sinks, and give the finished fraction after each tile.

        The caller finishes the sinks, or aborts them.

        Parameters
        ----------
        outputs : what is wanted, and where it goes; a sink with a method `commit` is told which rows are complete.
        done : rows of each plane that the sinks have already.
        """
        height, width = self.planes.height, self.planes.width
        begun = [0] * len(self.planes) if done is None else list(done)
        with Behind(WRITE_BEHIND) as behind:
            for plane in range(len(self.planes)):
                if begun[plane] >= height:
                    continue
                for region in self.window(plane, slice(begun[plane], height)):
                    behind.do(self.give, outputs, region)
                    rows, columns = region.rows, region.columns
                    if columns.stop == width:
                        behind.do(commit_rows, outputs, plane, rows.stop)
                        trim()
                    part = rows.start * width + (rows.stop - rows.start) * columns.stop
                    yield (plane + part / (height * width)) / len(self.planes)

    def give(self, outputs: Sequence[Output], region: Region) -> None:
        """Make of a finished region what each output is, and give it to its sink."""
        for output in outputs:
            output.sink.write(region.plane, region.rows, region.columns, self._made(output.kind, region))

    def _made(self, kind: Kind, region: Region) -> npt.NDArray[Any]:
        """What an output of this kind is of a region; the last one that was made of regions of one name is kept."""
        kept = self._last.get(kind)
        if kept is not None and kept[0] == region.name:
            return kept[1]
        values: npt.NDArray[Any]
        if kind == "labels":
            values = self.classes.to_values(most_likely(region))
        elif kind == "probabilities":
            values = region.probabilities
        else:
            values = uncertainty(region.probabilities, self.config.uncertainty_measure)
        if region.name is not None:
            self._last[kind] = region.name, values
        return values

    @cached_property
    def _forward(self) -> Callable[[npt.NDArray[np.float32]], Tensor]:
        return make_forward(self.network, self.planes.channels, self.way, self.engine, self.config.tta)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name not in ("_forward", "_last")} | {"_last": {}}

    def _order(self, first: Window | None) -> list[Part]:
        planes: list[Part] = [(plane, None, None) for plane in range(len(self.planes))]
        if first is None:
            return planes
        plane, rows, columns = first
        height, width = self.planes.height, self.planes.width
        y = slice(*np.clip([rows.start, rows.stop], 0, height).tolist())
        x = slice(*np.clip([columns.start, columns.stop], 0, width).tolist())
        parts = [
            (y, x),
            (y, slice(0, x.start)),
            (y, slice(x.stop, width)),
            (slice(0, y.start), slice(0, width)),
            (slice(y.stop, height), slice(0, width)),
        ]
        if not 0 <= plane < len(self.planes) or y.start == y.stop or x.start == x.stop:
            raise InputError(
                f"`first` must be a window of a plane of {height} x {width} pixels, of {len(self.planes)} planes. "
                f"Got plane {plane}, rows {rows.start} to {rows.stop}, columns {columns.start} to {columns.stop}."
            )
        wanted = [(plane, r, c) for r, c in parts if r.start < r.stop and c.start < c.stop]
        return [*wanted, *(each for each in planes if each[0] != plane)]

    def _choose_tiles(self) -> tuple[TileGrid, int]:
        """Tiles as given, or as few as the memory allows; several together only where that is faster: on a GPU."""
        config, planes = self.config, self.planes
        height, width = (side + 2 * config.border for side in (planes.height, planes.width))
        accelerated = self.engine.device != "cpu"
        tile_height = tile_width = config.tile_size or SMALL
        batch = 1
        if accelerated or (config.tile_size is None and max(height, width) > SMALL):
            from .footprint import bytes_per_pixel, largest_tile

            budget = config.memory * 1e6 if config.memory else self._free_memory(BUDGET)
            budget -= (PER_COLUMN + 4 * len(self.classes) * config.overlap) * planes.width
            per_pixel = bytes_per_pixel(self.network, planes.channels)
            per_pixel *= streams_of(self.way) * (OPENVINO_SHARE if self.way.startswith("openvino") else 1)
            per_pixel += PER_TILE * len(self.classes)
            trim()
            if config.tile_size is None:
                tile_height = tile_width = max(largest_tile(per_pixel, budget), 2 * config.overlap)
                if config.memory is None and per_pixel * height * width <= self._free_memory(ONE_TILE):
                    tile_height, tile_width = height, width
            if accelerated:
                batch = int(np.clip(budget / (per_pixel * tile_height * tile_width), 1, LARGEST_BATCH))
        if config.tile_size is None:
            tile_height = fitting_tile(height, tile_height, config.overlap)
            tile_width = fitting_tile(width, tile_width, config.overlap)
        grid = TileGrid(
            planes.height,
            planes.width,
            tile_height,
            config.overlap,
            tile_columns=tile_width,
            border=config.border,
            blending=config.blending,
        )
        return grid, batch

    def _free_memory(self, most: float) -> float:
        """Bytes that may be used: half of what is free, and of the main memory at most `most`."""
        if self.engine.device.startswith("cuda"):
            import torch

            return float(torch.cuda.mem_get_info(self.engine.device)[0]) / 2
        import psutil

        return min(most, float(psutil.virtual_memory().available) / 2)

    def _choose_way(self) -> str:
        if self.config.engine != "auto":
            return self.config.engine
        pixels = len(self.planes) * self.planes.height * self.planes.width
        if pixels < WORTH_TRYING:
            return "float32"
        ways = possible_ways(self.engine)
        if pixels < WORTH_MEASURING:
            ways = [way for way in ways if way in SOON_MEASURED]
        return choose_way(self.network, self.planes.channels, self.engine, self._sample, ways)

    def _sample(self) -> npt.NDArray[np.float32]:
        """A standardised window from the middle of the image."""
        window = []
        for size in (self.planes.height, self.planes.width):
            part = min(SMALL, size)
            window.append(slice((size - part) // 2, (size + part) // 2))
        middle = self.planes.read(len(self.planes) // 2, *window)
        return self.normalization.apply(middle, self.statistics)[0]


def commit_rows(outputs: Sequence[Output], plane: int, rows: int) -> None:
    """Tell the sinks that want to know it that all pixels of a plane above `rows` were given."""
    for output in reversed(outputs):  # the first one is the one that is asked when work goes on
        commit = getattr(output.sink, "commit", None)
        if commit is not None:
            commit(plane, rows)
