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
from ..errors import InputError
from ..losses import combined
from ..metrics import Scores
from ..models import NetworkSpec, build
from ..registry import architectures, augmentations
from ..segmenter import Segmenter, now, versions
from .events import Event, Finished, Started, Step, Validated
from .transfer import make_optimizer, rate_factor, starting_weights, suited_to

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Training"]

LARGEST_PATCH = 192
VALIDATIONS = 10
"""How often the network is scored, at most."""
VALIDATION_SHARE = 0.1
"""Part of a time budget that scoring may take, besides the first and the last score."""
SCORE_SHARE = 0.04
"""Part of a time budget that one score may take."""


class Training:
    """One training, from labelled examples to a segmenter.

    Parameters
    ----------
    examples : what to learn from.
    model, data, config : the settings; `data` only goes into the segmenter's record.
    validation : further examples to score on; when None, blocks of `examples` are held out.
    pixel_size : goes into the segmenter.

    Attributes
    ----------
    result : how it ended; None before.

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
    ) -> None:
        from ..inference.engine import choose_engine
        from .validation import Validation

        self.examples = examples
        self.model = dataclasses.replace(model, weights=starting_weights(model.weights, config.transfer))
        self.data = data
        transfer = config.transfer
        self.config = config = suited_to(self.model.weights, config)
        self.pixel_size = pixel_size
        self.engine = choose_engine(config.device)
        self.result: Finished | None = None
        random = np.random.default_rng(config.seed)
        fraction = config.validation if validation is None else 0.0
        targets, held_out, self.notes = hold_out(examples, fraction, random)
        if config.transfer != transfer:
            self.notes += ("Nothing is pretrained here, so everything is learnt alike (transfer 'scratch').",)
        if validation is not None:
            examples_to_score, held_out = validation, [plane.target for plane in validation.planes]
        else:
            examples_to_score = examples
        self.validation = Validation(examples_to_score, held_out)
        patch_size = config.patch_size or _patch_size(examples)
        self.network = self._build()
        self.sampler = PatchSampler(
            examples,
            targets,
            patch_size=patch_size,
            batch_size=max(config.batch_size, self._smallest_batch(patch_size)),
            augmentation=augmentations[config.augment].target(),
            seed=config.seed,
        )
        self._best: dict[str, Tensor] | None = None
        self._best_step = 0
        self._start: Scores | None = None
        self._best_scores: Scores | None = None
        self._step = 0
        self._scored_step = 0
        self._scored_progress = 0.0
        self._score_seconds = 0.0
        self._scoring_seconds = 0.0
        self._begin = time.perf_counter()

    def _build(self) -> Any:
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed)
            spec = NetworkSpec(self.model, self.examples.channels, len(self.examples.classes))
            return build(spec)

    def _smallest_batch(self, patch_size: int) -> int:
        """Batch normalisation needs two values of each channel: where features shrink to one pixel, two patches."""
        smallest: int = architectures[self.model.architecture].details.get("smallest_batch", 1)
        return max(smallest, 2 if patch_size <= self.network.stride else 1)

    def run(self) -> Generator[Event, None, None]:
        """Train, telling what happens.

        Closing the generator, an exception thrown into it and its normal end all leave the best weights so far in
        `segmenter()`; when weights have been learnt since the last score, they are scored first.

        Raises
        ------
        InputError
            The loss is no longer a number.
        """
        if self.result is not None:
            raise RuntimeError("A training runs once; make a new one.")
        self._begin = time.perf_counter()
        try:
            yield from self._run()
        except BaseException:
            self._end("cancelled")
            raise
        yield self._end("completed")

    def segmenter(self) -> Segmenter:
        """The segmenter with the best weights so far, a copy: training on does not change it."""
        network = copy.deepcopy(self.network).to("cpu").eval()
        if self._best is not None:
            network.load_state_dict(self._best)
        network.requires_grad_(False)
        return Segmenter(
            network=network,
            model=self.model,
            channels=self.examples.channels,
            classes=self.examples.classes,
            normalization=self.examples.normalization,
            training={**self.data.to_json(), **self.config.to_json()},
            history={
                "steps": self._step,
                "best_step": self._best_step,
                "seconds": round(self._seconds(), 3),
                "scores": None if self._best_scores is None else self._best_scores.to_json(),
                "start_scores": None if self._start is None else self._start.to_json(),
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

    def _run(self) -> Generator[Event, None, None]:
        import torch

        config, engine = self.config, self.engine
        torch.manual_seed(config.seed)
        network = engine.place(self.network)
        optimizer = make_optimizer(network, config)
        loss_of = combined(config.loss)
        class_weights = self._class_weights()
        scaler = torch.amp.GradScaler(engine.device.split(":")[0], enabled=engine.precision == "float16")
        steps = self._planned_steps()
        if config.time_budget is not None:
            sentence = self.validation.limit(network, engine, SCORE_SHARE * config.time_budget)
            self.notes += (sentence,) if sentence else ()
        yield Started(
            device=engine.device,
            precision=engine.precision,
            batch_size=self.sampler.batch_size,
            patch_size=self.sampler.patch_size,
            steps=steps,
            seconds=config.time_budget,
            trainable=network.count(trainable=True),
            parameters=network.count(),
            notes=self.notes,
        )
        if not self.validation.empty:
            self._start = self._score()
            yield Validated(0, self._seconds(), self._start, best=False)
        step_seconds = 0.0
        diverged = 0
        network.train()
        while True:
            seconds = self._seconds()
            progress = self._progress(steps, seconds, reserve=self._score_seconds + step_seconds)
            if progress >= 1:
                break
            for group in optimizer.param_groups:
                group["lr"] = group["highest"] * rate_factor(progress)
            patches, target = self.sampler.draw()
            optimizer.zero_grad(set_to_none=True)
            with engine.autocast():
                logits = network(engine.put(patches))
            loss = loss_of(logits.float(), engine.put(target), class_weights)
            torch.autograd.backward(scaler.scale(loss))
            scaler.unscale_(optimizer)
            norm = torch.nn.utils.clip_grad_norm_([p for p in network.parameters() if p.requires_grad], 1.0)
            diverged = 0 if bool(torch.isfinite(norm)) else diverged + 1
            if diverged > 10:
                raise InputError(f"The loss is no longer a number; use a lower rate than {config.rate:g}.")
            if not diverged:
                scaler.step(optimizer)
            scaler.update()
            self._step += 1
            step_seconds = self._seconds() - seconds
            progress = self._progress(steps, self._seconds(), reserve=self._score_seconds + step_seconds)
            yield Step(self._step, float(loss.detach()), optimizer.param_groups[0]["lr"], self._seconds(), progress)
            if self._is_due(progress):
                self._scored_progress = progress
                yield self._validate()
        if not self.validation.empty and self._scored_step != self._step:
            yield self._validate()

    def _validate(self) -> Validated:
        """Score the present weights, and keep them when they are the best so far."""
        scores = self._score()
        best = self._best_scores is None or scores.mean_iou >= self._best_scores.mean_iou
        if best:
            self._best_scores = scores
            self._keep()
        self._scored_step = self._step
        return Validated(self._step, self._seconds(), scores, best)

    def _score(self) -> Scores:
        before = self._seconds()
        scores = self.validation.score(self.network, self.engine)
        self._score_seconds = self._seconds() - before
        self._scoring_seconds += self._score_seconds
        return scores

    def _keep(self) -> None:
        self._best_step = self._step
        self._best = {name: tensor.detach().cpu().clone() for name, tensor in self.network.state_dict().items()}

    def _end(self, reason: Literal["completed", "cancelled"]) -> Finished:
        """Settle on the weights to keep, and say how it went."""
        if self._step and self._scored_step != self._step:
            if self.validation.empty:
                self._keep()
            else:
                self._validate()
        self.result = Finished(
            reason=reason,
            steps=self._step,
            seconds=self._seconds(),
            best_step=self._best_step,
            start=self._start,
            best=self._best_scores,
            summary=_summary(self._start, self._best_scores, self._step),
        )
        return self.result

    def _planned_steps(self) -> int | None:
        config = self.config
        if config.epochs is not None:
            area = sum(plane.target.size for plane in self.examples.planes)
            return config.epochs * max(1, round(area / (self.sampler.batch_size * self.sampler.patch_size**2)))
        return config.steps

    def _progress(self, steps: int | None, seconds: float, reserve: float) -> float:
        """The part of the budget that is used up, in [0, 1]; `reserve` is what the last step and score will take."""
        if steps is not None:
            return min(1.0, self._step / steps)
        budget = self.config.time_budget or 60.0
        return min(1.0, seconds / max(budget - reserve, 1e-3))

    def _is_due(self, progress: float) -> bool:
        """Whether to score now: at every tenth of the budget, unless scoring would take too much of the time."""
        due = int(progress * VALIDATIONS) > int(self._scored_progress * VALIDATIONS) and progress < 1
        if self.validation.empty or not due:
            return False
        return self.config.time_budget is None or self._scoring_seconds <= VALIDATION_SHARE * self._seconds()

    def _class_weights(self) -> Tensor | None:
        """Weights `(K,)` of the classes in the loss: 1 / square root of their share, mean 1 over those present."""
        import torch

        if self.config.class_weights == "none":
            return None
        counts = self.sampler.counts
        weights = np.where(counts > 0, 1 / np.sqrt(np.maximum(counts, 1)), 0.0)
        return torch.tensor(weights / weights[counts > 0].mean(), dtype=torch.float32, device=self.engine.device)


def _patch_size(examples: Examples) -> int:
    """A multiple of 32 that most images hold, at most 192."""
    sides = sorted(min(plane.target.shape) for plane in examples.planes)
    return int(np.clip(-(-sides[len(sides) // 2] // 32) * 32, 64, LARGEST_PATCH))


def _fingerprint(examples: Examples) -> str:
    """SHA-256 over the training images and their labels, to recognise the data again."""
    digest = hashlib.sha256()
    for plane in examples.planes:
        digest.update(repr((plane.values.shape, str(plane.values.dtype))).encode())
        digest.update(np.ascontiguousarray(plane.values).tobytes())
        digest.update(plane.target.tobytes())
    return digest.hexdigest()


def _summary(start: Scores | None, best: Scores | None, steps: int) -> str:
    if not steps:
        return "Nothing was learnt: training was stopped before its first step."
    if start is None or best is None:
        return "Trained; nothing was held out, so how well it segments is not known."
    change = f"mean IoU on held-out pixels {start.mean_iou:.3f} before, {best.mean_iou:.3f} after training"
    if best.mean_iou <= start.mean_iou:
        return f"No better than before: {change}."
    return f"It got better: {change}."
