"""Three directions are three predictions of turned stacks, averaged."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn.errors import InputError
from napari_fcn.inference.predictor import Predictor
from napari_fcn.inference.to_files import to_files

from .conftest import small_segmenter

SMALL = small_segmenter()


@pytest.mark.parametrize("axes", ["ZYX", "YXZ"])
def test_the_mean_of_three_turned_stacks(axes: str) -> None:
    stack = np.random.default_rng(0).normal(size=(20, 33, 41)).astype(np.float32)  # Z, Y, X
    image = stack.transpose(["ZYX".index(letter) for letter in axes])
    options = {"device": "cpu", "probabilities": True, "tile_size": 64, "overlap": 16}
    labels, scores = SMALL.predict(image, axes, planes="ortho", **options)
    expected = 0
    for order in [(0, 1, 2), (1, 0, 2), (2, 1, 0)]:
        turned = SMALL.predict(stack.transpose(order), "ZYX", **options)[1]
        expected = expected + turned.transpose(0, *(1 + np.argsort(order))) / 3
    expected = expected.transpose(0, *(1 + "ZYX".index(letter) for letter in axes))
    np.testing.assert_allclose(scores, expected, atol=2e-5)
    np.testing.assert_array_equal(labels, np.array([3, 7, 9])[scores.argmax(axis=0)])


def test_a_plane_has_one_direction() -> None:
    with pytest.raises(InputError, match="needs a stack with an axis Z"):
        SMALL.predict(np.zeros((70, 70)), "YX", planes="ortho", device="cpu")


def test_of_a_multiscale_image_the_finest_level_is_segmented() -> None:
    image = np.random.default_rng(0).normal(size=(80, 60))
    levels = [image, image[::2, ::2], image[::4, ::4]]
    np.testing.assert_array_equal(SMALL.predict(levels, "YX", device="cpu"), SMALL.predict(image, "YX", device="cpu"))


def test_a_run_that_was_stopped_goes_on_after_its_last_plane(tmp_path, monkeypatch) -> None:
    stack = np.random.default_rng(0).normal(size=(9, 33, 41)).astype(np.float32)
    options = {"device": "cpu", "planes": "ortho", "tile_size": 64, "overlap": 16}
    expected = SMALL.predict(stack, "ZYX", **options)

    def steps(**more):
        targets = {"labels": tmp_path / "labels.npy"}
        return to_files(SMALL, stack, "ZYX", targets, source=None, **options, **more)

    run = steps()
    for _ in range(9 + 20):  # all of XY and 20 planes XZ
        next(run)
    run.close()
    assert not (tmp_path / "labels.npy").exists()
    computed = []
    window = Predictor.window

    def counting(self, plane, *args):
        computed.append(plane)
        return window(self, plane, *args)

    monkeypatch.setattr(Predictor, "window", counting)
    for _ in steps(resume=True):
        pass
    assert 13 + 41 <= len(computed) <= 14 + 41  # one may have been under way
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), expected)
    assert [path.name for path in tmp_path.iterdir()] == ["labels.npy"]
