"""Several processes that train one model: torch's DistributedDataParallel, started by `torchrun`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Workers", "join"]


@dataclass(frozen=True)
class Workers:
    """The processes of a training, and which of them this is.

    Attributes
    ----------
    rank : number of this process, from 0.
    count : how many there are; 1 for an ordinary training.
    device : where this process computes.
    """

    rank: int = 0
    count: int = 1
    device: str = "auto"

    @property
    def is_first(self) -> bool:
        """Whether this is the process that scores, writes and tells."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """The first process's value, in all of them."""
        if self.count == 1:
            return value
        import torch
        from torch import distributed

        shared = torch.tensor(value, dtype=torch.float64, device=self.device if "cuda" in self.device else "cpu")
        distributed.broadcast(shared, src=0)
        return float(shared)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module, with gradients averaged over the processes."""
        if self.count == 1 or not any(p.requires_grad for p in module.parameters()):
            return module
        from torch.nn.parallel import DistributedDataParallel

        return DistributedDataParallel(module, broadcast_buffers=False)


def join(device: str) -> Workers:
    """The processes that `torchrun` started, over NCCL on CUDA and gloo elsewhere; without torchrun, one.

    Parameters
    ----------
    device : as the user chose it; with CUDA each process takes the GPU of its own number on this machine.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        return Workers(device=device)
    import torch
    from torch import distributed

    if device in ("auto", "cuda") and torch.cuda.is_available():
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    if not distributed.is_initialized():
        distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Workers(distributed.get_rank(), distributed.get_world_size(), device)
