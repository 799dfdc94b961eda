"""A path, a folder or a pattern means the files that one expects; images and labels find each other."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.errors import InputError, OutputError
from napari_fcn.io import find_files, output_paths, pair_by_stem, stem


@pytest.fixture
def folder(tmp_path):
    for name in ("cell10.png", "cell2.png", "cell1.TIF", ".hidden.png", "classes.json", "cell2.png.aux.xml"):
        (tmp_path / name).write_bytes(b"x")
    zarr.create_array(str(tmp_path / "stack.zarr"), data=np.zeros((2, 2)))
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "cell3.png").write_bytes(b"x")
    return tmp_path


def names(files):
    return [file.name for file in files]


def test_folder_means_its_images_in_the_order_of_their_numbers(folder):
    assert names(find_files(folder)) == ["cell1.TIF", "cell2.png", "cell10.png", "stack.zarr"]


def test_pattern(folder):
    assert names(find_files(f"{folder}/cell*")) == ["cell1.TIF", "cell2.png", "cell10.png"]
    assert names(find_files(f"{folder}/cell[12].*")) == ["cell1.TIF", "cell2.png"]
    assert names(find_files(f"{folder}/**/*.png")) == ["cell2.png", "cell10.png", "cell3.png"]


def test_zarr_is_one_file(folder):
    assert names(find_files(folder / "stack.zarr")) == ["stack.zarr"]
    assert names(find_files(f"{folder}/**/*")).count("stack.zarr") == 1
    assert not [file for file in find_files(f"{folder}/**/*") if "stack.zarr" in file.parts[:-1]]


def test_name_with_brackets_is_a_file_before_it_is_a_pattern(tmp_path):
    (tmp_path / "cells [1].png").write_bytes(b"x")
    assert names(find_files(tmp_path / "cells [1].png")) == ["cells [1].png"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("cel2.png", "nearest is '.*cell2.png'"),
        ("iner/cell3.png", "nearest is '.*inner'"),
        ("*.jpg", "matches no file.*PNG"),
        ("*.json", "no image.*PNG"),
        ("classes.json", "no image.*PNG"),
        ("cell2.png/x.png", "no file"),
    ],
)
def test_nothing_found_is_one_sentence_with_what_is_near(folder, path, message):
    with pytest.raises(InputError) as caught:
        find_files(folder / path)
    assert re.search(message, str(caught.value))
    assert "\n" not in str(caught.value)


def test_empty_folder_and_empty_path(tmp_path):
    with pytest.raises(InputError, match="no image"):
        find_files(tmp_path)
    with pytest.raises(InputError, match="empty path"):
        find_files("")


@given(st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=20))
def test_images_find_their_labels_in_any_order(numbers):
    images = [Path(f"images/cell{number}.ome.tif") for number in numbers]
    labels = [Path(f"labels/cell{number}.png") for number in sorted(numbers)[: len(numbers) // 2 + 1]]
    pairs, unpaired = pair_by_stem(images, labels)
    assert all(stem(image) == stem(label) for image, label in pairs)
    assert sorted([image for image, _ in pairs] + unpaired) == sorted(images)
    assert len(pairs) == len(labels)


def test_no_pair_shows_examples_of_both():
    with pytest.raises(InputError, match=r"'a.png'.*'a_mask.png'"):
        pair_by_stem([Path("a.png")], [Path("a_mask.png")])


def test_two_labels_for_one_image_are_refused():
    with pytest.raises(InputError, match="Two label files"):
        pair_by_stem([Path("a.png")], [Path("m/a.png"), Path("m/a.tif")])
    with pytest.raises(InputError, match="Two images"):
        pair_by_stem([Path("i/a.png"), Path("i/a.tif")], [Path("m/a.png")])
    pairs, _ = pair_by_stem([Path("b.png")], [Path("m/a.png"), Path("m/a.tif"), Path("m/b.png")])
    assert len(pairs) == 1


def test_results_go_to_a_file_or_a_folder(tmp_path):
    inputs = [Path("in/a.ome.tif"), Path("in/b.jpeg"), Path("in/c.npz"), Path("in/d.zarr"), Path("in/e.PNG")]
    results = output_paths(tmp_path, inputs)
    assert names(results) == ["a.tif", "b.png", "c.npy", "d.zarr", "e.png"]
    assert output_paths("out/labels.tif", inputs[:1]) == [Path("out/labels.tif")]
    assert output_paths("out", inputs[:1]) == [Path("out/a.tif")]
    assert output_paths(tmp_path, inputs[4:], "probabilities") == [tmp_path / "e.tif"]


@pytest.mark.parametrize(
    ("output", "inputs", "kind", "message"),
    [
        ("labels.png", ["a.png", "b.png"], "labels", "2 results"),
        ("labels.jpg", ["a.png"], "labels", r"\.jpg.*\.png"),
        ("p.png", ["a.png"], "probabilities", r"\.png.*\.tif"),
        ("in", ["in/a.png"], "labels", "replace the image"),
        ("in/a.png", ["in/a.png"], "labels", "replace the image"),
        ("in/a.tif", ["in/./a.tif"], "labels", "replace the image"),
        ("out", ["in/a.png", "in/a.jpg"], "labels", "both"),
        ("in", ["in/a.jpg", "in/a.png"], "labels", "replace the image"),
    ],
)
def test_results_never_replace_an_image_or_each_other(output, inputs, kind, message):
    with pytest.raises(OutputError, match=message):
        output_paths(output, [Path(each) for each in inputs], kind)
