"""Filters before and after a network: in training, in the file, in prediction."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

import napari_fcn as fcn
from napari_fcn.errors import InputError, SegmenterFileError
from napari_fcn.imaging import Chain

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.integers(0, 99, (96, 96), np.uint8)
LABELS = np.where(IMAGE > 60, 4, 1).astype(np.uint8)


@pytest.fixture(scope="module")
def segmenter() -> fcn.Segmenter:
    options = {"steps": 1, "batch_size": 1, "patch_size": 64, "device": "cpu"}
    return fcn.train(IMAGE, LABELS, preprocess="median:radius=1 + gamma:exponent=0.5", **options)


def test_the_network_sees_what_the_filters_make(segmenter: fcn.Segmenter) -> None:
    assert str(segmenter.preprocess) == "median:radius=1 + gamma:exponent=0.5"
    bare = dataclasses.replace(segmenter, preprocess=Chain())
    filtered = segmenter.preprocess.image(IMAGE[None])[0]
    _, expected = bare.predict(filtered, probabilities=True)
    _, got = segmenter.predict(IMAGE, probabilities=True)
    np.testing.assert_array_equal(got, expected)
    _, other = bare.predict(IMAGE, probabilities=True)
    assert not np.allclose(got, other)


def test_stacks_are_filtered_plane_by_plane(segmenter: fcn.Segmenter) -> None:
    stack = np.stack([IMAGE, 255 - IMAGE, IMAGE.T])
    numbering = dataclasses.replace(segmenter, postprocess=Chain.parse("smooth + watershed:values=4"))
    plain = segmenter.predict(stack, "ZYX")
    objects = numbering.predict(stack, "ZYX")
    assert objects.dtype == np.int32
    expected, first = [], 1
    for plane in plain:
        expected.append(numbering.postprocess.labels(plane, ignore=(0,), first=first))
        first = max(first, expected[-1].max() + 1)
    np.testing.assert_array_equal(objects, expected)
    assert fcn.process(plain, "smooth + watershed:values=4", ignore=(0,)).tolist() == objects.tolist()


def test_filters_get_the_image_and_the_probabilities(segmenter: fcn.Segmenter) -> None:
    chain = Chain.parse("random_walker_uncertain:certainty=0.6")
    labels, scores = dataclasses.replace(segmenter, postprocess=chain).predict(IMAGE, probabilities=True)
    plain = segmenter.predict(IMAGE)
    image = segmenter.preprocess.image(IMAGE[None])
    expected = chain.labels(plain, image=image, probabilities=scores, values=(1, 4), ignore=(0,))
    np.testing.assert_array_equal(labels, expected)


def test_missing_pixels_come_through_both_chains(segmenter: fcn.Segmenter) -> None:
    image = IMAGE.astype(np.float32)
    image[10:20, 30:50] = np.nan
    finishing = dataclasses.replace(segmenter, postprocess=Chain.parse("smooth + remove_small_objects"))
    labels = finishing.predict(image)
    np.testing.assert_array_equal(labels == 0, np.isnan(image))


def test_the_file_keeps_both_chains_and_older_files_have_none(segmenter: fcn.Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    saved = dataclasses.replace(segmenter, postprocess=Chain.parse("opening:radius=3"))
    saved.save(path)
    again = fcn.Segmenter.load(path)
    assert (again.preprocess, again.postprocess) == (saved.preprocess, saved.postprocess)
    assert "before it sees an image: median:radius=1" in again.describe()
    with safe_open(path, framework="numpy") as file:
        document = json.loads(file.metadata()["napari_fcn"])
    tensors = load_file(path)
    wrong = {**document, "postprocess": [{"filter": "opning", "settings": {}}]}
    del document["preprocess"], document["postprocess"]
    save_file(tensors, path, {"napari_fcn": json.dumps(document)})
    assert not fcn.Segmenter.load(path).preprocess
    save_file(tensors, path, {"napari_fcn": json.dumps(wrong)})
    with pytest.raises(SegmenterFileError, match="nearest is 'opening'"):
        fcn.Segmenter.load(path)


def test_going_on_keeps_the_chains(segmenter: fcn.Segmenter) -> None:
    init = dataclasses.replace(segmenter, postprocess=Chain.parse("smooth"))
    training = fcn.prepare_training(IMAGE, LABELS, init=init, steps=1, batch_size=1, patch_size=64, device="cpu")
    assert training.segmenter().preprocess == segmenter.preprocess
    assert training.segmenter().postprocess == init.postprocess
    others = np.where(LABELS == 4, 9, LABELS)
    training = fcn.prepare_training(IMAGE, others, init=init, steps=1, batch_size=1, patch_size=64, device="cpu")
    assert not training.segmenter().postprocess


def test_chains_of_the_wrong_stage_are_refused(segmenter: fcn.Segmenter) -> None:
    with pytest.raises(InputError, match="`preprocess` takes filters that work on images"):
        fcn.train(IMAGE, LABELS, preprocess="smooth", steps=1)
    with pytest.raises(InputError, match="`postprocess` takes filters that work on labels"):
        dataclasses.replace(segmenter, postprocess=Chain.parse("clahe"))
