"""Time and peak memory of whole runs of `napari-fcn predict` over images that are larger than the memory they may take.

    python benchmarks/prediction_large.py FOLDER [--only dense|sparse] [--model FILE]

Two uint8 Zarrs are made in FOLDER, if they are not there: `dense`, 20,000 x 20,000 pixels of a sample of nuclei and its
mirror images, and `sparse`, 60,000 x 60,000 pixels that are 0 but for twelve squares of 1500 pixels. Each is segmented
into a Zarr by a process of its own, whose peak resident memory, and nothing else, is reported in millions of bytes. The
network is that of `prediction.py`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import zarr
from prediction import image_of, train

CHUNK = 512
SQUARES = [(column * 9000 + 3000, row * 18000 + 5000) for row in range(3) for column in range(4)]


def make_dense(path: Path) -> None:
    array = zarr.create_array(path, shape=(20_000, 20_000), chunks=(CHUNK, CHUNK), dtype="uint8")
    texture = image_of(4096)
    for top in range(0, 20_000, CHUNK):
        rows = texture[(top + np.arange(min(CHUNK, 20_000 - top))) % 4096]
        array[top : top + CHUNK] = np.tile(rows, (1, 5))[:, :20_000]


def make_sparse(path: Path) -> None:
    array = zarr.create_array(path, shape=(60_000, 60_000), chunks=(CHUNK, CHUNK), dtype="uint8", fill_value=0)
    texture = image_of(1500)
    for left, top in SQUARES:
        array[top : top + 1500, left : left + 1500] = texture


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", choices=["dense", "sparse"])
    parser.add_argument(
        "--model", type=Path, help="where the network is; FOLDER/model.safetensors, made there, if not given"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with a run that was stopped; its own peak is reported"
    )
    parser.add_argument("--make", action="store_true", help="only make the images and the network")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    model = arguments.model or arguments.folder / "model.safetensors"
    if not model.exists():
        train(model)
    print("| image | peak MB | s |\n|---|---|---|")
    for name, make in (("dense", make_dense), ("sparse", make_sparse)):
        if arguments.only not in (None, name):
            continue
        image, labels = arguments.folder / f"{name}.zarr", arguments.folder / f"{name}-labels.zarr"
        if not image.exists():
            make(image)
        if arguments.make:
            continue
        if not arguments.resume:
            shutil.rmtree(labels, ignore_errors=True)
        program = "import sys; from napari_fcn.cli import main; sys.exit(main(sys.argv[1:]))"
        options = ["--model", str(model), "--images", str(image), "--output", str(labels), "--axes", "YX"]
        options += ["--resume"] if arguments.resume else []
        begin = time.perf_counter()
        process = subprocess.Popen([sys.executable, "-c", program, "predict", *options], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"The run ended with status {status}.")
        print(f"| {name} | {usage.ru_maxrss * 1024 / 1e6:.0f} | {time.perf_counter() - begin:.0f} |", flush=True)
        found = zarr.open_array(labels)
        print(f"{found.shape}, {found.dtype}, classes {np.unique(found[::97, ::97]).tolist()}", file=sys.stderr)


if __name__ == "__main__":
    main()
