"""Training the pixel head: not step by step, but fitted at once on the painted pixels."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from ..config import DataConfig, ModelConfig, TrainingConfig
from ..data.examples import Examples
from ..errors import InputError
from ..metrics import Scores, confusion_matrix
from ..registry import architectures
from .events import Event, Noted, Step
from .fit import Training
from .pixel_fit import FeatureStore, Pixels, choose_pixels, fit, look_at, together
from .scoring import SegmentationScoring
from .validation import of_true_classes

if TYPE_CHECKING:
    from ..models.pixel_network import PixelNetwork, PixelWeights

__all__ = ["PixelTraining", "is_fitted"]

OWN = ("transfer", "init", "validation", "seed", "device", "feature_memory", "time_budget", "steps", "epochs")
"""Settings that a pixel head has, or that only bound what it may take."""
TELL = 2.0
"""Seconds between two words about how far looking at the images has come."""


def is_fitted(model: ModelConfig, config: TrainingConfig) -> bool:
    """Whether these settings mean a network that is fitted at once instead of trained step by step."""
    return config.transfer == "head" and bool(architectures[model.architecture].details.get("fitted"))


class PixelTraining(Training):
    """Fits a pixel head, scores it on held-out pixels, and then fits it on all that is painted.

    It takes as long as it takes, a second or two for an image of 1024 x 1024 pixels, whatever `time_budget` and
    `steps` say. The scores are those of the first fit, which has not seen the held-out pixels; the second one, which
    is kept, has seen more.

    Raises
    ------
    InputError
        As for `Training`, and for settings of learning step by step, which would do nothing here.
    """

    def __init__(
        self, examples: Examples, model: ModelConfig, data: DataConfig, config: TrainingConfig, **more: Any
    ) -> None:
        usual = TrainingConfig()
        idle = [
            e.name for e in fields(config) if e.name not in OWN and getattr(config, e.name) != getattr(usual, e.name)
        ]
        if idle:
            raise InputError(
                f"A pixel head is fitted at once, and has no {' and no '.join(f'`{name}`' for name in idle)}; leave "
                f"out what belongs to learning step by step, or use transfer 'finetune' or 'frozen'."
            )
        super().__init__(examples, model, data, config, **more)

    def _classes_scoring(self) -> SegmentationScoring:
        before = super()._classes_scoring()
        scoring = _PixelScoring(
            self.validation,
            self.network,
            self.engine,
            self.record,
            self._clock(),
            time_budget=None,
            starts_known=self._starts_known,
        )
        scoring.most_common = before.most_common
        scoring.names = self.examples.classes.values, self.examples.classes.names
        return scoring

    def _run(self) -> Generator[Event, None, Literal["completed", "early"]]:
        self.notes += self._scoring.prepare()
        yield self._saving.write(self._started(2))
        if self.record.step:  # goes on with what was fitted already
            return "completed"
        self.network.eval()
        learnt, held_out = yield from self._look()
        scoring = cast(_PixelScoring, self._scoring)
        if held_out is not None:
            scoring.pixels = held_out
            if first := scoring.first():
                yield self._saving.write(first)
        yield self._fit(learnt, 1)
        if held_out is not None:
            scored = scoring.score(0.5)
            yield self._saving.write(scored)
            if not scored.best:
                return "completed"  # what it started from was better, and stays
            learnt = together([learnt, held_out])
            yield self._fit(learnt, 2)
            scoring.keep_refitted()
        self._saving.keep(self.product)
        self._save()
        return "completed"

    def _look(self) -> Generator[Event, None, tuple[Pixels, Pixels | None]]:
        """Features of the painted pixels that are learnt from, and of those that are held out, if any."""
        random = np.random.default_rng(self.config.seed)
        classes = len(self.examples.classes)
        learnt = choose_pixels(self.sampler.targets, classes, random)
        held = choose_pixels(self.held_out, classes, random)
        if self.held_out_of is self.examples:  # looked at once, held-out pixels marked as further classes
            pairs = zip(learnt, held, strict=True)
            marked = [np.where(other >= 0, other + np.int16(classes), own) for own, other in pairs]
            found, held_out = _divided((yield from self._features(self.examples, marked)), classes)
        else:
            found = yield from self._features(self.examples, learnt)
            held_out = yield from self._features(self.held_out_of, held)
        if found is None:
            raise InputError("Nothing is left to learn from; paint more, or set `validation` to 0.")
        return found, held_out

    def _features(
        self, examples: Examples, targets: Sequence[npt.NDArray[np.int16]]
    ) -> Generator[Event, None, Pixels | None]:
        """Features of the pixels that have a class, if any; says now and then how far it has come."""
        total, seen, told = sum(int((target >= 0).sum()) for target in targets), 0, time.perf_counter()
        found: list[Pixels] = []
        for pixels in look_at(cast("PixelNetwork", self.network), self.engine, examples, targets, FeatureStore()):
            found.append(pixels)
            seen += len(pixels[1])
            if time.perf_counter() - told > TELL:
                told = time.perf_counter()
                yield Noted(self._seconds(), f"Looked at {seen:,} of {total:,} painted pixels.")
        return together(found) if found else None

    def _fit(self, pixels: Pixels, step: int) -> Event:
        """Fit on these pixels and become it."""
        from torch.nn import functional

        network = cast("PixelNetwork", self.network)
        features, indices = pixels
        known = network.filter_bank.out_channels * network.decoder.filters
        fitted = fit(features, indices, known, len(self.examples.classes), network.decoder.hidden, self.config.seed)
        network.take(fitted)
        cast(_PixelScoring, self._scoring).fitted = fitted
        self.record.step = step
        loss = float(functional.cross_entropy(fitted.logits(features), indices))
        return self._saving.write(Step(step, loss, 0.0, self._seconds(), step / 2))


def _divided(pixels: Pixels | None, classes: int) -> tuple[Pixels | None, Pixels | None]:
    """Pixels of the classes, and those that are marked as further ones; None for none."""
    if pixels is None:
        return None, None
    features, indices = pixels
    first, further = indices < classes, indices >= classes
    return (
        (features[first], indices[first]) if first.any() else None,
        (features[further], indices[further] - classes) if further.any() else None,
    )


class _PixelScoring(SegmentationScoring):
    """Scores on the features of held-out pixels, without computing any window again.

    Attributes
    ----------
    pixels : those.
    fitted : what is judged; None before anything is fitted.
    names : values and names of the classes.
    """

    pixels: Pixels | None = None
    fitted: PixelWeights | None = None
    names: tuple[Any, Any]

    def prepare(self) -> tuple[str, ...]:
        """See `Scoring`; nothing has to be limited."""
        if not self.validation.empty and self._record.majority is None:
            self._record.majority = self.without_learning()
        return ()

    def measure(self) -> Scores:
        """See `Scoring`; a head that was fitted to nothing is as good as the most common class."""
        if self.fitted is None and not self._starts_known and self._record.majority is not None:
            return self._record.majority
        if self.pixels is None or self.fitted is None:
            return super().measure()
        features, truth = self.pixels
        found = self.fitted.logits(features).argmax(1)
        values, names = self.names
        matrix = confusion_matrix(truth.cpu().numpy(), found.cpu().numpy(), values=range(len(values)))
        return of_true_classes(Scores.from_confusion(matrix, values, names))

    def keep_refitted(self) -> None:
        """Keep the weights as they are now, with the scores of those before."""
        self._keep(self._record.best)
        self._record.scored_step = self._record.step
