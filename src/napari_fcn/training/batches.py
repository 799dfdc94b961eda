"""Where a step's batch comes from: patches cut anew, or kept features of patches that were seen before.

Both are functions of the seed and the step's number alone, so that training can go on at any step, and several
processes can share a batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from ..data.patches import PatchSampler
from ..inference.engine import Engine

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.base import Network

__all__ = ["Batch", "Batches", "CutPatches", "KeptFeatures", "What"]

KEPT = 2**31
"""Marks the keys of kept patches among those of a sampler."""
VARIATIONS = 8
"""Kept patches for each place of the labelled area: as many as a square has symmetries."""
FEWEST = 32
"""Kept patches at least, however little is labelled."""
FRESH = 4
"""One patch in so many is new while the collection grows."""


What = Literal["images", "features", "decoded"]


@dataclass(frozen=True)
class Batch:
    """What one step learns from, on the device.

    Attributes
    ----------
    inputs : one or several tensors, each of N patches.
    what : images `(N, C, p, p)`, the encoder's features for them, or the decoder's one map of these.
    target : class indices `(N, p, p)` int64, -1 where unlabelled.
    """

    inputs: list[Tensor]
    what: What
    target: Tensor


class Batches(Protocol):
    """A source of batches."""

    def draw(self, step: int, count: int, first: int = 0) -> Batch:
        """Patches `first` to `first + count` of the batch of a step."""
        ...

    def close(self) -> None:
        """Let go of threads and memory."""
        ...


class CutPatches:
    """Patches cut from the images anew for every step.

    On an accelerator a thread cuts the next batch meanwhile; a CPU is busy with the network.
    """

    def __init__(self, sampler: PatchSampler, engine: Engine, *, ahead: bool | None = None) -> None:
        self.sampler = sampler
        self.engine = engine
        ahead = engine.device != "cpu" if ahead is None else ahead
        self._thread = ThreadPoolExecutor(1, "napari-fcn-patches") if ahead else None
        self._next: tuple[tuple[int, int, int], Future[tuple[Tensor, Tensor]]] | None = None

    def draw(self, step: int, count: int, first: int = 0) -> Batch:
        """See `Batches`."""
        patches, target = self._cut(step, count, first)
        return Batch([self.engine.put(patches)], "images", self.engine.put(target))

    def _cut(self, step: int, count: int, first: int) -> tuple[Tensor, Tensor]:
        if self._thread is None:
            return self.sampler.draw(step, count, first)
        wanted = (step, count, first)
        if self._next is not None and self._next[0] == wanted:
            result = self._next[1].result()
        else:
            result = self.sampler.draw(*wanted)
        following = (step + 1, count, first)
        self._next = following, self._thread.submit(self.sampler.draw, *following)
        return result

    def close(self) -> None:
        """See `Batches`."""
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
            self._thread = self._next = None


class KeptFeatures:
    """A collection of patches whose features a frozen part of the network computes once.

    The collection covers the labelled area eight times, each time with other variations. It grows with the steps, by a
    quarter of each batch, so that learning begins at once; every other patch of a batch is one that is there already.

    Parameters
    ----------
    sampler, engine : where patches come from and where they are computed.
    network : whose encoder (and decoder, with `decoded`) stays as it is.
    memory : bytes that features may take; those of further patches are computed anew each time. The result is the
        same.
    decoded : keep what the decoder makes, when only the head learns.
    tell : called with a sentence when the memory is used up.
    """

    def __init__(
        self,
        sampler: PatchSampler,
        network: Network,
        engine: Engine,
        *,
        memory: float,
        decoded: bool = False,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self.sampler = sampler
        self.network = network
        self.engine = engine
        self.memory = memory
        self.decoded = decoded
        self.tell = tell
        area = int(sum((target >= 0).sum() for target in sampler.targets))
        self.size = max(FEWEST, VARIATIONS * math.ceil(area / sampler.patch_size**2))
        self.used = 0
        self._full = False
        self._kept: dict[int, tuple[list[Tensor], Tensor]] = {}

    def draw(self, step: int, count: int, first: int = 0) -> Batch:
        """See `Batches`."""
        import torch

        chosen = self._choose(step)[first : first + count]
        missing = [number for number in dict.fromkeys(chosen) if number not in self._kept]
        made = self._compute(missing)
        entries = [made.get(number) or self._kept[number] for number in chosen]
        layout = torch.channels_last
        inputs = [
            torch.stack(maps).contiguous(memory_format=layout if maps[0].ndim == 3 else torch.contiguous_format)
            for maps in zip(*(features for features, _ in entries), strict=True)
        ]
        what: What = "decoded" if self.decoded else "features"
        return Batch(inputs, what, torch.stack([target for _, target in entries]))

    def close(self) -> None:
        """See `Batches`."""
        self._kept.clear()
        self.used = 0

    def _choose(self, step: int) -> list[int]:
        """Numbers of the patches of a whole batch: the new ones first."""
        batch = self.sampler.batch_size
        fresh = max(1, batch // FRESH)
        before = min(self.size, batch + fresh * (step - 1))
        there = min(self.size, batch + fresh * step)
        if not step:
            return [n % self.size for n in range(batch)]
        random = np.random.default_rng([self.sampler.seed, step, KEPT])
        old: npt.NDArray[np.int64] = random.choice(before, batch - (there - before), replace=before < batch)
        return [*range(before, there), *old.tolist()]

    def _compute(self, numbers: list[int]) -> dict[int, tuple[list[Tensor], Tensor]]:
        """Features and classes of patches, and as many of them kept as there is room for."""
        import torch

        made = {}
        for number in numbers:  # one by one, so that features do not depend on what they were computed with
            patch, target = self.sampler.patch((number, KEPT))
            with torch.no_grad(), self.engine.autocast():
                features = self.network.features(self.engine.put(patch[None]))
                if self.decoded:
                    features = [self.network.decoder(features)]
            made[number] = entry = [maps[0] for maps in features], self.engine.put(target)
            needed = sum(tensor.nbytes for tensor in (*entry[0], entry[1]))
            if self.used + needed <= self.memory:
                self._kept[number] = entry
                self.used += needed
            elif not self._full:
                self._full = True
                self.tell(
                    f"Features of {len(self._kept)} of {self.size} patches are kept, in {self.used / 1e6:.0f} MB; "
                    f"those of the others are computed anew each time."
                )
        return made
