"""Filters of labels: hand-drawn cases, scikit-image on two classes, and what must hold for any labels."""

from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from skimage import measure, morphology

from napari_fcn.errors import InputError
from napari_fcn.imaging import Chain
from napari_fcn.registry import filters

AFTER = [name for name, entry in filters.items() if entry.details["stage"] == "after"]
RANDOM = np.random.default_rng(0)


def drawn(text: str) -> np.ndarray[Any, Any]:
    return np.array([[int(digit) for digit in line] for line in text.split()], np.uint8)


def blobs(*shape: int) -> np.ndarray[Any, Any]:
    """Random blobs in two classes, none of which reaches the edge."""
    noise = ndimage.gaussian_filter(np.random.default_rng(3).normal(size=shape), 2)
    inside = (noise > 0.02).astype(np.uint8)
    for axis in range(len(shape)):
        edge = [slice(None)] * len(shape)
        for end in (slice(None, 3), slice(-3, None)):
            edge[axis] = end
            inside[tuple(edge)] = 0
    return inside


def run(text: str, labels: np.ndarray[Any, Any], **details: Any) -> np.ndarray[Any, Any]:
    before = labels.copy()
    result = Chain.parse(text).labels(labels, **details)
    np.testing.assert_array_equal(labels, before)
    assert result.shape == labels.shape
    return result


def test_a_small_island_becomes_what_surrounds_it() -> None:
    labels = drawn("""
        000000
        011110
        011210
        013310
        011110
        000000""")
    np.testing.assert_array_equal(run("remove_small_objects:size=4", labels), np.where(labels > 0, 1, 0))
    only = run("remove_small_objects:size=4,values=2", labels)
    assert only[2, 3] == 1
    assert (only[3, 2:4] == 3).all()
    holes = drawn("11111 10021 11111")
    np.testing.assert_array_equal(run("remove_small_holes:size=3", holes), drawn("11111 11121 11111"))
    np.testing.assert_array_equal(run("remove_small_holes:size=3", drawn("1110 1011 1111")), drawn("1110 1111 1111"))


