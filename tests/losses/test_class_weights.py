"""Class weights: as their papers compute them, by label value where they are given, refused in a sentence."""

from __future__ import annotations

import contextlib
import re
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.config import TrainingConfig
from napari_fcn.errors import InputError
from napari_fcn.losses.class_weights import check_class_weights, class_weights
from napari_fcn.options import options
from napari_fcn.registry import class_weightings

COMPUTABLE = [name for name in class_weightings if name != "none"]
counts_of_classes = st.lists(st.integers(0, 10**9), min_size=1, max_size=8).filter(any)


def test_the_names_are_those_of_the_setting() -> None:
    assert list(class_weightings) == options(TrainingConfig)["class_weights"][1].names()
    assert class_weights("none", np.array([3, 5]), [0, 1]) is None


def test_balanced_weights_by_hand() -> None:
    """Shares 0.6, 0.3 and 0.1: their median by them is 0.5, 1 and 3, of mean 1.5."""
    weights = class_weights("balanced", np.array([600, 300, 100]), [0, 1, 2])
    np.testing.assert_allclose(weights, [1 / 3, 2 / 3, 2])


def test_balanced_weights_are_scikit_learns_but_for_a_factor() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.random.default_rng(0).choice(4, size=500, p=[0.5, 0.3, 0.15, 0.05])
    expected = compute_class_weight("balanced", classes=np.arange(4), y=labels)
    weights = class_weights("balanced", np.bincount(labels), range(4))
    np.testing.assert_allclose(weights, expected / expected.mean())


def test_effective_weights_by_hand() -> None:
    """Counts 8 and 2: N = sqrt(16) = 4 and beta = 3/4, so that E = 4 (1 - (3/4)^n) = 58975 / 16384 and 7 / 4."""
    effective = np.array([58975 / 16384, 7 / 4])
    expected = (1 / effective) / (1 / effective).mean()
    np.testing.assert_allclose(class_weights("effective", np.array([8, 2]), [0, 1]), expected)


def test_effective_weights_are_right_for_many_pixels() -> None:
    """Against a calculation with 60 digits, where beta rounds nearly to 1."""
    counts = [10**14, 10**2]
    with localcontext(prec=60):
        beta = 1 - 1 / Decimal(10**8)
        inverse = [(1 - beta) / (1 - beta**n) for n in counts]
        expected = [float(2 * each / sum(inverse)) for each in inverse]
    np.testing.assert_allclose(class_weights("effective", np.array(counts), [0, 1]), expected, rtol=1e-12)


@pytest.mark.parametrize("ratio", [25, 100, 10_000])
def test_effective_is_moderate(ratio: int) -> None:
    """The rare class counts about the square root as much more as when balanced, in small and in large images."""
    for scale in (100, 100_000):
        common, rare = class_weights("effective", np.array([ratio * scale, scale]), [0, 1])
        assert rare / common == pytest.approx(ratio**0.5, rel=0.12)
        common, rare = class_weights("balanced", np.array([ratio * scale, scale]), [0, 1])
        assert rare / common == pytest.approx(ratio)


@pytest.mark.parametrize("choice", COMPUTABLE)
@given(counts=counts_of_classes)
def test_computed_weights_fall_with_the_count_and_have_mean_one(choice: str, counts: list[int]) -> None:
    pixels = np.array(counts, dtype=np.int64)
    weights = class_weights(choice, pixels, range(len(counts)))
    present = pixels > 0
    assert np.isfinite(weights).all()
    assert (weights[~present] == 0).all()
    assert weights[present].mean() == pytest.approx(1)
    ordered = weights[present][np.argsort(pixels[present])]
    assert (np.diff(ordered) <= 1e-12 * ordered[:-1]).all()


@given(counts=counts_of_classes)
def test_effective_lies_between_alike_and_balanced(counts: list[int]) -> None:
    pixels = np.array(counts, dtype=np.int64)
    weights = {choice: class_weights(choice, pixels, range(len(counts)))[pixels > 0] for choice in COMPUTABLE}
    spread = {choice: values.max() / values.min() for choice, values in weights.items()}
    assert 1 <= spread["effective"] <= spread["balanced"] * (1 + 1e-9)


@pytest.mark.parametrize("choice", COMPUTABLE)
def test_equal_classes_count_alike(choice: str) -> None:
    for count in (1, 2, 1000):
        weights = class_weights(choice, np.array([count, 0, count]), [4, 5, 6])
        np.testing.assert_allclose(weights, [1, 0, 1])


