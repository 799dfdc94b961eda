"""The verb `process`: filters on files, and saved with a segmenter."""

import numpy as np
import pytest
from PIL import Image

from napari_fcn import Segmenter, process
from napari_fcn.imaging import Chain
from napari_fcn.io import read_image, read_labels


def test_images_are_filtered_and_keep_their_format(run, data):
    outcome = run(
        "process", "median:radius=1", "percentile", "--images", data / "images", "--output", data / "o", "--json"
    )
    assert outcome.code == 0, outcome.err
    assert [step["filter"] for step in outcome.json["filters"]] == ["median", "percentile"]
    for number in range(2):
        image = read_image(data / "images" / f"{number}.png").array
        made = read_image(data / "o" / f"{number}.png").array
        assert made.dtype == np.uint8
        np.testing.assert_array_equal(made, process(image, "median:radius=1 + percentile"))


def test_stacks_and_colours(run, tmp_path):
    random = np.random.default_rng(0)
    stack = random.normal(size=(3, 2, 20, 24)).astype(np.float32)
    stack[0, :, 4, 4] = np.nan
    np.save(tmp_path / "stack.npy", stack)
    images = tmp_path / "stack.npy"
    outcome = run("process", "gaussian", "--images", images, "--axes", "ZCYX", "--output", tmp_path / "o.npy")
    assert outcome.code == 0, outcome.err
    made = np.load(tmp_path / "o.npy")
    np.testing.assert_array_equal(np.isnan(made), np.isnan(stack))
    np.testing.assert_array_equal(made[2], process(stack[2], "gaussian", "CYX"))
    Image.fromarray(random.integers(0, 255, (20, 24, 3), np.uint8)).save(tmp_path / "c.png")
    assert run("process", "gamma", "--images", tmp_path / "c.png", "--output", tmp_path / "d.png").code == 0
    assert read_image(tmp_path / "d.png").array.shape == (20, 24, 3)


def test_labels_are_filtered_with_and_without_their_images(run, data):
    assert run("process", "watershed", "--images", data / "labels", "--output", data / "objects").code == 0
    objects = read_labels(data / "objects" / "0.png")
    labels = read_labels(data / "labels" / "0.png")
    np.testing.assert_array_equal(objects > 0, labels > 0)
    assert objects.max() > 5
    outcome = run(
        "process", "random_walker:margin=2", "--labels", data / "labels", "--images", data / "images",
        "--output", data / "walked",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    image = read_image(data / "images" / "1.png").array
    expected = process(read_labels(data / "labels" / "1.png"), "random_walker:margin=2", image=image)
    np.testing.assert_array_equal(read_labels(data / "walked" / "1.png"), expected)


def test_filters_saved_with_a_segmenter_are_replayed(run, data, trained):
    output = data / "finished.safetensors"
    outcome = run("process", "smooth:radius=3", "remove_small_objects:size=40", "--model", trained, "--output", output)
    assert outcome.code == 0, outcome.err
    assert Segmenter.load(output).postprocess == Chain.parse("smooth:radius=3 + remove_small_objects:size=40")
    assert "smooth:radius=3 + remove_small_objects:size=40" in run("info", output).out
    image = data / "images" / "0.png"
    assert run("predict", "--model", trained, "--images", image, "--output", data / "a.png").code == 0
    assert run("predict", "--model", output, "--images", image, "--output", data / "b.png").code == 0
    plain, finished = read_labels(data / "a.png"), read_labels(data / "b.png")
    np.testing.assert_array_equal(finished, process(plain, "smooth:radius=3 + remove_small_objects:size=40"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gausian", "--images", "images"], "the nearest is 'gaussian'"),
        (["gaussian", "smooth", "--images", "images"], "make two chains"),
        (["gaussian", "--images", "images", "--labels", "labels"], "works on images"),
        (["gaussian"], "--images"),
        ([" ", "--images", "images"], "at least one filter"),
        (["random_walker", "--images", "labels"], "--labels and --images"),
        (["random_walker_uncertain", "--labels", "labels", "--images", "images"], "only prediction has"),
        (["smooth", "--images", "nowhere"], "nowhere"),
        (["gaussian", "--images", "images", "--axes", "YXC"], "a letter for each dimension"),
    ],
)
def test_what_is_wrong_is_said(refused, data, monkeypatch, arguments, message):
    monkeypatch.chdir(data)
    assert message in refused("process", *arguments, "--output", "out")


def test_a_segmenter_takes_only_filters_of_labels(refused, data, trained):
    said = refused("process", "clahe", "--model", trained, "--output", data / "x.safetensors")
    assert "--preprocess" in said


def test_help_lists_every_filter(run):
    said = run("process", "--help").out
    assert "percentile that becomes the lowest value (1.0)" in said
    assert "remove_small_holes" in said
