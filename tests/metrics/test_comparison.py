"""Pixels, objects and boundaries together, against the single measures."""

import csv
import io
from typing import Any

import numpy as np
import pytest

from napari_fcn.errors import InputError
from napari_fcn.metrics import Comparison, boundary_scores, compare, object_scores, regions_of, score_pairs


def run(prediction: Any, truth: Any, **options: Any) -> Comparison:
    steps = compare(np.asarray(prediction), np.asarray(truth), **options)
    fractions = []
    while True:
        try:
            fractions.append(next(steps))
        except StopIteration as end:
            assert fractions == sorted(fractions)
            return end.value


def squares() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    truth = np.zeros((40, 50), np.uint8)
    truth[4:14, 4:14] = truth[4:14, 24:34] = 1
    truth[24:34, 4:14] = 2
    prediction = np.roll(truth, 1, 1)
    prediction[4:16, 20:40] = 0
    return prediction, truth


def test_it_says_what_each_measure_says() -> None:
    prediction, truth = squares()
    result = run(prediction, truth, names={1: "cell", 2: "rock", 9: "nowhere"}, spacing=(0.5, 0.5), unit="µm")
    assert result.scores.mean_iou == score_pairs([(prediction, truth)]).mean_iou
    assert [row.name for row in result.scores.classes] == ["0", "cell", "rock"]
    expected = object_scores(regions_of(truth, 1), regions_of(prediction, 1))[0]
    assert result.objects[0].half == expected
    assert (expected.found, expected.missed) == (1, 1)
    assert result.boundaries == boundary_scores(truth, prediction, [1, 2], spacing=0.5, names={1: "cell", 2: "rock"})
    np.testing.assert_array_equal(result.errors, prediction != truth)


def test_regions_ignored_values_and_unlabelled_pixels_do_not_count() -> None:
    prediction, truth = squares()
    counted = np.zeros(truth.shape, bool)
    counted[:20, :20] = True
    result = run(prediction, truth, counted=counted)
    assert result.scores.mean_iou == score_pairs([(prediction[:20, :20], truth[:20, :20])]).mean_iou
    assert not result.errors[20:].any()
    assert result.objects[0].half.missed == 0
    ignoring = run(prediction, truth, ignore=(2,))
    assert [row.value for row in ignoring.scores.classes] == [0, 1]
    unlabelled = run(prediction, truth, zero="unlabelled")
    assert sum(row.pixels for row in unlabelled.scores.classes) == (truth > 0).sum()
    with pytest.raises(InputError, match="outside the region"):
        run(prediction, truth, counted=np.zeros(truth.shape, bool))


def test_numbered_objects() -> None:
    truth = np.kron(np.arange(1, 2501).reshape(50, 50), np.pad(np.ones((4, 4), int), 1))
    prediction = np.where(truth % 2, truth + 10000, 0)
    result = run(prediction, truth, objects="numbers")
    assert result.objects[0].half.found == 1250
    assert result.objects[0].half.average_precision == 0.5
    assert [row.name for row in result.scores.classes] == ["no object", "object"]
    np.testing.assert_array_equal(result.errors, (truth > 0) & (truth % 2 == 0))


def test_frames_are_walked_and_volumes_are_measured_as_such() -> None:
    prediction, truth = squares()
    frames = run(np.stack([truth, prediction]), np.stack([truth, truth]), spacing=(1, 1))
    assert frames.boundaries[1].hausdorff == 1
    volume = np.zeros((9, 9, 9), np.uint8)
    moved = volume.copy()
    volume[2, 4, 4] = moved[6, 4, 4] = 1
    assert run(moved, volume, spacing=(3, 1, 1)).boundaries[0].hausdorff == 12


def test_the_table_goes_into_spreadsheets() -> None:
    prediction, truth = squares()
    result = run(prediction, truth, names={1: "cell, large"})
    rows = list(csv.DictReader(io.StringIO(result.to_csv())))
    assert rows[1]["class"] == "cell, large"
    assert float(rows[1]["iou"]) == result.scores.classes[1].iou
    assert rows[0]["object_f1"] == ""
    assert float(rows[-1]["iou"]) == result.scores.pixel_accuracy
    assert result.to_csv("\t").splitlines()[0].split("\t")[:3] == ["value", "class", "iou"]
    plain = run(prediction, truth, objects="none", boundaries=False)
    assert "object_f1" not in plain.to_csv()


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(InputError, match="same shape"):
        run(np.zeros((2, 2), int), np.zeros((2, 3), int))
    with pytest.raises(InputError, match="`objects` must be one of regions, numbers, none"):
        run(np.zeros((2, 2), int), np.zeros((2, 2), int), objects="cells")
