"""The pages about filters and scores say what there is, and what they show runs."""

import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest

import napari_fcn as fcn
from napari_fcn.cli import _parser
from napari_fcn.imaging import Chain

ROOT = Path(__file__).parents[1]
PROCESS = (ROOT / "docs" / "process.md").read_text(encoding="utf-8")
EVALUATE = (ROOT / "docs" / "evaluate.md").read_text(encoding="utf-8")


def test_the_tables_of_the_filters_are_those_of_the_registry() -> None:
    filled = runpy.run_path(str(ROOT / "tools" / "write_process_page.py"))["filled"]
    assert filled(PROCESS) == PROCESS, (
        "docs/process.md is old; `.venv/bin/python tools/write_process_page.py` renews it."
    )


@pytest.mark.parametrize("command", re.findall(r"^napari-fcn process .*$", PROCESS, re.MULTILINE))
def test_the_commands_are_right(command: str) -> None:
    assert Chain.parse(_parser().parse_args(shlex.split(command)[1:]).filters)


def test_the_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 99, (64, 64), np.uint8)
    truth = (image > 50).astype(np.uint8)
    snippet = re.findall(r"```python\n(.*?)```", EVALUATE, re.DOTALL)[0]
    exec(snippet, {"prediction": np.roll(truth, 1), "truth": truth})  # noqa: S102 (it is ours)
    assert "pixel accuracy" in capsys.readouterr().out
    snippet = re.findall(r"```python\n(.*?)```", PROCESS, re.DOTALL)[0]
    names = {"image": image, "labels": truth}
    short = snippet.replace('preprocess="median:radius=2"', 'preprocess="median:radius=2", steps=1, batch_size=1')
    assert short != snippet
    exec(short, names)  # noqa: S102
    assert str(names["segmenter"].preprocess) == "median"
    assert isinstance(names["segmenter"], fcn.Segmenter)


def test_the_pictures_are_there() -> None:
    for page in (PROCESS, EVALUATE):
        for picture in re.findall(r"\]\((images/.*?)\)", page):
            assert (ROOT / "docs" / picture).stat().st_size < 400_000
