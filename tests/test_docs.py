"""The documentation says what the package has, and its commands are ones that there are."""

import re
import runpy
import shlex
from pathlib import Path

import pytest

from napari_fcn.cli import _parser
from napari_fcn.cli.catalogue import describe, tables
from napari_fcn.cli.options import given_settings
from napari_fcn.config import DataConfig, ModelConfig, TrainingConfig
from napari_fcn.options import split

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")


def test_the_tables_of_the_models_page_are_those_of_the_registries() -> None:
    filled = runpy.run_path(str(ROOT / "tools" / "write_models_page.py"))["filled"]
    made = tables(describe())
    assert all(f"<!-- table: {table.name} -->" in PAGE for table in made)
    assert filled(PAGE, made) == PAGE, "docs/models.md is old; `.venv/bin/python tools/write_models_page.py` renews it."


COMMANDS = [
    command
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for command in re.findall(r"^napari-fcn (?:train|find-rate) .*$", page.read_text(encoding="utf-8"), re.MULTILINE)
]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_pages_are_right(command: str) -> None:
    arguments = _parser().parse_args(shlex.split(command)[1:])
    stages = (ModelConfig, DataConfig, TrainingConfig)
    split(given_settings(arguments, *stages), *stages)
