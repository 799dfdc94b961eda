"""Going on with a training, looking at its patches and finding its rate, on files."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from napari_fcn import Segmenter

from .conftest import QUICK

PATHS = ("--images", "images", "--labels", "labels")


def paths(data):
    return ("--images", data / "images", "--labels", data / "labels")


def test_a_run_is_gone_on_with_from_anywhere(run, data, tmp_path, monkeypatch):
    """Only the folder has to be named; the curve in the report begins where the training did."""
    monkeypatch.chdir(data)
    first = run("train", *PATHS, "--output", "a.safetensors", *QUICK, "--run-dir", "run")
    assert first.code == 0
    monkeypatch.chdir(tmp_path)
    again = run("train", "--resume", data / "run", "--overwrite", "--report", tmp_path / "report.png", "--json")
    assert again.code == 0, again.err
    assert "Going on after step 2" in again.err
    assert again.json["steps"] == 2
    assert again.json["majority_scores"]["mean_iou"] < 0.6
    one, other = (Segmenter.load(path) for path in (data / "a.safetensors", data / "run" / "best.safetensors"))
    assert all(torch.equal(a, b) for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True))
    lines = [json.loads(line)["event"] for line in (data / "run" / "events.jsonl").read_text().splitlines()]
    assert lines.count("step") == 2
    assert (tmp_path / "report.png").exists()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (("--output", "a.safetensors"), "--images is needed"),
        (PATHS, "--output MODEL.safetensors is needed"),
        (("--resume", "nowhere"), "There is no run in 'nowhere'"),
        (("--images", "images", "--labels", "labels", "--output", "a.safetensors", "--class-weights", "1=x"), "1=x"),
        (
            ("--images", "images", "--labels", "labels", "--output", "a.safetensors", "--init", "no.safetensors"),
            "no.sa",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_one_sentence(run, data, monkeypatch, more, sentence):
    monkeypatch.chdir(data)
    refused = run("train", *more)
    assert refused.code == 2
    assert sentence in refused.err
    assert "Traceback" not in refused.err
    assert not (data / "a.safetensors").exists()


def test_patches_can_be_looked_at(run, data):
    done = run("train", *paths(data), *QUICK, "--output", data / "a.safetensors", "--preview", data / "patches.png")
    assert done.code == 0, done.err
    with Image.open(data / "patches.png") as picture:
        assert min(picture.size) > 500


def test_a_rate_is_found(run, data):
    small = ("--architecture", "unet-classic", "--width", "8", "--depth", "2")
    found = run("find-rate", *paths(data), *QUICK, *small, "--report", data / "rates.png", "--json")
    assert found.code == 0, found.err
    assert len(found.json["rates"]) == len(found.json["losses"]) == len(found.json["smoothed"]) > 10
    assert 1e-4 < found.json["suggestion"] < 1
    assert (data / "rates.png").exists()
