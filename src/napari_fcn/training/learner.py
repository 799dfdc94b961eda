"""One gradient step after another: the network, its optimizer, and what learns at which time."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..config import TrainingConfig
from ..errors import InputError
from ..inference.engine import Engine
from ..losses import combined
from .batches import Batch, What
from .distributed import Workers
from .transfer import freeze, make_optimizer

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..models.base import Network

__all__ = ["Learner"]

PATIENT = 10
"""Steps in a row that may have no finite gradient, as float16 has now and then."""


class Learner:
    """A network that learns from batches.

    Parameters
    ----------
    network : on the engine's device.
    engine, config : where and how.
    class_weights : `(K,)` float32 for the loss, or None.
    workers : the processes that share the work.

    Attributes
    ----------
    keeps : whether the encoder is kept as it is at present.
    """

    def __init__(
        self,
        network: Network,
        engine: Engine,
        config: TrainingConfig,
        class_weights: Tensor | None = None,
        workers: Workers | None = None,
    ) -> None:
        import torch

        self.network = network
        self.engine = engine
        self.config = config
        self.optimizer = make_optimizer(network, config)
        self.keeps: bool | None = None
        self._workers = workers or Workers()
        self._loss = combined(config.loss, config.label_smoothing)
        self._class_weights = class_weights
        self.scaler = torch.amp.GradScaler(engine.device.split(":")[0], enabled=engine.precision == "float16")
        self._module: nn.Module | None = None
        self._diverged = 0
        network.dropout = config.dropout

    def settle(self, progress: float) -> bool:
        """Keep and release parts of the network as is due at `progress`; whether that changed anything."""
        keeps = self.config.transfer in ("head", "frozen") or progress < self.config.unfreeze
        if keeps == self.keeps:
            return False
        self.keeps = keeps
        freeze(self.network, self.config, progress)
        self.network.train()
        self._module = self._workers.wrap(self.module())
        return True

    def module(self) -> nn.Module:
        """What several processes share: it computes all that has gradients but the loss."""
        return _forward_module(self.network)

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """The loss of a batch, by `module` or what several processes made of it."""
        with self.engine.autocast():
            logits = module(batch.inputs, batch.what, batch.target.shape[-2:])
        return self._loss(logits.float(), batch.target, self._class_weights)

    def further(self) -> dict[str, dict[str, Tensor]]:
        """What a checkpoint needs besides the network and the optimizer, by its name; nothing here."""
        return {}

    def take_further(self, parts: dict[str, dict[str, Tensor]], steps: int) -> None:
        """Take from a checkpoint what `further` gave, after so many steps."""

    def step(self, batch: Batch, factor: float) -> float:
        """Learn from one batch at `factor` times each group's highest rate, and return the loss.

        Raises
        ------
        InputError
            The gradients have not been finite for several steps in a row.
        """
        import torch

        if self._module is None:
            raise RuntimeError("settle() comes first.")
        for group in self.optimizer.param_groups:
            group["lr"] = group["highest"] * factor
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.loss(self._module, batch)
        torch.autograd.backward(self.scaler.scale(loss))
        self.scaler.unscale_(self.optimizer)
        learning = [p for group in self.optimizer.param_groups for p in group["params"] if p.grad is not None]
        norm = torch.nn.utils.clip_grad_norm_(learning, self.config.clip)
        self._diverged = 0 if bool(torch.isfinite(norm)) else self._diverged + 1
        if self._diverged > PATIENT:
            raise InputError(f"The loss is no longer a number; use a lower rate than {self.config.rate:g}.")
        if not self._diverged:
            self.scaler.step(self.optimizer)
        self.scaler.update()
        return float(loss.detach())


def _forward_module(network: Network) -> nn.Module:
    """The network as one module that also takes what its frozen part made of the images."""
    return _forward_class()(network)


@functools.cache
def _forward_class() -> Callable[[Network], nn.Module]:
    """The class of such modules, made once: a class is a circle, which keeps what its functions refer to in memory."""
    from torch import nn

    class Forward(nn.Module):
        def __init__(self, network: Network) -> None:
            super().__init__()
            self.network = network

        def forward(self, inputs: list[Tensor], what: What, size: Any) -> Tensor:
            if what == "images":
                logits: Tensor = self.network(inputs[0])
                return logits
            decoded = inputs[0] if what == "decoded" else self.network.decoder(inputs)
            return self.network.judge(decoded)[..., : size[0], : size[1]]

    return Forward