@pytest.mark.parametrize("choice", COMPUTABLE)
def test_without_pixels_nothing_can_be_computed(choice: str) -> None:
    with pytest.raises(InputError, match=f"'{choice}' come from labelled pixels, and there are none"):
        class_weights(choice, np.zeros(2, dtype=np.int64), [0, 1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1=0.5,7=3", [1, 0.5, 3]),
        ("7=3", [1, 1, 3]),
        (" 7 = 3 , -2 = 1e-3 ", [1e-3, 1, 3]),
        ("-2=0", [0, 1, 1]),
        ("+1=.25", [1, 0.25, 1]),
    ],
)
def test_given_weights_are_as_given_by_label_value(text: str, expected: list[float]) -> None:
    assert class_weights(text, np.array([5, 5, 5]), [-2, 1, 7]).tolist() == expected
    check_class_weights(text)


@given(
    weights=st.dictionaries(
        st.integers(-(2**31), 2**31), st.floats(0, 1e6).filter(lambda weight: weight == 0 or weight > 1e-6), min_size=1
    ).filter(lambda weights: any(weights.values()))
)
def test_every_weight_can_be_given(weights: dict[int, float]) -> None:
    values = sorted(weights)
    text = ",".join(f"{value}={weight!r}" for value, weight in weights.items())
    found = class_weights(text, np.ones(len(values), dtype=np.int64), values)
    assert found.tolist() == [weights[value] for value in values]


FORM = r"`class_weights` must be none, balanced, effective, or VALUE=WEIGHT,VALUE=WEIGHT"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("balance", "'balance' is none of these"),
        ("", "'' is none of these"),
        ("1", "'1' is none of these"),
        ("1=", "'1=' is none of these"),
        ("1=2,", "'' is none of these"),
        ("1=2;3=4", "'1=2;3=4' is none of these"),
        ("nucleus=2", "'nucleus=2' is none of these"),
        ("1.5=2", "'1.5=2' is none of these"),
        ("1=2=3", "'1=2=3' is none of these"),
        ("none,1=2", "'none' is none of these"),
        ("1=-2", "'1=-2' has no such weight"),
        ("1=nan", "'1=nan' has no such weight"),
        ("1=inf", "'1=inf' has no such weight"),
        ("1=1e7", "'1=1e7' has no such weight"),
        ("1=2,01=3", "the value 1 is there twice"),
    ],
)
def test_what_cannot_be_read_is_refused_in_a_sentence(text: str, reason: str) -> None:
    for refused in (lambda: check_class_weights(text), lambda: class_weights(text, np.array([1, 1]), [1, 2])):
        with pytest.raises(InputError, match=FORM) as error:
            refused()
        assert reason in str(error.value)
        assert f"Got {text!r}" in str(error.value)


PAIR = r" *[+-]?[0-9_]+ *= *[+-]?[0-9_.]+(e[+-]?[0-9_]+)? *"


@given(text=st.text(alphabet="0123456789=,.+-_ enaif", max_size=12) | st.from_regex(rf"\A{PAIR}(,{PAIR})?\Z"))
def test_text_is_either_read_or_refused(text: str) -> None:
    if text in class_weightings or re.fullmatch(rf"{PAIR}(,{PAIR})*", text):
        with contextlib.suppress(InputError):  # a value may be there twice
            check_class_weights(text)
    else:
        with pytest.raises(InputError, match=re.escape(repr(text))):
            check_class_weights(text)


def test_a_value_that_is_no_class_is_refused() -> None:
    check_class_weights("5=2")
    with pytest.raises(InputError, match=r"the classes, -1, 0, 7, as VALUE=WEIGHT,VALUE=WEIGHT\. Got 5 in '0=1,5=2'"):
        class_weights("0=1,5=2", np.array([1, 1, 1]), [-1, 0, 7])


@pytest.mark.parametrize(("text", "counts"), [("0=0,1=0", [5, 5]), ("0=0", [5, 0]), ("0=1e-50", [5, 0])])
def test_some_class_with_pixels_has_to_count(text: str, counts: list[int]) -> None:
    with pytest.raises(InputError, match=f"let a class with labelled pixels count. Got '{text}'"):
        class_weights(text, np.array(counts), [0, 1])
