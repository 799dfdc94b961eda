"""`napari-fcn pretrain`, from files to a file that `train` starts from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_fcn as fcn

from .conftest import QUICK

SMALL = ("--encoder", "classic", "--depth", "2", *QUICK)


def test_from_images_to_weights_of_a_segmenter(run, data: Path) -> None:
    file = data / "encoder.safetensors"
    outcome = run("pretrain", "--images", data / "images", "--output", file, "--kind", "masked", "--json", *SMALL)
    assert outcome.code == 0, outcome.err
    assert set(outcome.json) == {
        "steps", "seconds", "best_step", "loss", "start_loss", "mean_loss", "summary", "output",
    }  # fmt: skip
    assert outcome.json["steps"] == 2
    assert fcn.Autoencoder.load(file).training["kind"] == "masked"
    told = run("info", file)
    assert told.code == 0
    assert "masked autoencoder on classic" in told.out
    trained = run(
        "train", "--images", data / "images", "--labels", data / "labels", "--output", data / "model.safetensors",
        "--architecture", "unet-classic", "--weights", file, *QUICK,
    )  # fmt: skip
    assert trained.code == 0, trained.err


def test_it_goes_on_and_draws_what_comes_back(run, data: Path) -> None:
    common = ("--images", data / "images", "--output", data / "a.safetensors", "--overwrite", *SMALL)
    assert run("pretrain", *common, "--run-dir", data / "run").code == 0
    outcome = run("pretrain", "--resume", data / "run", "--overwrite", "--report", data / "report.png")
    assert outcome.code == 0, outcome.err
    assert (data / "report.png").stat().st_size > 10_000
    refused = run("train", "--resume", data / "run", "--labels", data / "labels")
    assert refused.code == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--output", "a.safetensors"), "--images PATH is needed"),
        (("--images", "nowhere", "--output", "a.safetensors"), "nowhere"),
        (("--images", ".", "--output", "a.onnx"), "An autoencoder is saved as a .safetensors file"),
        (("--images", ".", "--output", "a.safetensors", "--kind", "plain", "--beta", "1"), "`beta` can be chosen for"),
        (("--images", ".", "--output", "a.safetensors", "--architecture", "unet"), "There is no option"),
    ],
)
def test_bad_input_is_one_sentence(run, tmp_path: Path, monkeypatch, arguments, sentence) -> None:
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "image.npy", np.zeros((64, 64), np.uint8))
    outcome = run("pretrain", *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.npy"]
