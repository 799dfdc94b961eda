"""Label values are the user's: they come back unchanged, whatever integers they are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.data import ClassTable
from napari_fcn.errors import InputError

value_sets = st.sets(st.integers(-(2**31), 2**32), min_size=2, max_size=12) | st.sets(st.integers(0, 255), min_size=2)


@given(value_sets, st.randoms(use_true_random=False))
def test_values_come_back_unchanged(values: set[int], random) -> None:
    labels = np.array([random.choice(sorted(values)) for _ in range(50)] + sorted(values), dtype=np.int64)
    table = ClassTable.from_labels([labels], zero="background")
    assert table.values == tuple(sorted(values))
    indices = table.to_indices(labels)
    assert indices.min() == 0
    assert indices.max() == len(values) - 1
    back = table.to_values(indices)
    np.testing.assert_array_equal(back.astype(np.int64), labels)
    assert table.nodata_value not in values


@given(st.sets(st.integers(0, 70_000), min_size=2, max_size=8))
def test_the_dtype_is_the_smallest_unsigned(values: set[int]) -> None:
    table = ClassTable.from_labels([np.array(sorted(values))], zero="background")
    assert table.dtype == np.min_scalar_type(max(values))


def test_unlabelled_and_ignored_values_are_no_classes() -> None:
    table = ClassTable.from_labels([np.array([0, 1, 2, 255])], zero="unlabelled", ignore=(255,))
    assert table.values == (1, 2)
    np.testing.assert_array_equal(table.to_indices(np.array([0, 1, 2, 255, 7])), [-1, 0, 1, -1, -1])
    assert table.nodata_value == 0


def test_names_and_colours_survive_json() -> None:
    table = ClassTable.from_labels([np.array([0, 5])], zero="background", names={5: "water"}, colors={5: "#0000ff"})
    assert [(e.value, e.name, e.color) for e in table][1] == (5, "water", "#0000ff")
    assert ClassTable.from_json(json.loads(json.dumps(table.to_json()))) == table


@pytest.mark.parametrize(
    ("labels", "zero", "sentence"),
    [
        (np.zeros((3, 3), int), "unlabelled", "no labelled pixel; paint at least two classes"),
        (np.zeros((3, 3), int), "background", "only 0; paint at least two classes"),
        (np.eye(3, dtype=int), "unlabelled", "only the class 1.*zero='background'"),
        (np.full((3, 3), 4), "background", "only the class 4"),
        (np.eye(3), "background", "must be integers.*float64"),
        (np.arange(900), "background", "900 values.*turn them into classes first"),
    ],
)
def test_labels_that_cannot_teach_are_refused(labels, zero: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        ClassTable.from_labels([labels], zero=zero)
