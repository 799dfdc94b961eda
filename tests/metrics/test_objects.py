"""Matched objects: hand-drawn cases, and a brute-force search over all assignments."""

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from skimage import measure

from napari_fcn.errors import InputError
from napari_fcn.metrics import THRESHOLDS, match_objects, object_scores, regions_of


def brute_force(truth: np.ndarray[Any, Any], prediction: np.ndarray[Any, Any], threshold: float) -> int:
    """The largest number of pairs that any one-to-one assignment has."""
    true, predicted = (sorted(set(labels.ravel().tolist()) - {0}) for labels in (truth, prediction))
    overlap = {
        (t, p): ((truth == t) & (prediction == p)).sum() / ((truth == t) | (prediction == p)).sum()
        for t in true
        for p in predicted
    }
    few, many = (true, predicted) if len(true) <= len(predicted) else (predicted, true)
    ordered = (lambda a, b: (a, b)) if few is true else (lambda a, b: (b, a))
    return max(
        sum(overlap[ordered(a, b)] >= threshold for a, b in zip(few, chosen, strict=True))
        for chosen in permutations(many, len(few))
    )


@pytest.mark.parametrize("seed", range(12))
def test_matches_are_as_many_as_can_be(seed: int) -> None:
    random = np.random.default_rng(seed)
    truth = np.repeat(random.integers(0, 5, 12), 4)
    prediction = np.where(random.random(48) < 0.7, truth, np.repeat(random.integers(0, 6, 24), 2))
    for threshold in (0.1, 0.2, 0.3, 0.5, 0.7):
        score = object_scores(truth, prediction, [threshold])[0]
        assert score.found == brute_force(truth, prediction, threshold)
        pairs = match_objects(truth, prediction, threshold)
        assert len(pairs) == score.found
        for true, predicted, share in pairs:
            both = ((truth == true) & (prediction == predicted)).sum()
            either = ((truth == true) | (prediction == predicted)).sum()
            assert share == pytest.approx(both / either)


def test_scores_by_hand() -> None:
    truth = np.zeros((20, 40), np.int32)
    truth[2:8, 2:12] = 3  # 60 pixels, found exactly
    truth[2:8, 20:30] = 4  # 60 pixels, the left half is found: IoU 0.5
    truth[12:18, 2:12] = 9  # missed
    prediction = np.zeros_like(truth)
    prediction[2:8, 2:12] = 1
    prediction[2:8, 20:25] = 2
    prediction[12:18, 30:36] = 7  # false
    at_half, at_most = object_scores(truth, prediction, [0.5, 0.55])
    assert (at_half.found, at_half.false, at_half.missed) == (2, 1, 1)
    assert at_half.precision == at_half.recall == at_half.f1 == pytest.approx(2 / 3)
    assert at_half.average_precision == 0.5
    assert at_half.mean_iou == 0.75
    assert (at_most.found, at_most.false, at_most.missed) == (1, 2, 2)
    assert at_most.average_precision == pytest.approx(1 / 5)
    assert [score.threshold for score in object_scores(truth, truth, THRESHOLDS)][-1] == 0.95


def test_without_objects_and_without_background() -> None:
    nothing = np.zeros((4, 4), int)
    score = object_scores(nothing, nothing)[0]
    assert (score.found, score.false, score.missed) == (0, 0, 0)
    assert np.isnan(score.f1)
    assert score.to_json()["f1"] is None
    full = np.arange(16).reshape(4, 4) + 1
    assert object_scores(full, full)[0].f1 == 1
    assert object_scores(full, nothing)[0].average_precision == 0


def test_regions_are_those_of_scikit_image() -> None:
    labels = np.random.default_rng(0).integers(0, 3, (40, 40))
    expected = measure.label(labels == 2, connectivity=2)
    assert object_scores(expected, regions_of(labels, 2), [1.0])[0].false == 0
    assert regions_of(labels, 2).max() == expected.max()
    assert regions_of(labels, 2, labels < 2).max() == 0


def test_many_objects_are_quick_and_what_is_wrong_is_said() -> None:
    truth = np.kron(np.arange(1, 10001).reshape(100, 100), np.ones((4, 4), int))
    assert object_scores(truth, np.roll(truth, 1, 1), THRESHOLDS)[0].found == 9900 + 100
    with pytest.raises(InputError, match="same shape"):
        object_scores(truth, truth[1:])
    with pytest.raises(InputError, match="whole numbers"):
        object_scores(truth, truth * 1.0)
    with pytest.raises(InputError, match="greater than 0"):
        object_scores(truth, truth, [0])
