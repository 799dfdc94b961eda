"""A pixel head at once, and behind it a deep network that takes over when it is better on strokes held back.

The network starts from the head's encoder and learns from the strokes and from what the head, and later an average of
the network itself, say of the pixels beside them, as far as they are sure of it (pseudo-labels as in Lee and Jeong
2020, Scribble2Label, MICCAI; the average as in Tarvainen and Valpola 2017, Mean teachers). Patches are varied in
geometry and intensity and what is said of them is not, so that answers have to be consistent. What is compared has
never learnt from the strokes it is compared on; the head that is handed out has learnt from all.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..config import DataConfig, ModelConfig, TrainingConfig, settings_of
from ..data.examples import Examples
from ..errors import InputError
from ..models.build import head_model
from ..models.pixel import suits_pixels
from ..registry import architectures, augmentations
from .batches import Batches
from .behind_scoring import BehindRecord, BehindScoring
from .comparison import too_few
from .events import Event, Noted, Step
from .fit import FEATURE_SHARE, Training
from .held_strokes import FEWEST, HeldBack, Stroke, hold_back, strokes_of
from .sizes import free_memory
from .soft_learner import SoftLearner
from .soft_patches import SoftBatches, SoftSampler
from .stroke_head import Opinion, StrokeHead, WindowMaps

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.base import Network
    from ..segmenter import Segmenter

__all__ = ["BehindTraining", "is_behind"]

ENCODER_RATE = 0.1
"""The encoder's learning rate as a fraction of the decoder's: little is painted, and it knows much."""
PATCH = 128
"""Usual side of a patch: many small steps, for what the strokes tell is soon known."""
LISTEN = (0.4, 0.7)
"""Parts of the training after which the average, as it is then, is listened to beside the head."""


def is_behind(model: ModelConfig, config: TrainingConfig, init: Segmenter | None) -> bool:
    """Whether these settings mean a pixel head with a deep network behind it.

    Not for the pixel head itself, and not for a decoder that may come from an autoencoder's file: there, and with a
    segmenter to start from, transfer "head" learns the last layer.
    """
    if init is not None or config.transfer != "head" or "code" in settings_of(model.architecture):
        return False
    return not architectures[model.architecture].details.get("fitted")


class BehindTraining(Training):
    """Fits a pixel head, and lets a deep network learn for the rest of the time.

    Its first step is the head's fit, and from then on there is an answer: `segmenter()` gives the head until head and
    network together are better by more than chance, see `comparison.Comparison`, and then both. Parameters as for
    `Training`; `validation` of the settings is the part of each class's strokes that is held back.

    Raises
    ------
    InputError
        As for `Training`, and when nothing shall be held back.
    """

    def __init__(
        self,
        examples: Examples,
        model: ModelConfig,
        data: DataConfig,
        config: TrainingConfig,
        *,
        validation: Examples | None = None,
        **more: Any,
    ) -> None:
        if validation is None and not config.validation:
            raise InputError(
                "`transfer` 'head' with a deep network holds strokes back to compare both, so `validation` must be "
                "above 0. Got 0; give a fraction such as 0.15, or architecture 'pixel' for the head alone."
            )
        self._back: HeldBack | None = None
        learning = dataclasses.replace(
            config,
            transfer="finetune",
            encoder_rate=ENCODER_RATE,
            patch_size=config.patch_size or _patch_size(examples),
        )
        super().__init__(examples, model, data, learning, validation=validation, **more)
        self.given = config
        classes = len(examples.classes)
        strokes = self._back.strokes if self._back else strokes_of(self.held_out, classes)
        self._why_not = self._not_comparable(strokes)
        self._head: Network | None = None
        self._opinion: Opinion | None = None
        self.sampler = self._soft_sampler = SoftSampler(
            examples,
            self.sampler.targets,
            patch_size=self.sizes.patch,
            batch_size=self.sizes.batch * self.workers.count,
            augmentation=augmentations[str(self.config.augment)].target(),
            seed=config.seed,
        )
        learner = SoftLearner(self.network, self.engine, self.config, self._class_weights(), self.workers)
        self.learner = self._soft_learner = learner
        self._prepare_to_run(BehindRecord(self.sizes.batch), starts_known=True)
        self._scoring = self._behind_scoring = BehindScoring(
            self.validation,
            learner.average,
            self.engine,
            self.record,
            self._clock(),
            time_budget=self.config.time_budget,
            examples=self.held_out_of,
            strokes=strokes,
        )
        self._scoring.most_common = int(self.sampler.counts.argmax())

    @property
    def shown(self) -> Network:
        """The head, or both side by side once that was better."""
        if self._head is None:
            return self.network
        if self._scoring.best is None:
            return self._head
        from ..models.beside import BesideNetwork

        return BesideNetwork(self._soft_learner.average, self._head).eval()

    def segmenter(self) -> Segmenter:
        """The head, or head and network side by side once that was better: a copy; training on changes nothing."""
        head, weights = self._head, self._scoring.best
        if head is None:  # stopped before anything was there
            return super().segmenter()
        if weights is None:
            made = self._as_segmenter(head, None, head_model(self.model))
        else:
            from ..models.beside import BesideNetwork

            network = copy.deepcopy(self._soft_learner.average)
            network.load_state_dict(weights)
            made = self._as_segmenter(BesideNetwork(network, copy.deepcopy(head)), None, self.model)
        why = self.record.summary(kept_start=True)
        return dataclasses.replace(made, history={**made.history, "behind": {"taken": weights is not None, "why": why}})

    def _hold_out(
        self, examples: Examples, fraction: float
    ) -> tuple[list[npt.NDArray[np.int16]], list[npt.NDArray[np.int16]], tuple[str, ...]]:
        """Whole strokes instead of blocks."""
        targets = [plane.target for plane in examples.planes]
        if not fraction:
            return targets, [np.full_like(target, -1) for target in targets], ()
        random = np.random.default_rng(self.config.seed)
        self._back = hold_back(targets, len(examples.classes), fraction, random)
        return self._back.learnt, self._back.held, ()

    def _not_comparable(self, strokes: Sequence[Stroke]) -> str:
        """Why head and network cannot be compared; empty when they can."""
        few = set(too_few(strokes, len(self.examples.classes)))
        names = ", ".join(entry.name for index, entry in enumerate(self.examples.classes) if index in few)
        return (
            f"Comparing takes {FEWEST} strokes of each class; there are fewer of {names}, so the head stays."
            if few
            else ""
        )

    def _class_weights(self) -> Tensor | None:
        """As asked for; else every class is as heavy as the others, for strokes say nothing of how common it is."""
        import torch

        if self.config.class_weights != "none":
            return super()._class_weights()
        counts = np.maximum(self.sampler.counts, 1)
        weights = counts.sum() / (len(counts) * counts)
        return torch.tensor(weights, dtype=torch.float32, device=self.engine.device)

    def _before_steps(self) -> Generator[Event, None, None]:
        """Fit the head to everything, to hand it out at once, and then to what is learnt from, to teach and compare."""
        heads, record = self._hand_out(), self.record
        if not record.step:
            record.step = record.scored_step = record.best_step = 1
            self._saving.keep(self.product)
            yield self._saving.write(Step(1, heads.loss, 0.0, self._seconds(), 0.0))
        if self._why_not:
            yield self._saving.write(Noted(self._seconds(), self._why_not))
        else:
            self._teach(heads)

    def _hand_out(self) -> StrokeHead:
        memory = FEATURE_SHARE * free_memory(self.engine)
        # As long as it is as it was pretrained.
        ready = not self.record.step and suits_pixels(self.network)
        encoder = self.network.encoder if ready else None
        heads = StrokeHead(self.examples, self.model, self.engine, self.config.seed, memory, encoder)
        self._head = heads.fit([plane.target for plane in self.examples.planes])
        return heads

    def _teach(self, heads: StrokeHead) -> None:
        """Ask a head that has not seen what is held back what it thinks, of these strokes and of all other pixels."""
        teacher = self._head if self._back is None and self._head else heads.fit(self.sampler.targets)
        said = WindowMaps(teacher, self.engine, self.examples)
        self._opinion = Opinion(said)
        self._soft_sampler.said = self._opinion.window
        self._listen()
        elsewhere = self.held_out_of is not self.examples
        self._behind_scoring.take_head(WindowMaps(teacher, self.engine, self.held_out_of) if elsewhere else said)

    def _progress(self, steps: int | None, seconds: float, reserve: float) -> float:
        """As always; but nothing is learnt that could not be compared."""
        progress = super()._progress(steps, seconds, reserve)
        if self._head is None:
            return progress
        if self._why_not:
            return 1.0
        if self._soft_learner.listened < sum(progress >= part for part in LISTEN):
            self._soft_learner.listen()
            self._listen()
        return progress

    def _listen(self) -> None:
        """Ask the average too, if there is one that speaks."""
        speaker = self._soft_learner.speaker
        if self._opinion is not None and speaker is not None:
            self._opinion.network = WindowMaps(speaker, self.engine, self.examples)

    def _batches(self) -> Batches:
        return self.image_batches()

    def image_batches(self) -> Batches:
        """See `Training`."""
        if self._opinion is None:
            self._teach(self._hand_out())
        return SoftBatches(self._soft_sampler, self.engine)


def _patch_size(examples: Examples) -> int | None:
    """The usual side where images are large enough; else whatever fits."""
    sides = sorted(min(plane.target.shape) for plane in examples.planes)
    return PATCH if sides[len(sides) // 2] >= PATCH else None
