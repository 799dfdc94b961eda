"""Training: a generator of events, and a segmenter from the best weights whenever and however it ends."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from ..config import DataConfig, ModelConfig, TrainingConfig
from ..data.augmentation import usual_augmentation
from ..data.examples import Examples, hold_out
from ..data.patches import PatchSampler
from ..imaging import Chain
from ..losses.class_weights import class_weights
from ..metrics import Scores
from ..registry import architectures, augmentations
from ..segmenter import Segmenter, now, versions
from .batches import Batches, CutPatches, KeptFeatures
from .distributed import join
from .events import Finished, Started
from .learner import Learner
from .loop import Loop, fingerprint
from .network import starting_network
from .record import Record
from .scoring import SegmentationScoring
from .sizes import choose_sizes, free_memory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from ..models.base import Network

__all__ = ["Training"]

FEATURE_SHARE = 0.25
"""Part of the free memory that kept features may take."""


class Training(Loop[Scores]):
    """One training, from labelled examples to a segmenter.

    Parameters
    ----------
    examples : what to learn from.
    model, data, config : the settings; `data` only goes into the segmenter's record.
    validation : further examples to score on; when None, blocks of `examples` are held out.
    pixel_size : goes into the segmenter.
    init : a segmenter to start from; its weights are taken where they fit.

    Attributes
    ----------
    held_out, held_out_of : class indices `(H, W)` of the pixels to score on, for each plane of these examples.
    given : the settings as they stand in the segmenter.
    result : how it ended; None before.

    Raises
    ------
    InputError
        The settings do not go together, or the weights cannot be had.

    Examples
    --------
    >>> training = Training(examples, ModelConfig(), DataConfig(), TrainingConfig(steps=50))  # doctest: +SKIP
    >>> for event in training.run(): print(event)  # doctest: +SKIP
    >>> segmenter = training.segmenter()  # doctest: +SKIP
    """

    def __init__(
        self,
        examples: Examples,
        model: ModelConfig,
        data: DataConfig,
        config: TrainingConfig,
        *,
        validation: Examples | None = None,
        pixel_size: float | None = None,
        init: Segmenter | None = None,
    ) -> None:
        from ..inference.engine import choose_engine
        from .validation import Validation

        self.workers = join(config.device)
        self.engine = choose_engine(self.workers.device)
        if config.augment is None:
            config = dataclasses.replace(config, augment=usual_augmentation(examples.normalization.mode))
        start = starting_network(examples, model, config, init)
        self.network, self.model, self.config = start.network, start.model, start.config
        self.given = start.config
        self.examples = examples
        self.data = data
        # What was made for the same classes is good for them still.
        known = init is not None and init.classes.values == examples.classes.values
        self.postprocess = init.postprocess if init is not None and known else Chain()
        self.pixel_size = pixel_size
        fraction = config.validation if validation is None else 0.0
        targets, held_out, notes = self._hold_out(examples, fraction)
        if validation is not None:
            held_out = [plane.target for plane in validation.planes]
        self.held_out, self.held_out_of = held_out, validation or examples
        self.validation = Validation(validation or examples, held_out)
        self.engine.place(self.network)
        needed: int = architectures[self.model.architecture].details.get("smallest_batch", 1)
        self.sizes = choose_sizes(examples, self.network, self.engine, config, smallest_batch=needed)
        self.notes = start.notes + examples.notes + notes + self.sizes.notes
        self.sampler = PatchSampler(
            examples,
            targets,
            patch_size=self.sizes.patch,
            batch_size=self.sizes.batch * self.workers.count,
            augmentation=augmentations[str(config.augment)].target(),
            seed=config.seed,
        )
        self.learner = Learner(self.network, self.engine, self.config, self._class_weights(), self.workers)
        self._prepare_to_run(Record(self.sizes.batch), starts_known=init is not None)
        self._scoring = self._classes_scoring()

    @property
    def shown(self) -> Network:
        """The network that a preview shows while it learns."""
        return self.network

    def segmenter(self) -> Segmenter:
        """The segmenter with the best weights so far, a copy: training on does not change it."""
        return self._as_segmenter(self.network, self._scoring.best, self.model)

    def _as_segmenter(self, network: Network, weights: Mapping[str, Tensor] | None, model: ModelConfig) -> Segmenter:
        """A copy of a network, with these weights where there are any, and all that is known of this training."""
        network = copy.deepcopy(network).to("cpu").eval()
        if weights is not None:
            network.load_state_dict(weights)
        network.requires_grad_(False)
        record = self.record
        return Segmenter(
            network=network,
            model=model,
            channels=self.examples.channels,
            classes=self.examples.classes,
            normalization=self.examples.normalization,
            training={**self.data.to_json(), **self.given.to_json()},
            history={
                "steps": record.step,
                "best_step": record.best_step,
                "seconds": round(self._seconds(), 3),
                "scores": None if record.best is None else record.best.to_json(),
                "start_scores": None if record.start is None else record.start.to_json(),
                "majority_scores": None if record.majority is None else record.majority.to_json(),
                "device": self.engine.device,
                "precision": self.engine.precision,
                "data": fingerprint(self.examples),
                "versions": versions(),
                "date": now(),
            },
            pixel_size=self.pixel_size,
            preprocess=Chain.parse(self.data.preprocess),
            postprocess=self.postprocess,
        )

    def product(self) -> Segmenter:
        """As `segmenter`."""
        return self.segmenter()

    def _hold_out(
        self, examples: Examples, fraction: float
    ) -> tuple[list[npt.NDArray[np.int16]], list[npt.NDArray[np.int16]], tuple[str, ...]]:
        """Targets to learn from and targets to score on, and what is to be said about that."""
        return hold_out(examples, fraction, np.random.default_rng(self.config.seed))

    def _classes_scoring(self) -> SegmentationScoring:
        scoring = SegmentationScoring(
            self.validation,
            self.network,
            self.engine,
            self.record,
            self._clock(),
            time_budget=self.config.time_budget,
            starts_known=self._starts_known,
        )
        scoring.most_common = int(self.sampler.counts.argmax())
        return scoring

    def _started(self, steps: int | None) -> Started:
        return dataclasses.replace(super()._started(steps), majority=self.record.majority)

    def _finished(self, reason: Literal["completed", "cancelled", "early"]) -> Finished:
        record = self.record
        return dataclasses.replace(
            super()._finished(reason), start=record.start, best=record.best, majority=record.majority
        )

    def _batches(self) -> Batches:
        """Patches anew, or kept features while the encoder stays as it is."""
        if not self.learner.keeps:
            return self.image_batches()
        given = self.config.feature_memory
        memory = FEATURE_SHARE * free_memory(self.engine) if given is None else given * 1e6
        decoded = self.config.transfer == "head"
        return KeptFeatures(
            self.sampler, self.network, self.engine, memory=memory, decoded=decoded, tell=self._told.append
        )

    def image_batches(self) -> Batches:
        """Patches cut anew for every step."""
        return CutPatches(self.sampler, self.engine)

    def _what(self) -> dict[str, Any]:
        """What a training that goes on must have in common with the one before."""
        return {
            "images": fingerprint(self.examples),
            "network": self.model.to_json(),
            "settings": {name: value for name, value in self.given.to_json().items() if name not in ("device", "init")},
        }

    def _class_weights(self) -> Tensor | None:
        """Weights `(K,)` of the classes in the loss."""
        import torch

        weights = class_weights(self.config.class_weights, self.sampler.counts, self.examples.classes.values)
        return None if weights is None else torch.tensor(weights, dtype=torch.float32, device=self.engine.device)
