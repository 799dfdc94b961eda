"""Holding strokes back, and comparing on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_fcn.training.comparison import compare, estimated_iou, too_few
from napari_fcn.training.held_strokes import HeldBack, Stroke, hold_back, strokes_of


def painted(seed: int, classes: int = 3, planes: int = 2) -> list[np.ndarray[Any, Any]]:
    """Straight strokes of three pixels' width that do not touch each other, as many of each class."""
    random = np.random.default_rng(seed)
    targets = [np.full((96, 120), -1, np.int16) for _ in range(planes)]
    for target in targets:
        for row in range(2, 92, 8):
            index, length = row // 8 % classes, int(random.integers(5, 60))
            target[row : row + 3, 4 : 4 + length] = index
    return targets


def back(seed: int, fraction: float = 0.2) -> tuple[list[np.ndarray[Any, Any]], HeldBack]:
    targets = painted(seed)
    return targets, hold_back(targets, 3, fraction, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(8))
def test_what_is_held_back_are_whole_strokes_and_nothing_else_is_lost(seed: int) -> None:
    targets, found = back(seed)
    for target, learnt, held in zip(targets, found.learnt, found.held, strict=True):
        assert not ((learnt >= 0) & (held >= 0)).any()
        np.testing.assert_array_equal(np.maximum(learnt, held), target)
        for index in range(3):
            numbered, count = ndimage.label(target == index, np.ones((3, 3)))
            for number in range(1, count + 1):
                part = (held >= 0)[numbered == number]
                assert part.all() or not part.any()


@pytest.mark.parametrize("seed", range(8))
def test_every_class_keeps_strokes_to_learn_from_and_has_some_to_be_compared_on(seed: int) -> None:
    targets, found = back(seed, fraction=0.9)
    assert too_few(found.strokes, 3) == []
    for index in range(3):
        everything = sum(int((target == index).sum()) for target in targets)
        kept = sum(int((target == index).sum()) for target in found.learnt)
        assert everything / 2 <= kept < everything


def test_more_is_held_back_when_more_is_asked_for() -> None:
    counts = [sum(len(stroke) for stroke in back(0, fraction)[1].strokes) for fraction in (0.01, 0.3, 0.5)]
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize("count", [1, 4])
def test_of_a_class_with_few_strokes_nothing_is_held_back(count: int) -> None:
    target = np.full((40, 40), -1, np.int16)
    target[:20:2, 5:20] = 0
    target[21 : 21 + 2 * count : 2, 5:30] = 1
    found = hold_back([target], 2, 0.2, np.random.default_rng(0))
    assert (found.learnt[0] == 1).sum() == 25 * count
    assert too_few(found.strokes, 2) == [1]


def test_an_area_is_held_back_in_blocks() -> None:
    target = np.zeros((300, 300), np.int16)
    found = hold_back([target], 1, 0.15, np.random.default_rng(0))
    assert 0.15 * target.size <= (found.held[0] == 0).sum() <= 0.5 * target.size
    assert all(np.ptp(stroke.rows) < 96 and np.ptp(stroke.columns) < 96 for stroke in found.strokes)


def test_strokes_are_what_touches_also_by_a_corner() -> None:
    target = np.full((4, 8), -1, np.int16)
    target[0, 0] = target[1, 1] = 0
    target[0, 6] = 0
    target[3, 3:5] = 1
    assert sorted((stroke.index, len(stroke)) for stroke in strokes_of([target], 2)) == [(0, 1), (0, 2), (1, 2)]


EVEN = np.array([0.5, 0.5])


def _strokes(*indices: int) -> list[Stroke]:
    return [Stroke(0, index, np.array([0]), np.array([0])) for index in indices]


def _answers(*right: float) -> np.ndarray[Any, Any]:
    """Two strokes of class 0 and two of class 1, of which these parts are right."""
    return np.array(
        [[right[0], 1 - right[0]], [right[1], 1 - right[1]], [1 - right[2], right[2]], [1 - right[3], right[3]]]
    )


def test_mean_iou_is_that_of_the_confusion_matrix_on_images() -> None:
    from napari_fcn.metrics import Scores

    answers, shares = _answers(0.9, 0.7, 1.0, 0.4), np.array([0.75, 0.25])
    pixels = np.array([[0.8 * 750, 0.2 * 750], [0.3 * 250, 0.7 * 250]]).round().astype(np.int64)
    expected = Scores.from_confusion(pixels, (1, 2), {}).mean_iou
    assert estimated_iou(np.array([0, 0, 1, 1]), answers, shares) == pytest.approx(expected)


def test_what_is_taken_for_a_rare_class_weighs_more_than_on_strokes() -> None:
    """More of the strokes are right, in the mean over classes, and yet the images would be segmented worse."""
    strokes = _strokes(0, 0, 1, 1)
    before, after = _answers(0.99, 0.99, 0.8, 0.8), _answers(0.9, 0.9, 1.0, 1.0)
    assert compare(strokes, before, after, EVEN).better
    assert not compare(strokes, before, after, np.array([0.98, 0.02])).better


def test_a_difference_within_chance_is_none() -> None:
    strokes, before = _strokes(0, 0, 1, 1), _answers(0.5, 0.5, 0.5, 0.5)
    assert not compare(strokes, before, _answers(0.9, 0.3, 0.9, 0.3), EVEN).better
    assert compare(strokes, before, _answers(0.9, 0.85, 0.9, 0.85), EVEN).better
    assert not compare(strokes, before, _answers(0.505, 0.505, 0.505, 0.505), EVEN).better
    assert compare(strokes, before, before, EVEN).needed == 0.01


def test_what_is_needed_is_what_a_linear_score_would_need() -> None:
    """Of small differences mean IoU is linear, and the jackknife is the usual error of a stratified mean."""
    strokes = _strokes(0, 0, 0, 1, 1, 1)
    random = np.random.default_rng(0)
    right = 0.8 + 0.2 * random.random((2, 6))
    answers = [
        np.where(np.arange(2) == np.array([0, 0, 0, 1, 1, 1])[:, None], one[:, None], 1 - one[:, None]) for one in right
    ]
    found = compare(strokes, answers[0], answers[1], EVEN)
    difference = (right[1] - right[0]).reshape(2, 3)
    error = float(np.sqrt((difference.var(1, ddof=1) / 3).sum()) / 2)
    # IoU of accuracy a in both classes is a / (2 - a); about 0.9 it grows by 2 / 1.1^2. 2.132 is t for 4 degrees.
    assert found.needed == pytest.approx(2.132 * error * 2 / 1.1**2, rel=0.25)
