"""The learning-rate finder finds what a known problem wants."""

from __future__ import annotations

import numpy as np
import pytest

import napari_fcn as fcn
from napari_fcn.training.rate_finder import _steepest, running_mean


def test_on_real_patches_the_suggestion_is_a_rate_that_learns(prepared, discs) -> None:
    image, labels = discs
    fractions: list[float] = []
    options = {"batch_size": 2, "patch_size": 64, "device": "cpu"}
    curve = fcn.find_rate(image, labels, **options, on_progress=fractions.append)
    assert fractions == sorted(fractions)
    assert list(curve.rates) == sorted(curve.rates)
    assert len(curve.rates) == len(curve.losses) == len(curve.smoothed)
    assert 1e-4 < curve.suggestion < 0.3
    training = prepared(rate=curve.suggestion, steps=10)
    losses = [event.loss for event in training.run() if hasattr(event, "loss")]
    assert np.mean(losses[-3:]) < losses[0]


def test_the_steepest_place_of_a_known_curve_is_found() -> None:
    """1 - logistic((log10 rate + 3) * 4) falls most steeply at 1e-3, and blows up later."""
    rates = np.geomspace(1e-5, 1, 101)
    losses = 1 - 1 / (1 + np.exp(-4 * (np.log10(rates) + 3)))
    losses += np.where(rates > 0.1, 10 * (rates - 0.1), 0)
    assert _steepest(rates, losses) == pytest.approx(1e-3, rel=0.1)
    assert _steepest(rates, np.linspace(1, 2, 101)) is None
    assert _steepest(rates[:4], losses[:4]) is None


def test_the_running_mean_has_no_bias_at_the_start() -> None:
    np.testing.assert_allclose(running_mean([2.0] * 7), 2.0)
    np.testing.assert_allclose(running_mean([1.0, 3.0]), [1.0, (0.1 * 0.9 * 1 + 0.1 * 3) / (1 - 0.81)])
