"""Measures of doubt, checked against scipy and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from napari_fcn.errors import InputError, UnknownNameError
from napari_fcn.inference.uncertainty import MEASURES, entropy, margin, uncertainty


def chances(classes: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.ones(classes), (5, 7)).transpose(2, 0, 1).astype(np.float32)


@given(st.integers(2, 9), st.integers(0, 1000))
def test_entropy_is_scipys_entropy_to_the_base_of_the_classes(classes: int, seed: int) -> None:
    values = chances(classes, seed)
    np.testing.assert_allclose(entropy(values), stats.entropy(values, axis=0, base=classes), atol=1e-5)


@given(st.integers(2, 9), st.integers(0, 1000))
def test_margin_is_the_gap_between_the_two_highest(classes: int, seed: int) -> None:
    values = chances(classes, seed)
    ordered = np.sort(values, axis=0)
    np.testing.assert_allclose(margin(values), 1 - (ordered[-1] - ordered[-2]), atol=1e-6)


@pytest.mark.parametrize("measure", list(MEASURES))
def test_each_runs_from_certain_to_undecided_and_knows_no_data(measure: str) -> None:
    values = np.float32([[1, 1 / 3, 0], [0, 1 / 3, 0], [0, 1 / 3, 0]])[:, None]
    found = uncertainty(values, measure)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, 1, 0]], atol=1e-6)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="entropy, margin, confidence"):
        uncertainty(chances(2, 0), "variance")
    with pytest.raises(InputError, match="two classes"):
        uncertainty(np.ones((1, 4, 4), np.float32))
