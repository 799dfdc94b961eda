import subprocess
import sys
from importlib.resources import files

import numpy as np
import pytest

from napari_fcn import samples
from napari_fcn.errors import UnknownNameError


@pytest.fixture(params=samples.names())
def sample(request: pytest.FixtureRequest) -> samples.Sample:
    return samples.load(request.param)


def test_there_is_a_microscopy_and_a_satellite_sample() -> None:
    assert set(samples.names()) == {"nuclei", "landsat"}


def test_labels_lie_on_their_images(sample: samples.Sample) -> None:
    for images, labels in (
        (sample.train_images, sample.train_labels),
        (sample.test_images, sample.test_labels),
    ):
        assert len(images) == len(labels)
        for image, label in zip(images, labels, strict=True):
            assert sample.axes == "YXC"
            assert image.shape[:2] == label.shape
            assert image.shape[2] == len(sample.channel_names)


def test_every_class_can_be_learnt_and_every_label_has_a_class(sample: samples.Sample) -> None:
    named = {entry.value for entry in sample.classes}
    painted = set(np.unique(np.concatenate([labels.ravel() for labels in sample.train_labels])).tolist())
    assert painted == (named if sample.zero == "background" else named | {0})
    for labels in sample.test_labels:
        assert set(np.unique(labels).tolist()) <= named


def test_no_test_image_is_a_training_image(sample: samples.Sample) -> None:
    for test in sample.test_images:
        assert not any(np.array_equal(test, train) for train in sample.train_images)


def test_landsat_is_given_as_published() -> None:
    landsat = samples.load("landsat")
    (image,), (labels,) = landsat.train_images, landsat.train_labels
    assert image.shape == (250, 250, 8)
    assert image.dtype == np.int16
    assert np.count_nonzero(labels) == 718  # the number of labelled pixels that its makers state


def test_licence_and_source_lie_beside_the_data(sample: samples.Sample) -> None:
    folder = files("napari_fcn.samples") / sample.name
    first_words = {"CC0-1.0": "CC0 1.0 Universal", "CC-BY-SA-3.0": "Attribution-ShareAlike 3.0"}[sample.licence]
    assert first_words in (folder / "LICENSE").read_text(encoding="utf-8")[:300]
    assert "Licence: C" in (folder / "SOURCE.md").read_text(encoding="utf-8")


def test_what_one_does_to_a_sample_is_done_to_nobody_else() -> None:
    samples.load("nuclei").train_labels[0][:] = 7
    assert samples.load("nuclei").train_labels[0].max() == 1


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnknownNameError, match="'landsat' and 'nuclei'"):
        samples.load("cells")


def test_samples_are_read_without_torch() -> None:
    program = (
        "import sys; from napari_fcn import samples; samples.load('nuclei'); samples.load('landsat'); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