def test_binary_objects_and_holes_are_those_of_scikit_image() -> None:
    labels = blobs(80, 90)
    sizes = np.unique(np.bincount(measure.label(labels, connectivity=1).ravel())[1:])
    size = int(sizes[len(sizes) // 2])
    expected = morphology.remove_small_objects(labels > 0, max_size=size - 1, connectivity=1)
    np.testing.assert_array_equal(run(f"remove_small_objects:size={size}", labels), expected)
    # Holes reach the edge in neither, so that both mean the same.
    expected = morphology.remove_small_holes(labels > 0, max_size=29, connectivity=1)
    np.testing.assert_array_equal(run("remove_small_holes:size=30", labels), expected)


@pytest.mark.parametrize("radius", [1, 2, 3.5])
def test_binary_opening_and_closing_are_those_of_scikit_image(radius: float) -> None:
    labels = np.pad(blobs(80, 90), 8)
    np.testing.assert_array_equal(
        run(f"opening:radius={radius}", labels), morphology.isotropic_opening(labels > 0, radius)
    )
    np.testing.assert_array_equal(
        run(f"closing:radius={radius}", labels), morphology.isotropic_closing(labels > 0, radius)
    )


def test_classes_do_not_close_over_each_other_and_openings_go_to_the_neighbour() -> None:
    labels = np.zeros((21, 30), np.uint8)
    labels[5:16, 5:14] = 1
    labels[9:12, 9:12] = 2
    labels[5:16, 15:24] = 1
    closed = run("closing:radius=2", labels)
    np.testing.assert_array_equal(closed[7:14, 14], 1)
    np.testing.assert_array_equal(closed == 2, labels == 2)
    assert (run("closing:radius=2,values=1", labels)[9:12, 9:12] == 1).any()
    np.testing.assert_array_equal(run("closing:radius=2,values=2", labels), labels)
    spur = np.ones((15, 15), np.uint8)
    spur[:, 8:] = 2
    spur[7, 4:8] = 2  # a thin spur of 2 in 1
    opened = run("opening:radius=2", spur)
    np.testing.assert_array_equal(opened[7, 4:7], 1)
    assert set(np.unique(opened)) == {1, 2}


def test_the_largest_region_of_each_class_stays() -> None:
    labels = drawn("1101 0000 2220 0002 1110")
    np.testing.assert_array_equal(run("largest_component", labels), drawn("0000 0000 2220 0000 1110"))


def test_smoothing_two_classes_is_the_median() -> None:
    labels = RANDOM.integers(0, 2, (40, 50)).astype(np.uint8)
    for radius in (1, 3, 6):
        expected = ndimage.median_filter(labels, footprint=morphology.disk(radius), mode="reflect")
        np.testing.assert_array_equal(run(f"smooth:radius={radius}", labels), expected)


def test_touching_discs_are_parted_at_the_waist() -> None:
    rows, columns = np.mgrid[:60, :120]
    labels = np.zeros(rows.shape, np.uint8)
    centres = [(30, 25), (30, 52), (30, 79)]
    for row, column in centres:
        labels[(rows - row) ** 2 + (columns - column) ** 2 < 15**2] = 4
    labels[2:4, 100:103] = 4
    labels[50:56, 100:110] = 9
    objects = run("watershed", labels)
    assert objects.dtype == np.int32
    assert objects.max() == 5
    assert len({objects[centre] for centre in centres}) == 3
    np.testing.assert_array_equal(objects > 0, labels > 0)
    for row, column in centres:  # each disc is its own object, but for the lens where two meet
        own = (rows - row) ** 2 + (columns - column) ** 2 < 13**2
        assert (objects[own] == objects[row, column]).all()
    assert run("watershed:depth=10", labels).max() == 3
    assert run("watershed:size=10", labels).max() == 4
    assert run("watershed:values=9", labels).max() == 1
    assert run("watershed", labels, first=11).min(where=labels > 0, initial=99) == 11
    assert run("watershed", np.ones((5, 5), np.uint8)).max() == 1


def test_walks_follow_the_edges_of_the_image() -> None:
    truth = np.zeros((48, 56), np.uint8)
    truth[12:36, 14:42] = 3
    image = (truth * 40.0 + np.random.default_rng(0).normal(0, 5, truth.shape))[None]
    rough = np.zeros_like(truth)
    rough[14:38, 11:40] = 3  # shifted by some pixels
    refined = run("random_walker:margin=5", rough, image=image)
    assert (rough != truth).sum() > 100
    assert (refined != truth).sum() < 15
    chance = np.where(ndimage.uniform_filter((rough == 3).astype(float), 11) > 0.5, 0.9, 0.1)
    sure = ndimage.uniform_filter(np.stack([1 - chance, chance]), (0, 9, 9)).astype(np.float32)
    guessed = np.array([0, 3], np.uint8)[sure.argmax(axis=0)]
    details = {"image": image, "probabilities": sure, "values": (0, 3)}
    refined = run("random_walker_uncertain:certainty=0.85", guessed, **details)
    assert (refined != truth).sum() < min(30, (guessed != truth).sum())
    with pytest.raises(InputError, match="needs the image"):
        run("random_walker", rough)
    with pytest.raises(InputError, match="needs the probabilities"):
        run("random_walker_uncertain", rough, image=image)
    with pytest.raises(InputError, match="labels' shape"):
        run("random_walker", rough, image=image[:, 1:])


def whole(labels: np.ndarray[Any, Any]) -> dict[str, Any]:
    """All that any filter may ask for."""
    probabilities = np.full((2, *labels.shape), 0.5, np.float32)
    return {"image": np.where(labels > 1, 1.0, 0.0)[None], "probabilities": probabilities, "values": (0, 1)}


@pytest.mark.parametrize("name", AFTER)
@settings(max_examples=12)
@given(
    labels=arrays(np.int16, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([-3, 0, 1, 7]))
)
def test_kept_pixels_stay_and_no_value_is_invented(name: str, labels: np.ndarray[Any, Any]) -> None:
    result = run(name, labels, ignore=(7,), **whole(labels))
    np.testing.assert_array_equal(result[labels == 7], 0 if Chain.parse(name).numbers else 7)
    if not Chain.parse(name).numbers:
        assert set(np.unique(result)) <= set(np.unique(labels))
        assert result.dtype == labels.dtype
        others = labels != 7
        # Nobody learns from a kept pixel: with another value in its place the rest is the same.
        moved = np.where(others, labels, 99).astype(np.int16)
        again = run(name, moved, ignore=(99,), **whole(labels))
        np.testing.assert_array_equal(again[others], result[others])
        assert not (result[others] == 7).any()


@pytest.mark.parametrize("name", AFTER)
def test_volumes_types_and_uniform_labels(name: str) -> None:
    for dtype in ("bool", "uint8", "uint16", "int32", "int64"):
        labels = blobs(12, 30, 32).astype(dtype)
        result = run(name, labels, **whole(labels))
        assert np.isin(np.unique(result != 0), [False, True]).all()
    for value in (0, 5):
        labels = np.full((6, 7), value, np.uint8)
        expected = labels if name != "watershed" else (labels > 0).astype(int)
        np.testing.assert_array_equal(run(name, labels, **whole(labels)), expected)
        kept = run(name, labels, ignore=(value,), **whole(labels))
        np.testing.assert_array_equal(kept, 0 if name == "watershed" else labels)
