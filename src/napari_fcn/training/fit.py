"""Training: a generator of events, and a segmenter from the best weights whenever and however it ends."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..config import DataConfig, ModelConfig, TrainingConfig
from ..data.examples import Examples, hold_out
from ..data.patches import PatchSampler
from ..losses.class_weights import class_weights
from ..registry import architectures, augmentations
from ..segmenter import Segmenter, now, versions
from .batches import Batches, CutPatches, KeptFeatures
from .distributed import join
from .events import Event, Finished, Noted, Started, Step
from .learner import Learner
from .network import starting_network
from .record import Record
from .saving import Saving
from .scoring import Scoring
from .sizes import Sizes, choose_sizes, free_memory, halved, is_out_of_memory
from .transfer import rate_factor

if TYPE_CHECKING:
    from torch import Tensor

    from .run_folder import RunFolder

__all__ = ["Training"]

FEATURE_SHARE = 0.25
"""Part of the free memory that kept features may take."""


class Training:
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
        start = starting_network(examples, model, config, init)
        self.network, self.model, self.config = start.network, start.model, start.config
        self.examples = examples
        self.data = data
        self.pixel_size = pixel_size
        self.result: Finished | None = None
        fraction = config.validation if validation is None else 0.0
        targets, held_out, notes = hold_out(examples, fraction, np.random.default_rng(config.seed))
        if validation is not None:
            held_out = [plane.target for plane in validation.planes]
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
            augmentation=augmentations[config.augment].target(),
            seed=config.seed,
        )
        self.learner = Learner(self.network, self.engine, self.config, self._class_weights(), self.workers)
        self.record = Record(self.sizes.batch)
        self._told: list[str] = []
        self._begin = time.perf_counter()
        self._saving = Saving()
        self._starts_known = init is not None
        self._scoring = Scoring(
            self.validation,
            self.network,
            self.engine,
            self.record,
            self._seconds,
            time_budget=config.time_budget,
            starts_known=self._starts_known,
        )

    def save_to(self, folder: RunFolder) -> None:
        """Write events, checkpoints and the best segmenter there while it runs; go on from a checkpoint that is there.

        Raises
        ------
        InputError
            The checkpoint is of other images or settings.
        """
        self._saving = Saving(folder, self._what(), writes=self.workers.is_first, tell=self._told.append)
        restored = self._saving.restore(self.learner)
        if restored is not None:
            record, self._scoring.best = restored
            vars(self.record).update(vars(record))
            self._use(dataclasses.replace(self.sizes, batch=self.record.batch_size))

    def run(self) -> Generator[Event, None, None]:
        """Train, telling what happens.

        Closing the generator, an exception thrown into it and its normal end all leave the best weights so far in
        `segmenter()`; when weights have been learnt since the last score, they are scored first.

        Raises
        ------
        InputError
            The loss is no longer a number, or memory is full.
        """
        if self.result is not None:
            raise RuntimeError("A training runs once; make a new one.")
        self._begin = time.perf_counter() - self.record.seconds
        try:
            reason = yield from self._run()
        except BaseException:
            self._end("cancelled")
            raise
        yield self._end(reason)

    def segmenter(self) -> Segmenter:
        """The segmenter with the best weights so far, a copy: training on does not change it."""
        network = copy.deepcopy(self.network).to("cpu").eval()
        if self._scoring.best is not None:
            network.load_state_dict(self._scoring.best)
        network.requires_grad_(False)
        record = self.record
        return Segmenter(
            network=network,
            model=self.model,
            channels=self.examples.channels,
            classes=self.examples.classes,
            normalization=self.examples.normalization,
            training={**self.data.to_json(), **self.config.to_json()},
            history={
                "steps": record.step,
                "best_step": record.best_step,
                "seconds": round(self._seconds(), 3),
                "scores": None if record.best is None else record.best.to_json(),
                "start_scores": None if record.start is None else record.start.to_json(),
                "majority_scores": None if record.majority is None else record.majority.to_json(),
                "device": self.engine.device,
                "precision": self.engine.precision,
                "data": _fingerprint(self.examples),
                "versions": versions(),
                "date": now(),
            },
            pixel_size=self.pixel_size,
        )

    def _seconds(self) -> float:
        return self.result.seconds if self.result is not None else time.perf_counter() - self._begin

    def _run(self) -> Generator[Event, None, Literal["completed", "early"]]:
        config, record, scoring, workers = self.config, self.record, self._scoring, self.workers
        steps = self._planned_steps()
        self.notes += scoring.prepare(int(self.sampler.counts.argmax()))
        self.learner.settle(self._progress(steps, self._seconds(), 0.0))
        yield self._saving.write(self._started(steps))
        if first := scoring.first():
            yield self._saving.write(first)
        batches: Batches | None = None
        step_seconds = 0.0
        try:
            while True:
                seconds = self._seconds()
                progress = workers.agree(self._progress(steps, seconds, record.score_seconds + step_seconds))
                if progress >= 1:
                    break
                if self.learner.settle(progress) or batches is None:
                    if batches is not None:
                        batches.close()
                        self._told.append("The encoder learns too, from here on.")
                    batches = self._batches()
                factor = rate_factor(progress, config.schedule, config.warm_up)
                loss = self._step(batches, factor)
                record.step += 1
                step_seconds = self._seconds() - seconds
                progress = self._progress(steps, self._seconds(), record.score_seconds + step_seconds)
                while self._told:
                    yield self._saving.write(Noted(self._seconds(), self._told.pop(0)))
                yield self._saving.write(Step(record.step, loss, config.rate * factor, self._seconds(), progress))
                if workers.agree(scoring.is_due(progress)):
                    scored = scoring.score(progress)
                    if scored.best:
                        self._saving.keep(self.segmenter)
                    yield self._saving.write(scored)
                    if config.patience is not None and workers.agree(record.no_better) >= config.patience:
                        return "early"
                if self._saving.is_due():
                    self._save()
        finally:
            if batches is not None:
                batches.close()
        self._save()  # before the last score, so that going on is the same as never having stopped
        if last := scoring.last():
            yield self._saving.write(last)
        return "completed"

    def _started(self, steps: int | None) -> Started:
        return Started(
            device=self.engine.device,
            precision=self.engine.precision,
            batch_size=self.sampler.batch_size,
            patch_size=self.sampler.patch_size,
            steps=steps,
            seconds=self.config.time_budget,
            trainable=self.network.count(trainable=True),
            parameters=self.network.count(),
            notes=self.notes,
            resumed=self.record.step,
            majority=self.record.majority,
        )

    def _batches(self) -> Batches:
        """Patches anew, or kept features while the encoder stays as it is."""
        if not self.learner.keeps:
            return CutPatches(self.sampler, self.engine)
        given = self.config.feature_memory
        memory = FEATURE_SHARE * free_memory(self.engine) if given is None else given * 1e6
        decoded = self.config.transfer == "head"
        return KeptFeatures(
            self.sampler, self.network, self.engine, memory=memory, decoded=decoded, tell=self._told.append
        )

    def _step(self, batches: Batches, factor: float) -> float:
        """One gradient step; where memory does not suffice, with half as many patches from here on."""
        import torch

        while True:
            devices = [self.engine.device] if self.engine.device.startswith("cuda") else []
            count = self.sizes.batch
            try:
                with torch.random.fork_rng(devices=devices):  # dropout repeats itself, and nobody else's numbers change
                    torch.manual_seed(_seed_of(self.config.seed, self.record.step, self.workers.rank))
                    batch = batches.draw(self.record.step, count, count * self.workers.rank)
                    return self.learner.step(batch, factor)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or self.workers.count > 1:
                    raise
                self.learner.optimizer.zero_grad(set_to_none=True)
            self._use(halved(self.sizes))
            if devices:
                torch.cuda.empty_cache()
            self._told.append(f"Memory was full: {self.sizes.batch} patches a step from here on.")

    def _end(self, reason: Literal["completed", "cancelled", "early"]) -> Finished:
        """Settle on the weights to keep, and say how it went."""
        record = self.record
        if reason == "cancelled":
            self._save()
        self._scoring.last()
        self.result = Finished(
            reason=reason,
            steps=record.step,
            seconds=self._seconds(),
            best_step=record.best_step,
            start=record.start,
            best=record.best,
            summary=record.summary(kept_start=self._starts_known),
            majority=record.majority,
        )
        self._saving.write(self.result)
        if record.step:
            self._saving.keep(self.segmenter)
        self._saving.close()
        return self.result

    def _use(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.record.batch_size = sizes.batch
        self.sampler.batch_size = sizes.batch * self.workers.count

    def _save(self) -> None:
        self.record.seconds = self._seconds()
        self._saving.save(self.record, self.learner, self._scoring.best)

    def _what(self) -> dict[str, Any]:
        """What a training that goes on must have in common with the one before."""
        return {
            "images": _fingerprint(self.examples),
            "network": self.model.to_json(),
            "settings": {
                name: value for name, value in self.config.to_json().items() if name not in ("device", "init")
            },
        }

    def _planned_steps(self) -> int | None:
        config = self.config
        if config.epochs is not None:
            area = sum(plane.target.size for plane in self.examples.planes)
            return config.epochs * max(1, round(area / (self.sampler.batch_size * self.sampler.patch_size**2)))
        return config.steps

    def _progress(self, steps: int | None, seconds: float, reserve: float) -> float:
        """The part of the budget that is used up, in [0, 1]; `reserve` is what the last step and score will take."""
        if steps is not None:
            return min(1.0, self.record.step / steps)
        budget = self.config.time_budget or 60.0
        return min(1.0, seconds / max(budget - reserve, 1e-3))

    def _class_weights(self) -> Tensor | None:
        """Weights `(K,)` of the classes in the loss."""
        import torch

        weights = class_weights(self.config.class_weights, self.sampler.counts, self.examples.classes.values)
        return None if weights is None else torch.tensor(weights, dtype=torch.float32, device=self.engine.device)


def _seed_of(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


def _fingerprint(examples: Examples) -> str:
    """SHA-256 over the training images and their labels, to recognise the data again."""
    digest = hashlib.sha256()
    for plane in examples.planes:
        digest.update(repr((plane.values.shape, str(plane.values.dtype))).encode())
        digest.update(np.ascontiguousarray(plane.values).tobytes())
        digest.update(plane.target.tobytes())
    return digest.hexdigest()
