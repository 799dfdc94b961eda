"""What an autoencoder's training minimises and measures: the kind, the loss, and the network between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ..config import TrainingConfig
from ..data.examples import Examples
from ..data.normalization import Normalization
from ..inference.engine import Engine, evaluating
from ..losses.reconstruction import mean_over
from ..registry import reconstruction_losses
from .batches import Batch
from .distributed import Workers
from .events import Measured
from .kinds import Objective
from .learner import Learner
from .random_numbers import seeded
from .scoring import Scoring
from .validation import Validation

if TYPE_CHECKING:
    from ..models.base import Network

__all__ = ["LossScoring", "Pretext", "PretextLearner", "ReconstructionValidation", "settle_statistics"]

BATCH = 4
"""Held-out windows that are measured at once."""
MOST_PIXELS = 2**19
"""Windows beyond this many pixels are left out, evenly.

A mean loss needs fewer than the scores of rare classes do, and measuring took twice as long as learning for 300 steps.
"""


class Pretext(nn.Module):
    """A network with what it has to do.

    Parameters
    ----------
    network : of the architecture `autoencoder`, with as many outputs as channels; its outputs are standardised images.
    objective, loss : the kind, and the name of the reconstruction loss.
    normalization : whose gain and offset the network's inputs have.
    """

    def __init__(self, network: Network, objective: Objective, loss: str, normalization: Normalization) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self._loss = reconstruction_losses[loss].target
        self._gain, self._offset = normalization.gain, normalization.offset

    def forward(self, patches: Tensor, counted: Tensor) -> Tensor:
        """The loss, a scalar, for patches `(N, C, H, W)` of which the pixels `counted` `(N, H, W)` count."""
        images = (patches - self._offset) / self._gain
        seen, looked_at = self.objective.corrupt(images)
        if self.objective.looks_at_inputs:
            seen = seen.detach().requires_grad_()
        features = self.network.features(seen * self._gain + self._offset)
        decoder: Any = self.network.decoder
        code, penalty = self.objective.judge(decoder, features[len(decoder.levels)], decoder.encode(features), seen)
        made = self.network.judge(decoder.decode(code, decoder.indices(features)))
        return self.compare(made, images, counted, looked_at).float() + penalty.float()

    def see(self, patches: Tensor) -> Tensor:
        """What the network gives for patches as it sees them while it learns."""
        seen, _ = self.objective.corrupt((patches - self._offset) / self._gain)
        made: Tensor = self.network(seen * self._gain + self._offset)
        return made

    def compare(self, made: Tensor, images: Tensor, counted: Tensor, looked_at: Tensor | None) -> Tensor:
        """The reconstruction's loss over the pixels that count."""
        height, width = images.shape[-2:]
        counted = counted if looked_at is None else counted & looked_at
        return mean_over(self._loss(made[..., :height, :width].float(), images), counted)

    def measure(self, patches: Tensor, counted: Tensor, mean: Tensor | None = None) -> Tensor:
        """The loss of reconstructing, without penalties and at full strength; or that of the image `mean` `(C,)`."""
        images = (patches - self._offset) / self._gain
        seen, looked_at = self.objective.corrupt(images, fully=True)
        if mean is None:
            made: Tensor = self.network(seen * self._gain + self._offset)
        else:
            made = mean.to(images)[:, None, None].expand_as(images)
        return self.compare(made, images, counted, looked_at)


def settle_statistics(pretext: Pretext, patches: Iterable[Tensor], engine: Engine) -> None:
    """Take the statistics of batch normalisation anew, as means over batches `(N, C, H, W)` with the present weights.

    The running ones lag behind by about ten steps, in which weights from random values change so much that the network
    gives something else in evaluation than in training: held-out losses of several hundred were seen where those of the
    steps were 0.3. Wu and Johnson 2021, Rethinking "Batch" in BatchNorm, section 3, call this precise statistics.
    """
    norms = [module for module in pretext.modules() if isinstance(module, nn.BatchNorm2d)]
    if not norms:
        return
    momenta = [module.momentum for module in norms]
    training = pretext.network.training
    for module in norms:
        module.reset_running_stats()
        module.momentum = None  # a mean over all batches
    pretext.network.train()
    devices = [engine.device] if engine.device.startswith("cuda") else []
    with seeded(0, devices), torch.no_grad(), engine.autocast():
        for part in patches:
            pretext.see(engine.put(part))
    for module, momentum in zip(norms, momenta, strict=True):
        module.momentum = momentum
    pretext.network.train(training)


class PretextLearner(Learner):
    """Learns what a pretext asks for."""

    def __init__(self, pretext: Pretext, engine: Engine, config: TrainingConfig, workers: Workers) -> None:
        super().__init__(pretext.network, engine, config, workers=workers)
        self._pretext = pretext

    def module(self) -> nn.Module:
        """See `Learner`."""
        return self._pretext

    def loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """See `Learner`."""
        with self.engine.autocast():
            found: Tensor = module(batch.inputs[0], batch.target >= 0)
        return found


class ReconstructionValidation(Validation):
    """Windows around held-out pixels, for the loss of reconstructing these."""

    def __init__(self, examples: Examples, targets: Sequence[npt.NDArray[np.int16]], pretext: Pretext) -> None:
        super().__init__(examples, targets)
        pixels = sum(truth.size for _, truth in self.windows)
        self.windows = self.windows[:: max(1, -(-pixels // MOST_PIXELS))]
        self.pretext = pretext

    def loss(self, engine: Engine, *, of_mean: bool = False) -> float:
        """The loss over the held-out pixels; or that of their mean, as an image of one value for each channel.

        What is random in it is the same every time.
        """
        mean = self._mean() if of_mean else None
        total, pixels = 0.0, 0
        devices = [engine.device] if engine.device.startswith("cuda") else []
        with seeded(0, devices), evaluating(self.pretext.network), engine.autocast():
            for values, truths in self._batches():
                for start in range(0, len(values), BATCH):
                    part = engine.put(torch.from_numpy(values[start : start + BATCH]))
                    counted = torch.from_numpy(np.stack(truths[start : start + BATCH]) >= 0)
                    count = int(counted.sum())
                    total += count * float(self.pretext.measure(part, counted.to(part.device), mean))
                    pixels += count
        return total / max(pixels, 1)

    def _mean(self) -> Tensor:
        """Mean of each channel `(C,)` over the held-out pixels, standardised."""
        pixels = np.concatenate([values[:, truth >= 0] for values, truth in self.windows], axis=1)
        return torch.from_numpy((pixels.mean(axis=1) - self.pretext._offset) / self.pretext._gain)


class LossScoring(Scoring[float]):
    """The loss on held-out pixels; the lowest is the best.

    Attributes
    ----------
    settle : brings the statistics of batch normalisation up to date, before the network is measured and kept.
    """

    validation: ReconstructionValidation
    settle: Callable[[], None]

    def measure(self) -> float:
        """See `Scoring`."""
        self.settle()
        return self.validation.loss(self._engine)

    def before_keeping(self) -> None:
        """See `Scoring`."""
        self.settle()

    def without_learning(self) -> float:
        """The loss of the mean of each channel."""
        return self.validation.loss(self._engine, of_mean=True)

    def quality(self, found: float) -> float:
        """See `Scoring`."""
        return -found

    def tell(self, found: float, *, best: bool) -> Measured:
        """See `Scoring`."""
        return Measured(self._record.step, self._clock(), found, best)
