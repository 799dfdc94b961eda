"""Learning from strokes and from what is thought of the pixels beside them; an average of the network follows."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from .batches import Batch
from .learner import Learner
from .soft_patches import SoftBatch

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..models.base import Network

__all__ = ["SoftLearner", "soft_loss"]

MEMORY = 0.97
"""How much of the average stays at each step; less in the first ones."""
SOFT = 1.0
"""How much the pixels that nobody has painted count, beside the strokes."""


class SoftLearner(Learner):
    """A learner whose batches say something of every pixel.

    Attributes
    ----------
    average : the network with an exponential average of its weights (Tarvainen and Valpola 2017, Mean teachers,
        section 2), in evaluation mode; it is what segments.
    speaker, listened : the average as it was when somebody listened last, and how often; None and 0 at first.
    """

    average: Network

    def __init__(self, network: Network, *arguments: Any, **more: Any) -> None:
        super().__init__(network, *arguments, **more)
        self.average = copy.deepcopy(network).eval().requires_grad_(False)
        self.steps = 0
        self.listened = 0
        self.speaker: Network | None = None

    def listen(self) -> None:
        """From here on the average, as it is now, has something to say."""
        self.listened += 1
        self.speaker = copy.deepcopy(self.average)

    def further(self) -> dict[str, dict[str, Tensor]]:
        """See `Learner`: the average now, and as it was when somebody listened."""
        import torch

        parts: dict[str, dict[str, Tensor]] = {"average": self.average.state_dict()}
        if self.speaker is not None:
            parts["speaker"] = {**self.speaker.state_dict(), "listened": torch.tensor(self.listened)}
        return parts

    def take_further(self, parts: dict[str, dict[str, Tensor]], steps: int) -> None:
        """See `Learner`."""
        self.average.load_state_dict(parts["average"])
        self.steps = max(0, steps - 1)  # the first step is the head's
        if "speaker" in parts:
            self.listened = int(parts["speaker"].pop("listened"))
            self.speaker = copy.deepcopy(self.average)
            self.speaker.load_state_dict(parts["speaker"])

    def settle(self, progress: float) -> bool:
        """See `Learner`; what batch normalisation knows of images in the encoder stays as it was pretrained."""
        changed = super().settle(progress)
        if changed:
            self.network.keep_statistics()
        return changed

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """The loss of the strokes, and that of all pixels weighted by how sure they are."""
        if not isinstance(batch, SoftBatch):
            raise TypeError(f"A SoftLearner learns from a SoftBatch. Got {type(batch).__name__}.")
        with self.engine.autocast():
            logits = module(batch.inputs, batch.what, batch.target.shape[-2:])
        painted = self._loss(logits.float(), batch.target, self._class_weights)
        return painted + SOFT * soft_loss(logits.float(), batch.probabilities)

    def step(self, batch: Batch, factor: float) -> float:
        """See `Learner`; the average follows."""
        loss = super().step(batch, factor)
        self.steps += 1
        self._follow(min(MEMORY, 1 - 1 / (1 + self.steps / 3)))
        return loss

    def _follow(self, kept: float) -> None:
        import torch

        own = self.network.state_dict()
        with torch.no_grad():
            for name, tensor in self.average.state_dict().items():
                if tensor.is_floating_point():
                    tensor.lerp_(own[name].to(tensor), 1 - kept)
                else:
                    tensor.copy_(own[name])


def soft_loss(logits: Tensor, probabilities: Tensor) -> Tensor:
    """Cross-entropy against class probabilities, each pixel weighted by how sure these are.

    The weight grows with the most likely class's probability, from 0 where all classes are as likely to 1.

    Parameters
    ----------
    logits, probabilities : `(N, K, H, W)` float32.

    Examples
    --------
    >>> import torch
    >>> unsure, sure = torch.full((1, 2, 1, 1), 0.5), torch.tensor([1.0, 0.0]).view(1, 2, 1, 1)
    >>> float(soft_loss(torch.zeros(1, 2, 1, 1), unsure)), round(float(soft_loss(torch.zeros(1, 2, 1, 1), sure)), 4)
    (0.0, 0.6931)
    """
    even = 1 / logits.shape[1]
    weights = (probabilities.amax(1) - even) / (1 - even)
    errors = -(probabilities * logits.log_softmax(1)).sum(1)
    return (weights * errors).mean()
