"""When a network joins the pixel head before it: scores on strokes held back, and what is said about that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.examples import Examples
from ..metrics import Scores, confusion_matrix
from .comparison import Comparison, answers_on, compare
from .events import Validated
from .held_strokes import Stroke
from .record import Record
from .scoring import SegmentationScoring
from .stroke_head import Opinion, WindowMaps
from .validation import of_true_classes

__all__ = ["BehindRecord", "BehindScoring"]


@dataclass
class BehindRecord(Record):
    """Of a pixel head with a network behind it.

    Attributes
    ----------
    head, network, needed, strokes : the last comparison, as `Comparison.before`, `after`, `needed` and `strokes`; -1
        before any.
    taken : whether the network joined the head.
    """

    head: float = -1.0
    network: float = -1.0
    needed: float = 1.0
    strokes: int = 0
    taken: bool = False

    def note(self, found: Comparison) -> None:
        """Keep a comparison."""
        self.head, self.network, self.needed, self.strokes = found.before, found.after, found.needed, found.strokes
        self.taken = found.better

    def summary(self, *, kept_start: bool) -> str:
        """Which of both is the answer, and with what scores."""
        if not self.step:
            return super().summary(kept_start=kept_start)
        if self.network < 0:
            return "The pixel head is the answer; no network behind it was compared with it."
        measured = (
            f"by {self.strokes} strokes held back, both together have mean IoU {self.network:.3f} and the head alone "
            f"{self.head:.3f}, where {self.needed:.3f} more could be chance"
        )
        if self.taken:
            return f"A network joined the pixel head: {measured}."
        return f"The pixel head stays alone: {measured}."


class BehindScoring(SegmentationScoring):
    """Scores on strokes held back: weights are kept once both together are better than the head by more than chance.

    Parameters
    ----------
    examples : planes that the strokes are in.
    strokes : what is compared on.
    more : as for `SegmentationScoring`; the network is the one that may join the head.

    Attributes
    ----------
    best : weights of the network that made it better; None while the head alone is the answer.
    """

    def __init__(self, *arguments: Any, examples: Examples, strokes: Sequence[Stroke], **more: Any) -> None:
        super().__init__(*arguments, starts_known=True, **more)
        self._examples = examples
        self._strokes = strokes
        self._head: WindowMaps | None = None
        self._opinion: Opinion | None = None
        self._shares = np.ones(len(examples.classes))
        self._of_head: npt.NDArray[np.float64] | None = None
        self._head_scores: Scores | None = None

    def prepare(self) -> tuple[str, ...]:
        """See `Scoring`; strokes are few, and all are looked at."""
        if not self.validation.empty and self._record.majority is None:
            self._record.majority = self.without_learning()
        return ()

    def take_head(self, head: WindowMaps) -> None:
        """Remember how the head does that has not learnt from these strokes: what it says of the planes they are in."""
        self._head = head
        self._of_head = answers_on(self._strokes, Opinion(head), len(self._examples.classes))
        self._shares = head.shares()
        self._head_scores = self._scores(Opinion(head))

    def first(self) -> Validated | None:
        """The head's scores, once."""
        if self._head_scores is None or self._record.start is not None:
            return None
        self._record.start = self._record.best = self._head_scores
        return Validated(self._record.step, self._clock(), self._head_scores, best=True)

    def measure(self) -> Scores:
        """See `Scoring`; of network and head side by side."""
        if self._head is None:
            raise RuntimeError("take_head() comes first.")
        self._opinion = Opinion(self._head, WindowMaps(self._network, self._engine, self._examples))
        return self._scores(self._opinion)

    def score(self, progress: float = 1.0) -> Validated:
        """Score both together, and keep the network when that is better than the head alone, else the head.

        The last comparison decides, not the luckiest one.
        """
        record = self._record
        scores = self._score()
        if self._of_head is None or self._opinion is None or not isinstance(record, BehindRecord):
            raise RuntimeError("take_head() comes first.")
        answers = answers_on(self._strokes, self._opinion, len(self._examples.classes))
        found = compare(self._strokes, self._of_head, answers, self._shares)
        record.note(found)
        if found.better:
            self._keep(scores)
        else:
            self.best, record.best, record.best_step = None, self._head_scores, 1
        record.no_better = 0 if found.better else record.no_better + 1
        record.scored_step, record.scored_progress = record.step, progress
        return self.tell(scores, best=found.better)

    def last(self) -> Validated | None:
        """See `Scoring`; without strokes to compare on, the head is the answer."""
        if not self._record.step or self._record.scored_step == self._record.step or self._of_head is None:
            return None
        return self.score()

    def _scores(self, opinion: Opinion) -> Scores:
        """Scores of all pixels of the strokes."""
        classes = self._examples.classes
        total = np.zeros((len(classes), len(classes)), np.int64)
        for stroke in self._strokes:
            found = opinion.pixels(stroke.plane, stroke.rows, stroke.columns).argmax(0)
            total += confusion_matrix(np.full_like(found, stroke.index), found, values=range(len(classes)))
        return of_true_classes(Scores.from_confusion(total, classes.values, classes.names))
