"""A small labelled data set on disk, and a way to run a verb as a person would."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from napari_fcn.cli import main

QUICK = ("--steps", "2", "--batch-size", "1", "--patch-size", "64", "--device", "cpu")


@dataclass
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


def content(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below `folder`, hidden ones too."""
    return {str(path): path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


def draw(folder: Path, channels: int = 1) -> None:
    """Two images of bright discs on dark ground, and labels 0 and 7."""
    rows, columns = np.mgrid[:192, :160]
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
    for number in range(2):
        random = np.random.default_rng(number)
        labels = np.zeros(rows.shape, np.uint8)
        for row, column in random.integers(10, 150, (25, 2)):
            labels[(rows - row) ** 2 + (columns - column) ** 2 < 60] = 7
        image = (labels * 20 + random.integers(0, 60, labels.shape)).astype(np.uint8)
        Image.fromarray(image if channels == 1 else np.dstack([image] * channels)).save(
            folder / "images" / f"{number}.png"
        )
        Image.fromarray(labels).save(folder / "labels" / f"{number}.png")


@pytest.fixture
def run(capfd):
    """Run a verb in this process; what it leaves on stdout and stderr comes back."""

    def call(*arguments):
        capfd.readouterr()
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as stop:  # argparse
            code = stop.code
        return Outcome(code, *capfd.readouterr())

    return call


@pytest.fixture
def refused(run, tmp_path):
    """Run a verb that must be refused: exit code 2, one sentence on stderr, nothing else, nothing changed."""

    def call(*arguments):
        before = content(tmp_path)
        outcome = run(*arguments)
        assert outcome.code == 2, outcome.err
        assert outcome.out == ""
        assert outcome.err.startswith("napari-fcn: ")
        assert outcome.err.endswith(".\n")
        assert outcome.err.count("\n") == 1, outcome.err
        assert content(tmp_path) == before
        return outcome.err

    return call


@pytest.fixture
def data(tmp_path):
    draw(tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A segmenter of the discs' images, of little skill."""
    folder = tmp_path_factory.mktemp("trained")
    draw(folder)
    model = folder / "discs.safetensors"
    arguments = ["train", "--images", folder / "images", "--labels", folder / "labels", "--output", model, *QUICK]
    assert main([str(argument) for argument in arguments]) == 0
    return model
