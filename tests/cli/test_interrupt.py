"""Ctrl-C keeps what was learnt, says so, and leaves nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from napari_fcn import Segmenter
from napari_fcn.io import read_labels

# A shell starts what runs in the background with Ctrl-C ignored, and its children inherit that.
COMMAND = (
    sys.executable,
    "-c",
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from napari_fcn.cli import main; sys.exit(main())",
)

SMALL = ("--architecture", "unet-classic", "--width", 8, "--depth", 2)

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")


def start(*arguments):
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def interrupt_after(process, words):
    """Wait until the process says `words` on stderr, then press Ctrl-C; everything that it said."""
    said = []
    for line in process.stderr:
        said.append(line)
        if words in line:
            break
    else:
        pytest.fail("".join(said))
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=120)
    return out, "".join(said) + rest


@pytest.mark.parametrize("as_json", [False, True])
def test_training_is_kept(data, as_json):
    model = data / "model.safetensors"
    paths = ("--images", data / "images", "--labels", data / "labels", "--output", model)
    more = ("--time-budget", 300, "--batch-size", 1, "--patch-size", 64, *SMALL, *(["--json"] if as_json else []))
    process = start("train", *paths, *more)
    out, err = interrupt_after(process, "step     0")
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert str(model) in (err if as_json else out)
    assert Segmenter.load(model).history["steps"] >= 1
    assert sorted(path.name for path in data.iterdir()) == ["images", "labels", "model.safetensors"]
    if as_json:
        assert json.loads(out)["output"] == str(model)


def test_second_ctrl_c_stops_at_once(data):
    paths = ("--images", data / "images", "--labels", data / "labels", "--output", data / "model.safetensors")
    process = start("train", *paths, "--time-budget", 300, "--batch-size", 64, "--patch-size", 192)
    for line in process.stderr:
        if "parameters learn" in line:
            break
    process.send_signal(signal.SIGINT)
    for line in process.stderr:
        if "Stopping" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert not [path for path in data.iterdir() if "partial" in path.name]


def test_images_that_were_segmented_stay(data, trained):
    large = np.zeros((1600, 1600), np.uint8)
    large[::7] = 200
    for number in range(1, 9):
        Image.fromarray(large).save(data / "images" / f"{number}.png")
    process = start("predict", "--model", trained, "--images", data / "images", "--output", data / "out")
    first = data / "out" / "0.png"
    for _ in range(1200):
        if first.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert "of 9 images" in err
    assert "Traceback" not in err
    assert read_labels(first).shape == (192, 160)
    assert not [path for path in (data / "out").iterdir() if "partial" in path.name]
