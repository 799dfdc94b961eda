"""Two processes train the model that one process with the whole batch trains."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import napari_fcn as fcn

from .conftest import picture

PROGRAM = """
import json, sys
import torch
from conftest import picture
from napari_fcn.api import prepare_training
image, labels = picture()
for name, settings in json.loads(sys.argv[2]).items():
    training = prepare_training(image, labels, **settings)
    list(training.run())
    weights = torch.cat([p.detach().flatten() for p in training.network.parameters()])
    torch.save(weights, f"{sys.argv[1]}/{name}{training.workers.rank}of{training.workers.count}.pt")
"""

ALIKE = {
    "steps": 4,
    "patch_size": 64,
    "device": "cpu",
    "loss": "cross_entropy",
    "optimizer": "sgd",
    "rate": 0.05,
    "augment": "none",
    "validation": 0.0,
}
SETTINGS = {
    "scratch": {
        **ALIKE, "transfer": "scratch", "architecture": "unet-classic", "norm": "group", "width": 8, "depth": 2
    },
    "frozen": {**ALIKE, "transfer": "frozen", "architecture": "fcn8s"},
}  # fmt: skip


def launch(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Start a program in two processes that know of each other, and wait for them."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with what two processes have learnt, two patches in a step."""
    folder = tmp_path_factory.mktemp("together")
    program = folder / "program.py"
    program.write_text(PROGRAM)
    launch(program, folder, json.dumps({name: {**settings, "batch_size": 2} for name, settings in SETTINGS.items()}))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_two_processes_train_what_one_does(together: Path, name: str) -> None:
    """The mean of two halves' gradients is the whole's, without batch statistics and with as many labels in each."""
    one, other = (torch.load(together / f"{name}{rank}of2.pt", weights_only=True) for rank in range(2))
    assert torch.equal(one, other)
    image, labels = picture()
    alone = fcn.prepare_training(image, labels, **SETTINGS[name], batch_size=4)
    list(alone.run())
    weights = torch.cat([parameter.detach().flatten() for parameter in alone.network.parameters()])
    torch.testing.assert_close(one, weights, rtol=1e-3, atol=2e-4)


@pytest.mark.slow
def test_the_command_line_writes_once(tmp_path: Path) -> None:
    import imageio.v3 as imageio

    from napari_fcn import samples
    from napari_fcn.io import write_labels

    sample = samples.load("nuclei")
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    imageio.imwrite(tmp_path / "images" / "a.png", sample.train_images[0][:160, :160])
    write_labels(tmp_path / "labels" / "a.png", sample.train_labels[0][:160, :160])
    output = tmp_path / "model.safetensors"
    files = ("--images", tmp_path / "images", "--labels", tmp_path / "labels", "--output", output)
    more = ("--steps", 2, "--patch-size", 64, "--json", "--run-dir", tmp_path / "run")
    small = ("--architecture", "unet-classic", "--width", 8, "--depth", 2)
    done = launch("-m", "napari_fcn", "train", *files, *more, *small)
    assert len([line for line in done.stdout.splitlines() if line.startswith("{")]) == 1
    fcn.Segmenter.load(output)
    assert (tmp_path / "run" / "best.safetensors").exists()
