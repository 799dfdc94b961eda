"""Hausdorff distances, beside scikit-image, all pairs of points, and hand calculation."""

import json
from typing import Any

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist
from skimage.metrics import hausdorff_distance

from napari_fcn.errors import InputError
from napari_fcn.metrics import boundary_scores, surface_distances


def blobs(seed: int, *shape: int) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 3) > 0.03


def outline(mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Pixels with a neighbour that is outside; beyond the edge is outside."""
    padded = np.pad(mask, 1)
    surrounded = np.ones(mask.shape, bool)
    for axis in range(mask.ndim):
        for step in (-1, 1):
            surrounded &= np.roll(padded, step, axis)[(slice(1, -1),) * mask.ndim]
    return mask & ~surrounded


@pytest.mark.parametrize("shape", [(50, 60), (12, 20, 24)])
@pytest.mark.parametrize("spacing", [1.0, "anisotropic"])
def test_distances_are_those_between_all_pairs_of_points(shape: tuple[int, ...], spacing: Any) -> None:
    truth, prediction = blobs(0, *shape), blobs(1, *shape)
    sizes = np.ones(len(shape)) if spacing == 1.0 else np.array([3.0, 0.5, 0.25])[-len(shape) :]
    points = [np.argwhere(outline(mask)) * sizes for mask in (truth, prediction)]
    table = cdist(*points)
    ways = table.min(axis=1), table.min(axis=0)
    for got, expected in zip(surface_distances(truth, prediction, sizes), ways, strict=True):
        np.testing.assert_allclose(np.sort(got), np.sort(expected))
    score = boundary_scores(truth * 7, prediction * 7, [7], spacing=sizes)[0]
    assert score.hausdorff == pytest.approx(max(way.max() for way in ways))
    assert score.hausdorff95 == pytest.approx(max(np.percentile(way, 95) for way in ways))
    assert score.mean_distance == pytest.approx(np.concatenate(ways).mean())
    if spacing == 1.0:
        assert score.hausdorff == pytest.approx(hausdorff_distance(outline(truth), outline(prediction)))


def test_a_shifted_square_by_hand() -> None:
    truth = np.zeros((20, 30), np.uint8)
    truth[5:10, 5:10] = 2
    prediction = np.roll(truth, (3, 4), (0, 1))
    assert boundary_scores(truth, prediction, [2])[0].hausdorff == 5
    assert boundary_scores(truth, prediction, [2], spacing=0.2)[0].hausdorff == pytest.approx(1)
    assert boundary_scores(truth, truth, [2])[0].mean_distance == 0


def test_stray_pixels_change_95_percent_little_and_what_is_not_counted_nothing() -> None:
    truth = np.zeros((60, 60), np.uint8)
    truth[5:40, 5:40] = 1
    prediction = truth.copy()
    prediction[58, 58] = 1
    stray = boundary_scores(truth, prediction, [1])[0]
    assert stray.hausdorff == pytest.approx(np.hypot(19, 19))
    assert stray.hausdorff95 == 0
    counted = np.ones(truth.shape, bool)
    counted[50:] = False
    assert boundary_scores(truth, prediction, [1], counted=counted)[0].hausdorff == 0


def test_classes_that_are_missing_on_one_side_or_both() -> None:
    truth, prediction = np.array([[0, 1]]), np.array([[0, 0]])
    one, both = boundary_scores(truth, prediction, [1, 5], names={1: "cell"})
    assert one.hausdorff == np.inf
    assert np.isnan(both.hausdorff)
    assert json.loads(json.dumps(one.to_json(), allow_nan=False))["hausdorff"] is None
    assert (one.name, both.name) == ("cell", "5")
    with pytest.raises(InputError, match="same shape"):
        surface_distances(np.ones((2, 2), bool), np.ones((2, 3), bool))
