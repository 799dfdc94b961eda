"""How well the network does on held-out pixels: when it is scored, and which weights were the best so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, TypeVar

from ..inference.engine import Engine
from ..metrics import Scores
from .events import Measured, Validated
from .record import Course
from .validation import Validation

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.base import Network

__all__ = ["Scoring", "SegmentationScoring"]

S = TypeVar("S")

VALIDATIONS = 10
"""How often the network is scored, at most."""
SHARE = 0.1
"""Part of a time budget that scoring may take, besides the first and the last score."""
SCORE_SHARE = 0.04
"""Part of a time budget that one score may take."""


class Scoring(Generic[S]):
    """Scores a network now and then, and keeps the best weights; what a score is, its children say.

    Parameters
    ----------
    validation, network, engine : what is scored, on what, and where.
    record : where scores are noted.
    clock : seconds of training so far.
    time_budget : of the training; None when steps are the limit.
    starts_known : the network was a segmenter before training, which is kept unless something better is learnt.

    Attributes
    ----------
    best : the best weights so far, on the CPU; None before there are any.
    """

    def __init__(
        self,
        validation: Validation,
        network: Network,
        engine: Engine,
        record: Course[S],
        clock: Callable[[], float],
        *,
        time_budget: float | None,
        starts_known: bool,
    ) -> None:
        self.validation = validation
        self.best: dict[str, Tensor] | None = None
        self._network = network
        self._engine = engine
        self._record = record
        self._clock = clock
        self._time_budget = time_budget
        self._starts_known = starts_known

    def measure(self) -> S:
        """How well the present weights do."""
        raise NotImplementedError

    def without_learning(self) -> S:
        """How well one does without having learnt anything."""
        raise NotImplementedError

    def quality(self, found: S) -> float:
        """A result as one number, more when it is better."""
        raise NotImplementedError

    def tell(self, found: S, *, best: bool) -> Validated | Measured:
        """The event for a result of the present weights."""
        raise NotImplementedError

    def prepare(self) -> tuple[str, ...]:
        """Limit what is scored to what there is time for, and score what one knows without learning."""
        if self.validation.empty:
            return ()
        sentence = None
        if self._time_budget is not None:
            sentence = self.validation.limit(self._network, self._engine, SCORE_SHARE * self._time_budget)
        if self._record.majority is None:
            self._record.majority = self.without_learning()
        return (sentence,) if sentence else ()

    def first(self) -> Validated | Measured | None:
        """Score the starting network, unless that was done or cannot be."""
        if self.validation.empty or self._record.start is not None:
            return None
        self._record.start = self._score()
        if self._starts_known:
            self._keep(self._record.start)
        return self.tell(self._record.start, best=self._starts_known)

    def is_due(self, progress: float) -> bool:
        """Whether to score now: at every tenth of the budget, unless scoring would take too much of the time."""
        due = int(progress * VALIDATIONS) > int(self._record.scored_progress * VALIDATIONS) and progress < 1
        if self.validation.empty or not due:
            return False
        return self._time_budget is None or self._record.scoring_seconds <= SHARE * self._clock()

    def score(self, progress: float = 1.0) -> Validated | Measured:
        """Score the present weights, and keep them when they are the best so far."""
        record = self._record
        scores, before = self._score(), record.best
        better = before is None or self.quality(scores) > self.quality(before)
        as_good = before is not None and self.quality(scores) == self.quality(before)
        best = better or (as_good and not (self._starts_known and not record.best_step))
        if best:
            self._keep(scores)
        record.no_better = 0 if better else record.no_better + 1
        record.scored_step, record.scored_progress = record.step, progress
        return self.tell(scores, best=best)

    def last(self) -> Validated | Measured | None:
        """Score the last weights, or keep them unseen where nothing was held out; None when that is done already."""
        if not self._record.step or self._record.scored_step == self._record.step:
            return None
        if self.validation.empty:
            self.before_keeping()
            self._keep(None)
            return None
        return self.score()

    def before_keeping(self) -> None:
        """What has to be done before weights are kept that nobody measured."""

    def _score(self) -> S:
        before = self._clock()
        scores = self.measure()
        self._record.score_seconds = self._clock() - before
        self._record.scoring_seconds += self._record.score_seconds
        return scores

    def _keep(self, scores: S | None) -> None:
        self._record.best, self._record.best_step = scores, self._record.step
        self.best = {name: tensor.detach().cpu().clone() for name, tensor in self._network.state_dict().items()}


class SegmentationScoring(Scoring[Scores]):
    """Scores of the classes on held-out pixels; the highest mean IoU is the best.

    Attributes
    ----------
    most_common : index of the class that most of the training pixels have.
    """

    most_common = 0

    def measure(self) -> Scores:
        """See `Scoring`."""
        return self.validation.score(self._network, self._engine)

    def without_learning(self) -> Scores:
        """Scores of calling everything the most common class."""
        return self.validation.majority(self.most_common)

    def quality(self, found: Scores) -> float:
        """See `Scoring`."""
        return found.mean_iou

    def tell(self, found: Scores, *, best: bool) -> Validated:
        """See `Scoring`."""
        return Validated(self._record.step, self._clock(), found, best)
