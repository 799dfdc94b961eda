"""Random kills: a training that is killed again and again ends with the weights of one that nobody disturbed.

    python benchmarks/kills.py --kills 50

A small training (U-Net, the shipped tissue images, patches of 64 x 64, checkpoints after every step) runs in a process
of its own, as the command line runs it. It gets SIGKILL at a random moment: while it starts, or when it has come to a
random step, so that a busy machine changes nothing. Then it is resumed, again and again, and after each kill the run
folder is looked through: every file in it must be whole. Whenever it ends by itself, its weights are compared with the
undisturbed training's, and a new one is begun, until there were enough kills. Processes are forked from one that has
imported the libraries.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from pathlib import Path

import napari_fcn as fcn

PROCESSES = multiprocessing.get_context("forkserver")
BEYOND = 5
"""A training that is to come so many steps beyond its end, or fewer, ends by itself."""


def train(arguments: list[str]) -> None:
    """The verb `train`, silently, with a checkpoint after every step."""
    from napari_fcn.cli import main as command_line
    from napari_fcn.training import saving

    saving.LEAST_SECONDS, saving.SHARE = 0.0, 1.0
    with (
        Path(os.devnull).open("w") as nowhere,
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
    ):
        raise SystemExit(command_line(["train", *arguments]))


def start(arguments: list[str]) -> BaseProcess:
    process = PROCESSES.Process(target=train, args=(arguments,))
    process.start()
    return process


def last_step(run: Path) -> int:
    """The last step that the run has told of, 0 before the first."""
    events = run / "events.jsonl"
    return events.read_bytes().count(b'"event": "step"') if events.exists() else 0


def wait_for(process: BaseProcess, run: Path, step: int) -> None:
    """Wait until a run has come to a step, or has ended."""
    while process.is_alive() and last_step(run) < step:
        time.sleep(0.002)


def look_through(run: Path) -> int:
    """The step of the checkpoint, -1 without one; raises when a file is broken."""
    from napari_fcn.training import RunFolder

    if not (run / "config.json").exists():
        return -1
    with RunFolder.open(run) as folder:
        found = folder.load_checkpoint()
        folder.events()
    best = run / "best.safetensors"
    if best.exists():
        fcn.Segmenter.load(best)
    return -1 if found is None else int(found[1]["record"]["step"])


def main() -> None:
    """Kill, resume, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    dice = random.Random(arguments.seed)
    folder = Path(tempfile.mkdtemp(prefix="kills-"))
    from napari_fcn import samples
    from napari_fcn.io import write_labels

    sample = samples.load("nuclei")
    (folder / "images").mkdir()
    import imageio.v3 as imageio

    for number, (image, label) in enumerate(zip(sample.train_images[:2], sample.train_labels[:2], strict=True)):
        imageio.imwrite(folder / "images" / f"{number}.png", image[:192, :192])
        write_labels(folder / "labels" / f"{number}.png", label[:192, :192])
    common = ["--images", str(folder / "images"), "--labels", str(folder / "labels"), "--steps", str(arguments.steps)]
    common += ["--patch-size", "64", "--batch-size", "2", "--output"]
    start([*common, str(folder / "first.safetensors")]).join()  # the processes' parent starts, and files are read
    begin = time.perf_counter()
    whole = start([*common, str(folder / "whole.safetensors"), "--run-dir", str(folder / "whole")])
    wait_for(whole, folder / "whole", 1)
    starting = time.perf_counter() - begin
    whole.join()
    if whole.exitcode != 0:
        raise SystemExit("The undisturbed training failed.")
    a_step = (time.perf_counter() - begin - starting) / arguments.steps
    expected = fcn.Segmenter.load(folder / "whole.safetensors").network.state_dict()
    kills = finished = 0
    during: list[int] = []
    run, output = folder / "run", folder / "run.safetensors"
    while kills < arguments.kills or not finished:
        how = ["--resume", str(run)] if (run / "config.json").exists() else ["--run-dir", str(run)]
        if run.exists() and how[0] == "--run-dir":
            shutil.rmtree(run)
        process = start([*common, str(output), *how, "--overwrite"])
        reached, wanted = last_step(run), dice.randint(0, arguments.steps + BEYOND)
        if wanted > reached:
            wait_for(process, run, wanted)
            time.sleep(dice.uniform(0.0, a_step))
        else:
            time.sleep(dice.uniform(0.0, starting))
        if kills == arguments.kills:
            process.join()
        if process.is_alive():
            process.kill()
            process.join()
            kills += 1
            during.append(look_through(run))
            continue
        if process.exitcode != 0:
            raise SystemExit(f"A resumed training ended with {process.exitcode} after {kills} kills.")
        found = fcn.Segmenter.load(output).network.state_dict()
        different = [name for name, tensor in expected.items() if not tensor.equal(found[name])]
        if different:
            raise SystemExit(f"After {kills} kills {len(different)} tensors differ, such as {different[0]}.")
        finished += 1
        shutil.rmtree(run)
        output.unlink()
    at = dict(sorted(Counter(during).items()))
    print(json.dumps({"kills": kills, "finished": finished, "same weights": finished, "kills after step": at}))
    print("-1 is before the first checkpoint.")
    shutil.rmtree(folder)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    PROCESSES.set_forkserver_preload(["napari_fcn.api", "torch", "timm", "segmentation_models_pytorch"])
    main()
