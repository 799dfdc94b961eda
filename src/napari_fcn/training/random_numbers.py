"""torch's random numbers, which a whole process shares, for one training at a time."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence

__all__ = ["seeded"]

_alone = threading.RLock()


@contextlib.contextmanager
def seeded(seed: int, devices: Sequence[str] = ()) -> Iterator[None]:
    """While this is open, torch's random numbers follow from `seed`, and afterwards go on as if nothing had happened.

    Another thread that wants the same waits, so that two trainings in one process give what each gives alone.

    Parameters
    ----------
    seed : where the numbers start.
    devices : names of the CUDA devices whose numbers are meant too.
    """
    import torch

    with _alone, torch.random.fork_rng(devices=list(devices)):
        torch.manual_seed(seed)
        yield
