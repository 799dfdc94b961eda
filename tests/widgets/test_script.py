"""Copied scripts do what the widget did: both are run, and their results compared."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from qtpy.QtGui import QGuiApplication

from napari_fcn import Segmenter, samples
from napari_fcn.cli import main
from napari_fcn.widgets import Segment, Train
from napari_fcn.widgets.script import command

SHORT = {"steps": 2, "batch_size": 1, "patch_size": 64, "zero": "background", "label_smoothing": 0.05}


def add_nuclei(viewer: napari.Viewer) -> tuple[Any, Any]:
    sample = samples.load("nuclei")
    image = viewer.add_image(sample.train_images[0][:96, :96], name="cells / 1", rgb=True)
    labels = viewer.add_labels(sample.train_labels[0][:96, :96].astype(np.uint8), name="painted")
    labels.features = {"index": [0, 1], "name": ["tissue", "nucleus"]}
    return image, labels


def run_python(program: str, tmp_path: Path) -> None:
    file = tmp_path / "repeat.py"
    file.write_text(program, encoding="utf-8")
    subprocess.run([sys.executable, str(file)], check=True, timeout=300)


@pytest.mark.slow
def test_training_and_segmenting_repeat_to_the_last_pixel(
    viewer: napari.Viewer, train: Train, segment: Segment, tmp_path: Path
) -> None:
    image, _ = add_nuclei(viewer)
    train(image=image, **SHORT)
    here = train.wait(120)
    script = train.script(tmp_path / "training")
    run_python(script.python, tmp_path)
    output = tmp_path / "training" / "segmenter.safetensors"
    by_python = Segmenter.load(output)
    assert by_python.classes == here.classes
    assert main([*shlex.split(script.command)[1:], "--overwrite"]) == 0
    by_command = Segmenter.load(output)
    for other in (by_python, by_command):
        for mine, theirs in zip(here.network.state_dict().values(), other.network.state_dict().values(), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())

    segment(image=image, tile_size=64, overlap=16)
    labels = segment.wait(60).data
    script = segment.script(tmp_path / "segmenting")
    result = tmp_path / "segmenting" / "labels.npy"
    run_python(script.python, tmp_path)
    np.testing.assert_array_equal(np.load(result), labels)
    assert main([*shlex.split(script.command)[1:], "--overwrite"]) == 0
    np.testing.assert_array_equal(np.load(result), labels)


def test_only_what_differs_from_the_usual_is_written_and_it_can_be_pasted(
    viewer: napari.Viewer, train: Train, tmp_path: Path
) -> None:
    add_nuclei(viewer)
    script = train.script(tmp_path)
    assert "rate" not in script.command
    assert "--time-budget 60" in script.command
    train.rate.value = 0.01
    script = train.script(tmp_path)
    assert "--rate 0.01" in script.command
    assert "rate=0.01" in script.python
    script.copy()
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    compile(clipboard.text(), "clipboard", "exec")
    assert script.command in clipboard.text()


def test_a_segmenter_to_start_from_is_written_too(viewer: napari.Viewer, train: Train, tmp_path: Path) -> None:
    add_nuclei(viewer)
    train(**SHORT)
    train.wait(60)
    from napari_fcn.widgets.store import segmenters

    train.start.value = next(iter(segmenters))
    script = train.script(tmp_path)
    assert f"--init {tmp_path / 'start.safetensors'}" in script.command
    assert Segmenter.load(tmp_path / "start.safetensors").classes == segmenters[train.start.value].classes


def test_values_with_spaces_and_lists_are_quoted() -> None:
    line = command("train", {"images": "my images", "channels": (2, 1), "rate": 1e-4, "loss": "dice+focal"})
    assert line == "napari-fcn train --images 'my images' --channels 2,1 --rate 0.0001 --loss dice+focal"
