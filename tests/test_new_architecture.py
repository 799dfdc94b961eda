"""An architecture that somebody writes in one file is everywhere, with nothing else to edit."""

import importlib.util
import json
import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from napari import Viewer

import napari_fcn
from napari_fcn.cli import main
from napari_fcn.cli.catalogue import describe, tables
from napari_fcn.config import ModelConfig
from napari_fcn.errors import UnknownNameError
from napari_fcn.registry import architectures
from napari_fcn.widgets import Train

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def coarse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example of docs/models.md as somebody's file, imported; afterwards the registry is what it was."""
    before = dict(architectures)
    # Beside it only one other, so that not all are measured again.
    monkeypatch.setattr(architectures, "_entries", {"unet": architectures["unet"]})
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "coarse.py"
    file.write_text(example, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("coarse", file)
    assert spec is not None
    assert spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
    yield
    monkeypatch.undo()
    assert dict(architectures) == before


def test_it_is_listed(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    assert re.search(r"^coarse +examples +2026 ", capfd.readouterr().out, re.MULTILINE)
    assert main(["models", "--json"]) == 0
    entries = {entry["name"]: entry for entry in json.loads(capfd.readouterr().out)["architectures"]}
    assert entries["coarse"]["settings"] == {"depth": {"usual": 3, "choices": [3, 2, 4]}}
    assert entries["coarse"]["stride"] == 8
    assert 0 < entries["coarse"]["parameters"] < entries["unet"]["parameters"]
    assert entries["coarse"]["paper"] is None


def test_it_is_in_the_help(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "unet, coarse (unet)" in " ".join(capfd.readouterr().out.split())


def test_it_is_in_the_page() -> None:
    filled = runpy.run_path(str(ROOT / "tools" / "write_models_page.py"))["filled"]
    page = filled(PAGE, tables(describe()))
    assert "| coarse | examples | 2026 |" in page
    assert "| coarse | scores the coarsest features and enlarges the scores | depth 3, 2, 4 |" in page


def test_it_is_in_the_widget(make_napari_viewer: Callable[[], Viewer]) -> None:
    train = Train(make_napari_viewer())
    assert "coarse" in train.architecture.choices
    train.architecture.value = "coarse"
    assert set(train.depth.choices) == {None, 2, 3, 4}
    train.close()


def test_it_learns_and_is_saved(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 99, (96, 80), np.uint8)
    labels = (image > 50).astype(np.uint8)
    options = {"architecture": "coarse", "depth": 2, "steps": 2, "batch_size": 2, "patch_size": 64}
    segmenter = napari_fcn.train(image, labels, **options)
    assert segmenter.model == ModelConfig(architecture="coarse", depth=2)
    assert segmenter.history["steps"] == 2
    segmenter.save(tmp_path / "coarse.safetensors")
    again = napari_fcn.Segmenter.load(tmp_path / "coarse.safetensors")
    np.testing.assert_array_equal(again.predict(image), segmenter.predict(image))


def test_without_its_file_a_segmenter_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = np.random.default_rng(0).integers(0, 99, (64, 64), np.uint8)
    options = {"architecture": "coarse", "steps": 1, "batch_size": 2, "patch_size": 64}
    napari_fcn.train(image, image > 50, **options).save(tmp_path / "coarse.safetensors")
    monkeypatch.delitem(architectures._entries, "coarse")
    with pytest.raises((UnknownNameError, napari_fcn.errors.SegmenterFileError), match="coarse"):
        napari_fcn.Segmenter.load(tmp_path / "coarse.safetensors")
