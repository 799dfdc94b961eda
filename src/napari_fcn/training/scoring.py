"""How well the network does on held-out pixels: when it is scored, and which weights were the best so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..inference.engine import Engine
from ..metrics import Scores
from .events import Validated
from .record import Record
from .validation import Validation

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.base import Network

__all__ = ["Scoring"]

VALIDATIONS = 10
"""How often the network is scored, at most."""
SHARE = 0.1
"""Part of a time budget that scoring may take, besides the first and the last score."""
SCORE_SHARE = 0.04
"""Part of a time budget that one score may take."""


class Scoring:
    """Scores a network now and then, and keeps the best weights.

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
        record: Record,
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

    def prepare(self, most_common: int) -> tuple[str, ...]:
        """Limit what is scored to what there is time for, and score calling everything the class of this index."""
        if self.validation.empty:
            return ()
        sentence = None
        if self._time_budget is not None:
            sentence = self.validation.limit(self._network, self._engine, SCORE_SHARE * self._time_budget)
        if self._record.majority is None:
            self._record.majority = self.validation.majority(most_common)
        return (sentence,) if sentence else ()

    def first(self) -> Validated | None:
        """Score the starting network, unless that was done or cannot be."""
        if self.validation.empty or self._record.start is not None:
            return None
        self._record.start = self._score()
        if self._starts_known:
            self._keep(self._record.start)
        return Validated(0, self._clock(), self._record.start, best=self._starts_known)

    def is_due(self, progress: float) -> bool:
        """Whether to score now: at every tenth of the budget, unless scoring would take too much of the time."""
        due = int(progress * VALIDATIONS) > int(self._record.scored_progress * VALIDATIONS) and progress < 1
        if self.validation.empty or not due:
            return False
        return self._time_budget is None or self._record.scoring_seconds <= SHARE * self._clock()

    def score(self, progress: float = 1.0) -> Validated:
        """Score the present weights, and keep them when they are the best so far."""
        record = self._record
        scores, before = self._score(), record.best
        better = before is None or scores.mean_iou > before.mean_iou
        as_good = before is not None and scores.mean_iou == before.mean_iou
        best = better or (as_good and not (self._starts_known and not record.best_step))
        if best:
            self._keep(scores)
        record.no_better = 0 if better else record.no_better + 1
        record.scored_step, record.scored_progress = record.step, progress
        return Validated(record.step, self._clock(), scores, best)

    def last(self) -> Validated | None:
        """Score the last weights, or keep them unseen where nothing was held out; None when that is done already."""
        if not self._record.step or self._record.scored_step == self._record.step:
            return None
        if self.validation.empty:
            self._keep(None)
            return None
        return self.score()

    def _score(self) -> Scores:
        before = self._clock()
        scores = self.validation.score(self._network, self._engine)
        self._record.score_seconds = self._clock() - before
        self._record.scoring_seconds += self._record.score_seconds
        return scores

    def _keep(self, scores: Scores | None) -> None:
        self._record.best, self._record.best_step = scores, self._record.step
        self.best = {name: tensor.detach().cpu().clone() for name, tensor in self._network.state_dict().items()}
