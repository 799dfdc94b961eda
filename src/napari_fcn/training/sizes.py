"""How large patches and batches are, when nobody says so: by the images, the network and the memory."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import TrainingConfig
from ..data.examples import Examples
from ..errors import InputError
from ..inference.engine import Engine

if TYPE_CHECKING:
    from ..models.base import Network

__all__ = ["Sizes", "choose_sizes", "free_memory", "halved", "is_out_of_memory"]

LARGEST_PATCH = 192
SMALLEST_PATCH = 64
USUAL_BATCH = {"cpu": 4, "cuda": 8, "mps": 8}
SHARE = 0.5
"""Part of the free memory that a training step may take."""


@dataclass(frozen=True)
class Sizes:
    """Side of a patch, patches a step, the fewest that the network can learn from, and what to say about it."""

    patch: int
    batch: int
    smallest_batch: int
    notes: tuple[str, ...] = ()


def choose_sizes(
    examples: Examples, network: Network, engine: Engine, config: TrainingConfig, *, smallest_batch: int
) -> Sizes:
    """Patch and batch size: as given, or what is usual and fits into the memory that is free.

    A step of one patch takes what the network remembers for its gradients, which is counted, and again as much. Batch
    normalisation needs two values of each channel: where features shrink to one pixel, two patches.

    Parameters
    ----------
    smallest_batch : what the architecture needs.
    """
    wanted = patch = config.patch_size or _patch_size(examples)
    smallest = _smallest(smallest_batch, patch, network)
    if config.batch_size is not None:
        return Sizes(patch, max(config.batch_size, smallest), smallest)
    usual = USUAL_BATCH[engine.device.partition(":")[0]]
    pixels = SHARE * free_memory(engine) / (2 * _remembered(network, examples.channels, SMALLEST_PATCH))
    pixels *= SMALLEST_PATCH**2
    while pixels < smallest * patch**2 and patch > SMALLEST_PATCH and config.patch_size is None:
        patch -= 32
        smallest = _smallest(smallest_batch, patch, network)
    batch = max(smallest, min(usual, int(pixels / patch**2)))
    short = batch < usual or patch < wanted
    notes = (f"Memory is short: {batch} patches of {patch} x {patch} a step.",) if short else ()
    return Sizes(patch, batch, smallest, notes)


def _smallest(smallest_batch: int, patch: int, network: Network) -> int:
    return max(smallest_batch, 2 if patch <= network.stride else 1)


def _patch_size(examples: Examples) -> int:
    """A multiple of 32 that most images hold, at most 192."""
    sides = sorted(min(plane.target.shape) for plane in examples.planes)
    return int(np.clip(-(-sides[len(sides) // 2] // 32) * 32, SMALLEST_PATCH, LARGEST_PATCH))


def _remembered(network: Network, channels: int, side: int) -> int:
    """Bytes that a forward pass of one patch leaves behind for the gradients."""
    import torch

    own = {p.data_ptr() for p in network.parameters()}
    seen: dict[int, int] = {}

    def pack(tensor: Any) -> Any:
        if tensor.data_ptr() not in own:
            seen[tensor.data_ptr()] = max(seen.get(tensor.data_ptr(), 0), tensor.nbytes)
        return tensor

    training = network.training
    network.eval()  # batch statistics stay what they are
    device = next(network.parameters()).device
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        network(torch.zeros(1, channels, side, side, device=device))
    network.train(training)
    return sum(seen.values())


def free_memory(engine: Engine) -> float:
    """Bytes that are free where the engine computes."""
    import torch

    if engine.device.startswith("cuda"):
        return float(torch.cuda.mem_get_info(engine.device)[0])
    import psutil

    return float(psutil.virtual_memory().available)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is torch's way to say that memory is full: a class on accelerators, a text on the CPU."""
    import torch

    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )


def halved(sizes: Sizes) -> Sizes:
    """Half as many patches a step.

    Raises
    ------
    InputError
        One batch of the smallest kind does not fit.
    """
    batch = sizes.batch // 2
    if batch < sizes.smallest_batch:
        raise InputError(
            f"Memory is full even with {sizes.batch} patches of {sizes.patch} x {sizes.patch} a step; use a smaller "
            f"patch_size or a lighter encoder."
        )
    return dataclasses.replace(sizes, batch=batch)
