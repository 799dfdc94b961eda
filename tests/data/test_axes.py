"""Any order of axes gives the same planes, and labels find their place again."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.data import Planes, guess_axes, spatial_axes
from napari_fcn.errors import InputError

SIZES = {"T": 2, "Z": 3, "C": 4, "Y": 5, "X": 6}
ORDERS = ["".join(p) for n in range(2, 6) for p in permutations("TZCYX", n) if {"Y", "X"} <= set(p)]


@given(st.sampled_from(ORDERS))
def test_planes_are_channels_first_whatever_the_order(axes: str) -> None:
    array = np.arange(np.prod([SIZES[a] for a in axes])).reshape([SIZES[a] for a in axes])
    planes = Planes(array, axes)
    reference = np.moveaxis(array, [axes.index(a) for a in "TZCYX" if a in axes], range(len(axes)))
    walked = [a for a in spatial_axes(axes) if a in "TZ"]
    for plane, index in enumerate(planes.indices):
        where = dict(zip(walked, index, strict=True))
        expected = reference[tuple(where[a] for a in "TZ" if a in axes)]
        expected = expected if "C" in axes else expected[None]
        np.testing.assert_array_equal(planes.read(plane), expected)
        np.testing.assert_array_equal(planes.read(plane, slice(1, 3), slice(2, 5)), expected[:, 1:3, 2:5])


@given(st.sampled_from(ORDERS))
def test_what_is_written_plane_by_plane_has_the_labels_axes(axes: str) -> None:
    array = np.arange(np.prod([SIZES[a] for a in axes])).reshape([SIZES[a] for a in axes])
    planes = Planes(array, axes)
    result = np.zeros(planes.spatial_shape, array.dtype)
    for plane in range(len(planes)):
        planes.plane_of(result, plane)[...] = planes.read(plane)[0]
    expected = array.take(0, axis=axes.index("C")) if "C" in axes else array
    np.testing.assert_array_equal(result, expected)


def test_channels_are_picked_in_the_given_order() -> None:
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    np.testing.assert_array_equal(Planes(array, "YXC", (3, 1)).read(0), array.transpose(2, 0, 1)[[3, 1]])
    with pytest.raises(InputError, match=r"numbers from 0 to 3 for this image. Got \[4\]"):
        Planes(array, "YXC", (4,))


@pytest.mark.parametrize(
    ("shape", "labels", "channels", "axes"),
    [
        ((9, 9), None, None, "YX"),
        ((9, 9, 3), None, None, "YXC"),
        ((9, 9, 4), (9, 9), None, "YXC"),
        ((4, 9, 9), (9, 9), None, "CYX"),
        ((4, 9, 9), (4, 9, 9), None, "ZYX"),
        ((4, 9, 9), None, 4, "CYX"),
        ((4, 9, 9), None, 1, "ZYX"),
        ((9, 9, 7), None, 7, "YXC"),
        ((5, 9, 8, 3), None, 3, "ZYXC"),
        ((5, 2, 9, 8), (5, 9, 8), None, "ZCYX"),
    ],
)
def test_unsaid_axes_are_guessed_as_people_mean_them(shape, labels, channels, axes: str) -> None:
    assert guess_axes(shape, labels_shape=labels, channels=channels) == axes


def test_unclear_axes_are_asked_for() -> None:
    with pytest.raises(InputError, match=r"axes of an image of shape \(4, 9, 9\) are not clear; say them"):
        guess_axes((4, 9, 9))
    with pytest.raises(InputError, match=r"Got labels \(8, 9\) for an image \(9, 9\)"):
        guess_axes((9, 9), labels_shape=(8, 9))


@pytest.mark.parametrize("axes", ["Y", "YY", "YXQ", "CYXZT", "XYZ"])
def test_wrong_axes_are_refused(axes: str) -> None:
    with pytest.raises(InputError, match="axes"):
        Planes(np.zeros((2, 2)), axes)


def test_what_is_no_number_is_no_image() -> None:
    with pytest.raises(InputError, match="Got dtype complex64"):
        Planes(np.zeros((2, 2), np.complex64), "YX")
    with pytest.raises(InputError, match="at least one pixel"):
        Planes(np.zeros((0, 2)), "YX")
