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

PROGRAM = """
import json, sys
import torch
from conftest import picture
from napari_fcn.api import prepare_training
image, labels = picture()
training = prepare_training(image, labels, **json.loads(sys.argv[2]))
list(training.run())
folder, workers = sys.argv[1], training.workers
weights = torch.cat([p.detach().flatten() for p in training.network.parameters()])
torch.save(weights, f"{folder}/rank{workers.rank}of{workers.count}.pt")
"""


def run(folder: Path, processes: int, **settings) -> list[torch.Tensor]:
    """The learnt weights of each process."""
    program = folder / "program.py"
    program.write_text(PROGRAM)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), str(program), str(folder), json.dumps(settings)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return [torch.load(folder / f"rank{rank}of{processes}.pt", weights_only=True) for rank in range(processes)]


@pytest.mark.slow
@pytest.mark.parametrize("transfer", ["scratch", "frozen"])
def test_two_processes_train_what_one_does(tmp_path: Path, transfer: str) -> None:
    """The mean of two halves' gradients is the whole's, without batch statistics and with as many labels in each."""
    settings = {
        "steps": 4,
        "patch_size": 64,
        "device": "cpu",
        "loss": "cross_entropy",
        "optimizer": "sgd",
        "rate": 0.05,
        "transfer": transfer,
        "augment": "none",
        "validation": 0.0,
    }
    if transfer == "scratch":
        settings |= {"architecture": "unet-classic", "norm": "group", "width": 8, "depth": 2}
    else:
        settings |= {"architecture": "fcn8s"}
    one, other = run(tmp_path, 2, **settings, batch_size=2)
    assert torch.equal(one, other)
    (alone,) = run(tmp_path, 1, **settings, batch_size=4)
    torch.testing.assert_close(one, alone, rtol=1e-3, atol=2e-4)


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
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "napari_fcn"]
    command += ["train", "--images", str(tmp_path / "images"), "--labels", str(tmp_path / "labels")]
    command += [
        "--output",
        str(output),
        "--steps",
        "2",
        "--patch-size",
        "64",
        "--json",
        "--run-dir",
        str(tmp_path / "run"),
    ]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert len([line for line in done.stdout.splitlines() if line.startswith("{")]) == 1
    fcn.Segmenter.load(output)
    assert (tmp_path / "run" / "best.safetensors").exists()
