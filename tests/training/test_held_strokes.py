"""Holding strokes back, and comparing on them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_fcn.training.comparison import compare, enough
from napari_fcn.training.held_strokes import GAP, HeldBack, Stroke, hold_back, strokes_of


def painted(seed: int, classes: int = 3, planes: int = 2) -> list[np.ndarray[Any, Any]]:
    """Straight strokes of three pixels' width that do not touch each other, some classes with more than others."""
    random = np.random.default_rng(seed)
    targets = [np.full((96, 120), -1, np.int16) for _ in range(planes)]
    for target in targets:
        for row in range(2, 92, 8):
            index, length = int(random.integers(classes)), int(random.integers(5, 100))
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
    assert not found.missing
    assert not found.divided
    for index in range(3):
        everything = sum(int((target == index).sum()) for target in targets)
        kept = sum(int((target == index).sum()) for target in found.learnt)
        assert everything / 2 <= kept < everything
        assert any(stroke.index == index for stroke in found.strokes)


def test_more_is_held_back_when_more_is_asked_for() -> None:
    counts = [sum(len(stroke) for stroke in back(0, fraction)[1].strokes) for fraction in (0.01, 0.3, 0.5)]
    assert counts[0] < counts[1] < counts[2]


def test_of_a_single_stroke_an_end_is_held_back_with_a_gap_before_it() -> None:
    target = np.full((20, 120), -1, np.int16)
    target[4:7, 10:100] = 0
    target[12:15, 5:15] = target[12:15, 30:40] = target[12:15, 50:60] = 1
    found = hold_back([target], 2, 0.2, np.random.default_rng(0))
    assert found.divided == (0,)
    assert not found.missing
    learnt, held = (np.flatnonzero((part[0] == 0).any(0)) for part in (found.learnt, found.held))
    assert len(held) == pytest.approx(30, abs=2)
    between = np.abs(held[:, None] - learnt).min()
    assert between >= GAP


def test_too_little_paint_is_not_divided() -> None:
    target = np.full((20, 40), -1, np.int16)
    target[4:6, 4:6] = 0
    target[12:15, 2:12] = target[12:15, 14:24] = target[12:15, 26:36] = 1
    found = hold_back([target], 2, 0.2, np.random.default_rng(0))
    assert found.missing == (0,)
    assert (found.learnt[0] == 0).sum() == 4
    assert not (found.held[0] == 0).any()


def test_strokes_are_what_touches_also_by_a_corner() -> None:
    target = np.full((4, 8), -1, np.int16)
    target[0, 0] = target[1, 1] = 0
    target[0, 6] = 0
    target[3, 3:5] = 1
    assert sorted((stroke.index, len(stroke)) for stroke in strokes_of([target], 2)) == [(0, 1), (0, 2), (1, 2)]


def _strokes(*indices: int) -> list[Stroke]:
    return [Stroke(0, index, np.array([0]), np.array([0])) for index in indices]


def test_classes_are_alike_however_many_strokes_they_have() -> None:
    found = compare(_strokes(0, 0, 0, 1), np.array([1.0, 1.0, 1.0, 0.0]), np.array([1.0, 1.0, 1.0, 0.5]))
    assert (found.before, found.after) == (0.5, 0.75)


def test_a_difference_within_chance_is_none() -> None:
    strokes = _strokes(0, 0, 1, 1)
    before = np.array([0.5, 0.5, 0.5, 0.5])
    assert not compare(strokes, before, before + np.array([0.3, -0.2, 0.3, -0.2])).better
    assert compare(strokes, before, before + np.array([0.3, 0.2, 0.3, 0.2])).better
    assert not compare(strokes, before, before + 0.005).better
    # By hand: deviations from the class's mean of 0.05, four of them for 2 degrees of freedom; t is 2.92.
    found = compare(strokes, before, before + np.array([0.3, 0.2, 0.3, 0.2]))
    assert found.needed == pytest.approx(2.92 * (4 * 0.05**2 / 2 * (1 / 2 + 1 / 2)) ** 0.5 / 2, rel=1e-3)


def test_it_is_the_test_of_the_mean_for_one_class() -> None:
    from scipy import stats

    random = np.random.default_rng(0)
    before, after = random.random(9), random.random(9)
    found = compare(_strokes(*[0] * 9), before, after)
    expected = stats.ttest_rel(after, before).confidence_interval(0.9)
    assert found.after - found.before - found.needed == pytest.approx(expected.low)


def test_one_stroke_of_each_class_tells_nothing() -> None:
    strokes = _strokes(0, 1, 2)
    assert not enough(strokes)
    assert not compare(strokes, np.zeros(3), np.ones(3)).better
    assert enough(_strokes(0, 1, 2, 2))
