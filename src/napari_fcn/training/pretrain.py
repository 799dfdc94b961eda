"""Learning without labels: an autoencoder from images, by the same loop as a segmenter from labels."""

from __future__ import annotations

import copy
import dataclasses
import weakref
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..autoencoder import Autoencoder
from ..config import DataConfig, ModelConfig
from ..data.examples import Examples, hold_out
from ..data.unlabelled import UnlabelledPatches
from ..models import NetworkSpec, build
from ..models.encoders import make_encoder
from ..pretraining_config import PretrainingConfig
from ..registry import augmentations
from ..segmenter import now, versions
from .batches import Batches, CutPatches
from .distributed import join
from .events import Finished, Started
from .kinds import make_objective
from .loop import Loop, fingerprint
from .random_numbers import seeded
from .record import LossRecord
from .sizes import choose_sizes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Pretraining"]

SETTLING, TOGETHER = 64, 8
"""Patches that the statistics of batch normalisation are taken from before the network is measured, and how many at a
time.

From four batches of two, brightness and contrast of what came back were wrong with one seed of four: noise fell by
1.1 dB, with these by 11.7. Batches of eight gave more than batches of two of the same patches (10.5 to 12.2 dB against
9.8 to 12.1).
"""
SETTLING_PIXELS = 2**20
"""Pixels of the patches for the statistics, at most, when `TOGETHER` patches have fewer."""


class Pretraining(Loop[float]):
    """One training without labels, from images to an autoencoder.

    Parameters
    ----------
    examples : what to learn from, see `data.unlabelled.prepare_unlabelled`.
    model, data, pretraining : the settings; `data` only goes into the autoencoder's record.
    validation : further examples to measure on; when None, blocks of `examples` are held out.

    Attributes
    ----------
    result : how it ended; None before.

    Raises
    ------
    InputError
        The settings do not go together, or the weights cannot be had.
    """

    def __init__(
        self,
        examples: Examples,
        model: ModelConfig,
        data: DataConfig,
        pretraining: PretrainingConfig,
        *,
        validation: Examples | None = None,
    ) -> None:
        from ..inference.engine import choose_engine
        from .pretext import LossScoring, Pretext, PretextLearner, ReconstructionValidation, settle_statistics

        self.pretraining = pretraining
        self.config = config = pretraining.learning(pretrained=model.weights != "none")
        self.workers = join(config.device)
        self.engine = choose_engine(self.workers.device)
        self.examples, self.model, self.data = examples, model, data
        objective = make_objective(pretraining)
        self._code = objective.code
        with seeded(config.seed):
            self.network = build(NetworkSpec(model, examples.channels, examples.channels))
            decoder: Any = self.network.decoder
            decoder.make_code(self._code)
            self._further = self._further_stages()
        fraction = config.validation if validation is None else 0.0
        targets, held_out, _ = hold_out(examples, fraction, np.random.default_rng(config.seed))
        if validation is not None:
            held_out = [plane.target for plane in validation.planes]
        self.notes = ()
        if not any((target >= 0).any() for target in held_out):
            self.notes = ("The images are too small to hold blocks of them back; progress is not measured.",)
        self.engine.place(self.network)
        self.sizes = choose_sizes(examples, self.network, self.engine, config, smallest_batch=1)
        self.notes += self.sizes.notes
        self.sampler = UnlabelledPatches(
            examples,
            targets,
            patch_size=self.sizes.patch,
            batch_size=self.sizes.batch * self.workers.count,
            augmentation=augmentations[str(config.augment)].target(),
            seed=config.seed,
        )
        pretext = Pretext(self.network, objective, pretraining.loss, examples.normalization)
        self.learner = PretextLearner(pretext, self.engine, config, self.workers)
        self._prepare_to_run(LossRecord(self.sizes.batch), starts_known=False)
        scoring = LossScoring(
            ReconstructionValidation(validation or examples, held_out, pretext),
            self.network,
            self.engine,
            self.record,
            self._clock(),
            time_budget=config.time_budget,
            starts_known=False,
        )
        own = weakref.proxy(self)  # a part of this must not hold it
        scoring.settle = lambda: settle_statistics(pretext, own._settling_patches(), own.engine)
        self._scoring = scoring

    def product(self) -> Autoencoder:
        """As `autoencoder`."""
        return self.autoencoder()

    def autoencoder(self) -> Autoencoder:
        """The autoencoder with the best weights so far, a copy: training on does not change it."""
        network = copy.deepcopy(self.network).to("cpu").eval()
        if self._scoring.best is not None:
            network.load_state_dict(self._scoring.best)
        network.requires_grad_(False)
        record = self.record
        return Autoencoder(
            network=network,
            model=self.model,
            channels=self.examples.channels,
            normalization=self.examples.normalization,
            code=self._code,
            training={**self.data.to_json(), **self.pretraining.to_json()},
            history={
                "steps": record.step,
                "best_step": record.best_step,
                "seconds": round(self._seconds(), 3),
                "loss": record.best,
                "start_loss": record.start,
                "mean_loss": record.majority,
                "device": self.engine.device,
                "precision": self.engine.precision,
                "data": fingerprint(self.examples),
                "versions": versions(),
                "date": now(),
            },
            further=self._further,
        )

    def _further_stages(self) -> Mapping[str, Tensor]:
        """The encoder's stages beyond the network's depth, so that the file fits architectures that have them."""
        own = self.network.state_dict()
        whole = make_encoder(self.model.encoder, self.model.weights, self.examples.channels)
        named = {f"encoder.{name}": tensor for name, tensor in whole.state_dict().items()}
        return {name: tensor for name, tensor in named.items() if name not in own}

    def _settling_patches(self) -> Iterator[Tensor]:
        """Batches `(N, C, p, p)` for `settle_statistics`, the same every time; no more than were learnt from so far."""
        learnt = self.record.step * self.sampler.batch_size
        count = min(SETTLING, learnt, SETTLING_PIXELS // self.sizes.patch**2)
        for number in range(max(1, -(-count // TOGETHER))):
            yield self.sampler.draw(number, TOGETHER)[0]

    def _batches(self) -> Batches:
        return CutPatches(self.sampler, self.engine)

    def _started(self, steps: int | None) -> Started:
        return dataclasses.replace(super()._started(steps), mean_loss=self.record.majority)

    def _finished(self, reason: Literal["completed", "cancelled", "early"]) -> Finished:
        record = self.record
        return dataclasses.replace(
            super()._finished(reason), start_loss=record.start, best_loss=record.best, mean_loss=record.majority
        )

    def _what(self) -> dict[str, Any]:
        settings = self.pretraining.to_json()
        settings.pop("device")
        return {"images": fingerprint(self.examples), "network": self.model.to_json(), "settings": settings}
