"""The loop that every training runs: steps, scores, checkpoints, events, and an end that keeps what was learnt.

What is learnt from which batches, and what a score is, its children say: `fit.Training` learns from labels,
`pretrain.Pretraining` without them.
"""

from __future__ import annotations

import dataclasses
import hashlib
import time
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

import numpy as np

from ..config import ModelConfig, TrainingConfig
from ..data.examples import Examples
from ..data.patches import PatchSampler
from ..inference.engine import Engine
from .batches import Batches
from .distributed import Workers
from .events import Event, Finished, Noted, Started, Step
from .learner import Learner
from .random_numbers import seeded
from .record import Course
from .saving import Saving
from .scoring import Scoring
from .sizes import Sizes, halved, is_out_of_memory
from .transfer import rate_factor

if TYPE_CHECKING:
    from ..models.base import Network
    from .run_folder import RunFolder, Savable

__all__ = ["Loop", "fingerprint"]

S = TypeVar("S")


class Loop(Generic[S]):
    """A training that runs once. Children set the attributes below, the private ones by `_prepare_to_run`.

    Attributes
    ----------
    workers, engine : the processes that share the work, and where this one computes.
    examples, network, model, config : what is learnt from, what learns, and the settings.
    sizes, sampler, learner : how large batches are, where patches come from, what makes a step of them.
    notes : sentences that the user should know at the beginning.
    record : how far it is.
    result : how it ended; None before.
    """

    workers: Workers
    engine: Engine
    examples: Examples
    network: Network
    model: ModelConfig
    config: TrainingConfig
    sizes: Sizes
    sampler: PatchSampler
    learner: Learner
    notes: tuple[str, ...]
    record: Course[S]
    result: Finished | None
    _scoring: Scoring[S]

    def _prepare_to_run(self, record: Course[S], *, starts_known: bool) -> None:
        """Set what the loop itself needs; `starts_known` as for `Scoring`."""
        self.record = record
        self.result = None
        self._told: list[str] = []
        self._begin = time.perf_counter()
        self._saving = Saving()
        self._starts_known = starts_known

    def product(self) -> Savable:
        """What training has made so far, from the best weights: a copy."""
        raise NotImplementedError

    def _batches(self) -> Batches:
        """Where batches come from, from here on."""
        raise NotImplementedError

    def _what(self) -> dict[str, Any]:
        """What a training that goes on must have in common with the one before."""
        raise NotImplementedError

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
        )

    def _finished(self, reason: Literal["completed", "cancelled", "early"]) -> Finished:
        return Finished(
            reason=reason,
            steps=self.record.step,
            seconds=self._seconds(),
            best_step=self.record.best_step,
            start=None,
            best=None,
            summary=self.record.summary(kept_start=self._starts_known),
        )

    def save_to(self, folder: RunFolder) -> None:
        """Write events, checkpoints and the best segmenter there while it runs; go on from a checkpoint that is there.

        Raises
        ------
        InputError
            The checkpoint is of other images or settings.
        """
        self._saving = Saving(folder, self._what(), writes=self.workers.is_first, tell=self._told.append)
        restored = self._saving.restore(self.learner, type(self.record))
        if restored is not None:
            record, self._scoring.best = restored
            vars(self.record).update(vars(record))
            self._use(dataclasses.replace(self.sizes, batch=self.record.batch_size))

    def run(self) -> Generator[Event, None, None]:
        """Train, telling what happens.

        Closing the generator, an exception thrown into it and its normal end all leave the best weights so far in
        `product()`; when weights have been learnt since the last score, they are scored first.

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

    def _before_steps(self) -> Generator[Event, None, None]:
        """What a training does before its first step, and before it goes on; nothing here."""
        yield from ()

    def _clock(self) -> Callable[[], float]:
        """`_seconds` for parts of this training, which do not hold it.

        Otherwise networks and optimizers of trainings that are over stay in memory until Python looks for circles.
        """
        reference = weakref.ref(self)

        def seconds() -> float:
            training = reference()
            return 0.0 if training is None else training._seconds()

        return seconds

    def _seconds(self) -> float:
        return self.result.seconds if self.result is not None else time.perf_counter() - self._begin

    def _run(self) -> Generator[Event, None, Literal["completed", "early"]]:
        config, record, scoring, workers = self.config, self.record, self._scoring, self.workers
        steps = self._planned_steps()
        self.notes += scoring.prepare()
        self.learner.settle(self._progress(steps, self._seconds(), 0.0))
        yield self._saving.write(self._started(steps))
        yield from self._before_steps()
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
                        self._saving.keep(self.product)
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

    def _step(self, batches: Batches, factor: float) -> float:
        """One gradient step; where memory does not suffice, with half as many patches from here on."""
        import torch

        while True:
            devices = [self.engine.device] if self.engine.device.startswith("cuda") else []
            count = self.sizes.batch
            try:
                # Dropout repeats itself, and nobody else's numbers change.
                with seeded(_seed_of(self.config.seed, self.record.step, self.workers.rank), devices):
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
        self.result = self._finished(reason)
        self._saving.write(self.result)
        if record.step:
            self._saving.keep(self.product)
        self._saving.close()
        return self.result

    def _use(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.record.batch_size = sizes.batch
        self.sampler.batch_size = sizes.batch * self.workers.count

    def _save(self) -> None:
        self.record.seconds = self._seconds()
        self._saving.save(self.record, self.learner, self._scoring.best)

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


def _seed_of(seed: int, step: int, rank: int) -> int:
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0])


def fingerprint(examples: Examples) -> str:
    """SHA-256 over the training images and their labels, to recognise the data again."""
    digest = hashlib.sha256()
    for plane in examples.planes:
        digest.update(repr((plane.values.shape, str(plane.values.dtype))).encode())
        digest.update(np.ascontiguousarray(plane.values).tobytes())
        digest.update(plane.target.tobytes())
    return digest.hexdigest()
