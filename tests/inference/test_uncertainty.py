"""Where to look next: the largest doubt that nobody has cleared."""

import numpy as np

from napari_fcn.inference.uncertainty import most_unsure


def test_a_wide_doubt_beats_a_sharp_one() -> None:
    doubt = np.zeros((2, 100, 120), np.float32)
    doubt[0, 10, 10] = 1
    doubt[1, 50:70, 80:100] = 0.3
    place = most_unsure(doubt, size=16)
    assert place is not None
    assert place[0] == 1
    assert 50 <= place[1] < 70
    assert 80 <= place[2] < 100


def test_what_is_painted_and_its_surroundings_are_left_out() -> None:
    doubt = np.full((60, 60), 0.5, np.float32)
    known = np.zeros((60, 60), bool)
    known[:, :40] = True
    place = most_unsure(doubt, known, size=8)
    assert place is not None
    assert place[1] >= 43


def test_there_may_be_no_such_place() -> None:
    doubt = np.full((20, 20), 0.5, np.float32)
    assert most_unsure(np.zeros_like(doubt)) is None
    assert most_unsure(doubt, np.ones(doubt.shape, bool)) is None
