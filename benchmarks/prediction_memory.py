"""Peak memory of prediction, beside the formula of docs/prediction.md.

    python benchmarks/prediction_memory.py

A small network, so that what lies around it counts, in a process of its own for each tile size and number of classes:
noise of 6000 pixels width, three rows of tiles, from a Zarr into a Zarr. The peak is measured above the memory that the
process has when network and tiles are ready.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

WIDTH = 6000
SETTINGS = [(tile, classes) for tile in (256, 512, 1024) for classes in (2, 8, 32) if tile * classes <= 8192]


def formula(predictor, classes: int, *, shared: int) -> float:
    """Bytes, as docs/prediction.md says, for uint8 images of one channel and labels of one byte."""
    from napari_fcn.inference.footprint import bytes_per_pixel

    tile = predictor.grid.tile_height * predictor.grid.tile_width
    width = predictor.planes.width
    features = bytes_per_pixel(predictor.network, 1) * tile
    return features + 4 * classes * (10 * tile + shared * width) + 30 * tile + (shared + 512) * width


def run(tile: int, classes: int) -> dict:
    import psutil
    import torch
    import zarr

    from napari_fcn.config import ModelConfig
    from napari_fcn.data import ClassTable, Normalization
    from napari_fcn.inference.predictor import Output
    from napari_fcn.io.store import StoreSink
    from napari_fcn.models import NetworkSpec, build
    from napari_fcn.segmenter import Segmenter

    torch.manual_seed(0)
    model = ModelConfig(architecture="unet-classic", depth=1, width=4, convolutions=1)
    network = build(NetworkSpec(model, 1, classes)).eval()
    table = ClassTable.from_labels([np.arange(classes)], zero="background")
    segmenter = Segmenter(network, model, 1, table, Normalization("image"))
    with tempfile.TemporaryDirectory() as folder:
        shape = (3 * tile - 2 * 64, WIDTH)
        image = zarr.create_array(str(Path(folder) / "image.zarr"), shape=shape, dtype="uint8", chunks=(256, 256))
        random = np.random.default_rng(0)
        for top in range(0, shape[0], 256):
            image[top : top + 256] = random.integers(0, 200, (min(256, shape[0] - top), WIDTH), np.uint8)
        predictor = segmenter.predictor(image, "YX", tile_size=tile, device="cpu", engine="float32")
        predictor._forward(np.zeros((1, 1, 64, 64), np.float32))
        sink = StoreSink(Path(folder) / "labels.zarr", predictor.frame, "uint8")
        process = psutil.Process()
        before = process.memory_info().rss
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak begins anew
        for _ in predictor.write([Output("labels", sink)]):
            pass
        sink.finish()
        status = Path("/proc/self/status").read_text(encoding="ascii")
        peak = 1024 * int(status.split("VmHWM:")[1].split()[0])
        overlap = predictor.grid.tile_height - predictor.grid.rows[1]
        said = formula(predictor, classes, shared=overlap)
    return {"tile": tile, "classes": classes, "measured MB": (peak - before) / 1e6, "formula MB": said / 1e6}


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(run(*map(int, sys.argv[1:]))))
        return
    print("| tile | classes | measured MB | formula MB |\n|---|---|---|---|")
    for tile, classes in SETTINGS:
        command = [sys.executable, "-W", "ignore", __file__, str(tile), str(classes)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        print(f"| {tile} | {classes} | {found['measured MB']:.0f} | {found['formula MB']:.0f} |", flush=True)


if __name__ == "__main__":
    main()
