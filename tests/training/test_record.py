"""What is remembered of a training, and the honest sentence about it."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from napari_fcn.metrics import Scores
from napari_fcn.training import Finished, Started, Step, Validated
from napari_fcn.training.record import Record


def scores(right: int, wrong: int = 10) -> Scores:
    return Scores.from_confusion(np.array([[right, wrong], [wrong, right]]), (0, 1), {0: "background"})


def test_a_record_survives_json() -> None:
    absent = Scores.from_confusion(np.array([[5, 0], [0, 0]]), (0, 7))
    record = Record(4, step=7, seconds=1.5, start=scores(3), majority=absent, best=scores(9), no_better=2)
    again = Record.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False)))
    assert again.to_json() == record.to_json()
    assert np.isnan(again.majority.classes[1].iou)
    assert again.best == record.best


@pytest.mark.parametrize(
    ("record", "kept", "sentence"),
    [
        (Record(4), False, "Nothing was learnt"),
        (Record(4, step=3), False, "how well it segments is not known"),
        (Record(4, step=3, start=scores(5), best=scores(90), best_step=3), False, "It got better: mean IoU"),
        (Record(4, step=3, start=scores(90), best=scores(5), best_step=3), False, "No better than before"),
        (Record(4, step=3, start=scores(9), best=scores(9)), True, "the segmenter that it started from is kept."),
        (
            Record(4, step=3, start=scores(1), best=scores(5), majority=scores(8), best_step=2),
            False,
            "No better than calling everything 'background', which has mean IoU",
        ),
    ],
)
def test_the_sentence_is_honest(record: Record, kept: bool, sentence: str) -> None:
    assert sentence in record.summary(kept_start=kept)


def test_the_most_common_class_is_what_must_be_beaten(prepared) -> None:
    """Calling every held-out pixel the most common class: its IoU is its share, the other's is 0."""
    training = prepared()
    events = list(training.run())
    started = events[0]
    assert isinstance(started, Started)
    counts = [row.pixels for row in started.majority.classes]
    assert counts[0] > counts[1] > 0
    assert started.majority.classes[0].iou == pytest.approx(counts[0] / sum(counts))
    assert started.majority.classes[1].iou == 0
    assert started.majority.mean_iou == pytest.approx(counts[0] / sum(counts) / 2)
    assert isinstance(events[-1], Finished)
    assert events[-1].majority == started.majority
    assert training.segmenter().history["majority_scores"] == started.majority.to_json()


def test_a_segmenter_that_was_better_stays(prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepared(steps=2)
    list(first.run())
    before = first.segmenter()
    training = prepared(init=before, steps=3)
    real, calls = training.validation.score, iter([0.9] + [0.2] * 20)
    monkeypatch.setattr(
        training.validation, "score", lambda n, e: dataclasses.replace(real(n, e), mean_iou=next(calls))
    )
    events = list(training.run())
    assert [event.best for event in events if isinstance(event, Validated)] == [True, False, False, False]
    assert "the segmenter that it started from is kept" in training.result.summary
    assert training.result.best_step == 0
    kept = training.segmenter().network.state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in before.network.state_dict().items())


def test_training_ends_early_when_nothing_gets_better(prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    training = prepared(steps=100, patience=2)
    real, calls = training.validation.score, iter([0.1, 0.5, 0.6] + [0.4] * 20)
    monkeypatch.setattr(
        training.validation, "score", lambda n, e: dataclasses.replace(real(n, e), mean_iou=next(calls))
    )
    events = list(training.run())
    assert events[-1].reason == "early"
    assert events[-1].steps == 40
    assert events[-1].best_step == 20
    assert max(event.progress for event in events if isinstance(event, Step)) < 0.5
