"""The segmenter's file: everything in one place, nothing executable, and never half of it."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

import napari_fcn as fcn
from napari_fcn.errors import OutputError, SegmenterFileError
from napari_fcn.segmenter import FORMAT, KEY, Segmenter


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    image = np.random.default_rng(0).integers(0, 255, (64, 80, 3), np.uint8)
    labels = np.where(image[..., 0] > 128, 300, 4)
    return fcn.train(image, labels, steps=1, batch_size=1, patch_size=64, class_names={300: "bright"}, device="cpu")


@pytest.fixture
def saved(segmenter: Segmenter, tmp_path: Path) -> Path:
    return segmenter.save(tmp_path / "model.safetensors")


def test_what_is_loaded_predicts_the_same(segmenter: Segmenter, saved: Path) -> None:
    again = Segmenter.load(saved)
    image = np.random.default_rng(1).integers(0, 255, (50, 70, 3), np.uint8)
    labels, scores = segmenter.predict(image, probabilities=True)
    np.testing.assert_array_equal(again.predict(image, probabilities=True)[1], scores)
    assert labels.dtype == np.uint16
    assert set(np.unique(labels)) <= {4, 300}
    assert again.to_json() == segmenter.to_json()
    assert again.classes.names == {4: "class 4", 300: "bright"}


def test_the_document_says_what_it_takes_to_use_it(saved: Path) -> None:
    with safe_open(saved, framework="pt") as file:
        document = json.loads(file.metadata()[KEY])
    assert document["format"] == FORMAT
    assert {"model", "channels", "classes", "normalization", "pixel_size", "training", "history"} <= set(document)
    assert {"scores", "data", "versions", "date", "steps"} <= set(document["history"])
    assert document["model"]["encoder"] == "tf_efficientnet_lite0"


def test_a_cut_file_is_one_sentence_wherever_it_was_cut(saved: Path, tmp_path: Path) -> None:
    whole = saved.read_bytes()
    broken = tmp_path / "broken.safetensors"
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        broken.write_bytes(whole[:length])
        with pytest.raises(SegmenterFileError, match="damaged or no segmenter"):
            Segmenter.load(broken)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    path = tmp_path / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SegmenterFileError, match="damaged or no segmenter"):
        Segmenter.load(path)
    torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(SegmenterFileError, match="damaged or no segmenter"):
        Segmenter.load(path)
    assert not trap.exists()


def rewrite(path: Path, change) -> Path:
    """The file with another document or other tensors."""
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    changed = change(document, tensors) or {KEY: json.dumps(document)}
    save_file(tensors, path, metadata=changed)
    return path


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda d, t: d.update(format=FORMAT + 1), f"newer napari-fcn .format {FORMAT + 1}.*update"),
        (lambda d, t: d.pop("classes"), "not a complete segmenter .'classes' is missing"),
        (lambda d, t: d["model"].update(architecture="nonet"), "not a complete segmenter .There is no architecture"),
        (lambda d, t: d["model"].update(surprise=1), "no option 'surprise'"),
        (lambda d, t: t.popitem(), "1 tensors are wrong"),
        (lambda d, t: t.update({n: x[..., :1].contiguous() for n, x in list(t.items())[:1]}), "tensors are wrong"),
        (lambda d, t: {"format": "pt"}, "written by another program"),
        (lambda d, t: {KEY: "{"}, "not a complete segmenter"),
    ],
)
def test_an_inconsistent_file_is_one_sentence(saved: Path, change, sentence: str) -> None:
    with pytest.raises(SegmenterFileError, match=sentence) as caught:
        Segmenter.load(
            rewrite(saved, lambda d, t: c if isinstance(c := change(d, t), dict) and "model" not in c else None)
        )
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(SegmenterFileError, match="no segmenter file"):
        Segmenter.load(tmp_path / "nothing.safetensors")


def test_saving_never_replaces_unasked_and_leaves_nothing_half_done(segmenter: Segmenter, saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        segmenter.save(saved)
    assert saved.read_bytes() == before
    segmenter.save(saved, overwrite=True)
    with pytest.raises(OutputError, match=r"saved as a \.safetensors file"):
        segmenter.save(saved.with_suffix(".pt"))
    assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def test_it_tells_people_what_it_is(segmenter: Segmenter) -> None:
    text = segmenter.describe()
    assert "unet on tf_efficientnet_lite0 (imagenet weights)" in text
    assert "300 = bright" in text


def test_a_file_of_format_1_is_read(saved: Path, tmp_path: Path) -> None:
    """It named an upsampling for every architecture, also for those that have no choice."""
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    linknet = fcn.train(image, image[..., 0] > 128, architecture="linknet", steps=1, patch_size=64, device="cpu")
    path = linknet.save(tmp_path / "linknet.safetensors")
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    settings = {"architecture": "linknet", "encoder": "tf_efficientnet_lite0", "weights": "imagenet"}
    document |= {"format": 1, "model": {**settings, "upsampling": "nearest"}}
    save_file(tensors, tmp_path / "old.safetensors", metadata={KEY: json.dumps(document)})
    old = Segmenter.load(tmp_path / "old.safetensors")
    assert old.model == linknet.model
    np.testing.assert_array_equal(old.predict(image), linknet.predict(image))


def test_a_unet_from_before_it_had_a_width_is_read(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    unet = fcn.train(image, image[..., 0] > 128, width=16, depth=2, steps=1, patch_size=64, device="cpu")
    path = unet.save(tmp_path / "unet.safetensors")
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()[KEY])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del document["model"]["width"]
    save_file(tensors, tmp_path / "old.safetensors", metadata={KEY: json.dumps(document)})
    old = Segmenter.load(tmp_path / "old.safetensors")
    assert old.model == unet.model
    np.testing.assert_array_equal(old.predict(image), unet.predict(image))
