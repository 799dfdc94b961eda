"""Objects that touch are parted where a person would part them."""

import numpy as np
import pytest

from napari_fcn.imaging.objects import instances


def disc(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    squares = sum((axis - middle) ** 2 for axis, middle in zip(np.indices(shape), centre, strict=True))
    return np.asarray(squares <= radius**2)


@pytest.mark.parametrize("apart", [14, 16, 18])
def test_two_discs_that_overlap_are_two(apart: int) -> None:
    labels = disc((40, 60), (20, 20), 10) | disc((40, 60), (20, 20 + apart), 10)
    found = instances(labels.astype(np.uint8), [1])
    assert found.max() == 2
    assert found[20, 14] != found[20, 20 + apart + 6]
    np.testing.assert_array_equal(found > 0, labels)
    cut = 20 + apart / 2
    first = found[20, 14]
    assert abs(np.nonzero((found == first).any(axis=0))[0].max() - cut) <= 1.5


def test_an_ellipse_and_a_bumpy_outline_are_one() -> None:
    rows, columns = np.indices((40, 80))
    ellipse = ((rows - 20) / 10) ** 2 + ((columns - 40) / 30) ** 2 <= 1
    angles = np.arctan2(rows - 20, columns - 40)
    bumpy = np.hypot(rows - 20, columns - 40) <= 15 + 0.7 * np.sin(9 * angles)
    assert instances(ellipse.astype(int), [1]).max() == 1
    assert instances(bumpy.astype(int), [1]).max() == 1


def test_classes_are_numbered_on_and_others_left_out() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:6, 2:6], labels[10:14, 2:6], labels[10:14, 12:16] = 3, 3, 7
    labels[2:6, 12:16] = 5
    found = instances(labels, [3, 7])
    assert sorted(np.unique(found)) == [0, 1, 2, 3]
    assert found[3, 13] == 0
    assert found[12, 13] == 3


def test_thick_slices_count_as_thick() -> None:
    """Two spheres above each other, in slices three times as thick as pixels are wide."""
    rows = np.indices((16, 40, 40)) * np.array([3, 1, 1])[:, None, None, None]
    spheres = [((rows - np.array([z, 20, 20])[:, None, None, None]) ** 2).sum(axis=0) <= 100 for z in (15, 31)]
    found = instances((spheres[0] | spheres[1]).astype(int), [1], spacing=(3, 1, 1))
    assert found.max() == 2
    assert found[5, 20, 20] != found[10, 20, 20]


def test_an_object_may_fill_the_image() -> None:
    assert (instances(np.ones((8, 8), int), [1]) == 1).all()
