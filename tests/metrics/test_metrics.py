"""Scores agree with scikit-learn, pool over pieces, and leave out what nobody judged."""

from __future__ import annotations

import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from sklearn import metrics as oracle

from napari_fcn.errors import InputError
from napari_fcn.metrics import Scores, confusion_matrix, dice, iou, mean, pixel_accuracy, precision, recall, score_pairs

pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning:sklearn")  # about classes that are in one side only

VALUES = (-3, 0, 1, 7, 255, 70_000)
labels = npst.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.sampled_from(VALUES))


@st.composite
def truth_and_prediction(draw):
    truth = draw(labels)
    return truth, draw(npst.arrays(np.int64, truth.shape, elements=st.sampled_from(VALUES)))


@settings(max_examples=50)
@given(truth_and_prediction())
def test_confusion_matrix_is_that_of_scikit_learn(pair):
    truth, prediction = pair
    expected = oracle.confusion_matrix(truth.ravel(), prediction.ravel(), labels=list(VALUES))
    np.testing.assert_array_equal(confusion_matrix(truth, prediction, VALUES), expected)


@settings(max_examples=50)
@given(truth_and_prediction())
def test_every_score_is_that_of_scikit_learn(pair):
    truth, prediction = (each.ravel() for each in pair)
    matrix = confusion_matrix(truth, prediction, VALUES)
    present = np.isin(VALUES, np.concatenate([truth, prediction]))
    how = {"labels": list(VALUES), "average": None, "zero_division": 0}
    for ours, theirs in (
        (iou, oracle.jaccard_score),
        (dice, oracle.f1_score),
        (precision, oracle.precision_score),
        (recall, oracle.recall_score),
    ):
        expected = np.where(present, theirs(truth, prediction, **how), np.nan)
        np.testing.assert_allclose(ours(matrix), expected)
        assert mean(ours(matrix)) == pytest.approx(np.nanmean(expected))
    assert pixel_accuracy(matrix) == pytest.approx(oracle.accuracy_score(truth, prediction))


@settings(max_examples=50)
@given(st.lists(truth_and_prediction(), min_size=1, max_size=4), st.sampled_from(["background", "unlabelled"]))
def test_scores_are_pooled_over_all_judged_pixels(pairs, zero):
    truth, prediction = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    counted = (truth != 255) & (prediction != 255) & ((zero == "background") | (truth != 0))
    truth, prediction = truth[counted], prediction[counted]
    swapped = [(prediction, truth) for truth, prediction in pairs]
    if not counted.any():
        with pytest.raises(InputError, match="no pixel"):
            score_pairs(swapped, zero=zero, ignore=[255])
        return
    scores = score_pairs(swapped, zero=zero, ignore=[255])
    classes = sorted(set(truth) | set(prediction))
    assert list(scores.values) == classes
    np.testing.assert_array_equal(scores.confusion, oracle.confusion_matrix(truth, prediction, labels=classes))
    expected = oracle.jaccard_score(truth, prediction, labels=classes, average="macro", zero_division=0)
    assert scores.mean_iou == pytest.approx(expected)
    assert [row.pixels for row in scores.classes] == [int((truth == value).sum()) for value in classes]


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int8, np.uint16, np.int16, np.int32, np.uint32, np.int64, np.uint64]
)
def test_any_integer_type_can_be_compared(dtype):
    truth, prediction = np.array([[0, 1, 1, 0]], dtype=dtype), np.array([[0, 1, 0, 0]], dtype=dtype)
    assert score_pairs([(prediction, truth)]).confusion == ((2, 0), (1, 1))


def test_smallest_and_largest_values_are_kept_apart():
    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    scores = score_pairs([(np.array([low, high]), np.array([low, low]))])
    assert scores.values == (low, high)
    assert scores.confusion == ((1, 1), (0, 0))


def test_class_that_is_nowhere_is_null_and_left_out_of_means():
    truth, prediction = np.array([[1, 1, 2, 2]]), np.array([[1, 1, 2, 1]])
    scores = score_pairs([(prediction, truth)], names={1: "cell", 2: "gap", 3: "never"})
    document = json.loads(json.dumps(scores.to_json(), allow_nan=False))
    absent = {"value": 3, "name": "never", "iou": None, "dice": None, "precision": None, "recall": None, "pixels": 0}
    assert document["classes"][2] == absent
    assert document["mean_iou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert document["pixel_accuracy"] == 0.75
    assert document["confusion"] == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]


def test_class_that_was_only_predicted_counts_as_wrong():
    scores = score_pairs([(np.array([[1, 2]]), np.array([[1, 1]]))])
    assert [row.iou for row in scores.classes] == [0.5, 0.0]
    assert [row.precision for row in scores.classes] == [1.0, 0.0]
    assert scores.mean_iou == 0.25


def test_table_shows_every_class():
    text = str(score_pairs([(np.array([[1, 2]]), np.array([[1, 1]]))], names={1: "mitochondria", 5: "never"}))
    assert "mitochondria" in text
    assert "nan" not in text
    assert len({len(line) for line in text.splitlines()[:4]}) == 1


@pytest.mark.parametrize(
    ("prediction", "truth", "message"),
    [
        (np.zeros((2, 3), int), np.zeros((3, 2), int), "same shape"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "whole numbers"),
        (np.zeros((2, 2), int), np.zeros((2, 2)), "whole numbers"),
        (np.arange(2000), np.arange(2000), "numbered objects"),
        (np.array([2**63], np.uint64), np.array([0], np.uint64), "less than"),
    ],
)
def test_what_cannot_be_compared_is_said(prediction, truth, message):
    with pytest.raises(InputError, match=message):
        score_pairs([(prediction, truth)])


def test_no_pairs_and_all_ignored_are_nothing_to_compare():
    for pairs in ([], [(np.ones((2, 2), int), np.ones((2, 2), int))]):
        with pytest.raises(InputError, match="no pixel"):
            score_pairs(pairs, ignore=[1])
    with pytest.raises(InputError, match="unlabelled"):
        score_pairs([(np.ones((2, 2), int), np.zeros((2, 2), int))], zero="unlabelled")
    with pytest.raises(InputError, match="`zero`"):
        score_pairs([], zero="nothing")


def test_scores_of_an_empty_matrix_are_undefined():
    scores = Scores.from_confusion(np.zeros((2, 2), np.int64), [0, 1])
    assert math.isnan(scores.mean_iou)
    assert scores.to_json()["mean_iou"] is None


def test_a_large_image_takes_no_loop_over_pixels():
    random = np.random.default_rng(0)
    truth, prediction = (random.integers(0, 6, (3000, 3000), dtype=np.uint8) for _ in range(2))
    started = time.process_time()
    score_pairs([(prediction, truth)])
    assert time.process_time() - started < 3  # 0.1 s on one core; a loop takes half a minute
