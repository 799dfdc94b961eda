"""What the page about autoencoders shows runs, and its pictures are there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import napari_fcn as fcn
from napari_fcn.cli import _parser
from napari_fcn.cli.options import given_settings
from napari_fcn.config import DataConfig, ModelConfig
from napari_fcn.pretraining_config import PretrainingConfig, split_pretraining

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "autoencoders.md").read_text(encoding="utf-8")
QUICK = 'encoder="classic", depth=1, code=4, steps=1, batch_size=1, patch_size=32'


def test_the_commands_are_right() -> None:
    commands = re.findall(r"^napari-fcn pretrain .*$", PAGE, re.MULTILINE)
    assert commands
    for command in commands:
        arguments = _parser().parse_args(shlex.split(command)[1:])
        split_pretraining(given_settings(arguments, ModelConfig, DataConfig, PretrainingConfig))


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it stands there, but with a small network that takes one step."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    names = {"image": random.integers(0, 99, (48, 48), np.uint8), "unlabelled_images": random.random((2, 48, 48))}
    names["unlabelled_images"] = list(names["unlabelled_images"])
    names["labels"] = (names["image"] > 50).astype(np.uint8)
    (snippet,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    short = snippet.replace("time_budget=300", QUICK)
    short = short.replace('weights="tissue', 'architecture="autoencoder", ' + QUICK + ', weights="tissue')
    assert short.count(QUICK) == 2
    exec(short, names)  # noqa: S102 (it is ours)
    assert isinstance(names["segmenter"], fcn.Segmenter)
    assert set(np.unique(names["draft"])) <= {1, 2, 3, 4}
    assert names["clean"].dtype == np.uint8


def test_the_pictures_are_there() -> None:
    pictures = re.findall(r"\]\((images/.*?)\)", PAGE)
    assert len(pictures) >= 2
    for picture in pictures:
        assert (ROOT / "docs" / picture).stat().st_size < 400_000
