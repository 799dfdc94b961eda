"""Random kills: a training that is killed again and again ends with the weights of one that nobody disturbed.

    python benchmarks/kills.py --kills 50

A small training (U-Net, the shipped tissue images, patches of 64 x 64, checkpoints after every step) runs in a process
of its own, through the command line. It gets SIGKILL after a random time and is resumed, again and again, and after
each kill the run folder is looked through: every file in it must be whole. Whenever it ends by itself, its weights are
compared with the undisturbed training's, and a new one is begun, until there were enough kills.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import napari_fcn as fcn

PROGRAM = """
import sys
import napari_fcn.training.saving as saving
saving.LEAST_SECONDS, saving.SHARE = 0.0, 1.0
from napari_fcn.cli import main
sys.exit(main(sys.argv[1:]))
"""


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    silent = subprocess.DEVNULL
    return subprocess.Popen([sys.executable, "-c", PROGRAM, "train", *arguments], stdout=silent, stderr=silent)


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
    parser.add_argument("--steps", type=int, default=40)
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
    whole = start([*common, str(folder / "whole.safetensors"), "--run-dir", str(folder / "whole")])
    begin = time.perf_counter()
    if whole.wait() != 0:
        raise SystemExit("The undisturbed training failed.")
    longest = time.perf_counter() - begin
    expected = fcn.Segmenter.load(folder / "whole.safetensors").network.state_dict()
    kills = finished = 0
    during: list[int] = []
    run, output = folder / "run", folder / "run.safetensors"
    while kills < arguments.kills or not finished:
        how = ["--resume", str(run)] if (run / "config.json").exists() else ["--run-dir", str(run)]
        if run.exists() and how[0] == "--run-dir":
            shutil.rmtree(run)
        process = start([*common, str(output), *how, "--overwrite"])
        wait = dice.uniform(0.2, 1.2) * longest if kills < arguments.kills else 10 * longest
        try:
            code = process.wait(timeout=wait)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            during.append(look_through(run))
            continue
        if code != 0:
            raise SystemExit(f"A resumed training ended with {code} after {kills} kills.")
        found = fcn.Segmenter.load(output).network.state_dict()
        different = [name for name, tensor in expected.items() if not tensor.equal(found[name])]
        if different:
            raise SystemExit(f"After {kills} kills {len(different)} tensors differ, such as {different[0]}.")
        finished += 1
        shutil.rmtree(run)
        output.unlink()
    at = sorted(step for step in during if step >= 0)
    print(json.dumps({"kills": kills, "finished": finished, "same weights": finished, "killed at steps": at}))
    shutil.rmtree(folder)


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
