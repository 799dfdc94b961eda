"""How fast a large image is segmented, beside MONAI's sliding windows and beside the limit.

    python benchmarks/prediction.py [--size 4096] [--rivals FOLDER] [--model FILE]

The network is a U-Net with the built-in encoder, one channel, 3 classes: background, nuclei and their outlines, learnt
from the sample "nuclei" for 60 steps, because what reduced precision changes is measured in labels, and labels of
random weights are near-ties. The image is another of these samples, continued by its mirror image. All contestants
have the same weights and compute in turn, in one process each, so that their peak memory is their own:

- choice: what finding the fastest engine takes, once for each machine and network;
- ours: `Segmenter.predict`, blended tiles with 64 pixels of overlap; the engine was chosen before, in a process of its
  own, as MONAI's setting was. Reading the graph and compiling it count;
- MONAI as people call it: `sliding_window_inference` with tiles of 256, a quarter of overlap, Gaussian, in fp32;
- MONAI's best setting: of tile sizes, memory formats and, where the processor has it, bfloat16, each with 64 pixels of
  overlap, the one that takes the fewest processor seconds on a part. Standardising the image is not counted;
- the limit: forward passes over as many pixels without overlap or blending, in the fastest precision, engine and tile
  size, everything compiled before.

MONAI's network is the same one as segmentation-models-pytorch builds it, as people have it. `--rivals` is a folder that
MONAI was installed into (`pip install --no-deps --target FOLDER monai`), if it is not in the environment.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

CONTESTANTS = ("choice", "ours", "monai", "monai-best", "limit")
SIDES = (256, 512, 768)
"""Sides of windows that the limit is tried with, beside that of our tiles."""
PART = 960
"""Side of the part on which MONAI's settings are tried: 4 tiles of 512, or one of 1024."""


def grey(image: np.ndarray) -> np.ndarray:
    return image[..., :3].mean(-1).astype(np.uint8)


def image_of(size: int) -> np.ndarray:
    from napari_fcn import samples

    image = grey(samples.load("nuclei").test_images[0])
    return np.pad(image, [(0, max(0, size - side)) for side in image.shape], mode="symmetric")[:size, :size]


def train(path: Path) -> None:
    """A network that knows background, nuclei and their outlines."""
    from scipy import ndimage

    import napari_fcn
    from napari_fcn import samples

    sample = samples.load("nuclei")
    labels = []
    for truth in sample.train_labels:
        inside = truth > 0
        outline = inside & ~ndimage.binary_erosion(inside, iterations=2)
        labels.append(inside.astype(np.uint8) + outline)
    images = [grey(image) for image in sample.train_images]
    settings = {"steps": 60, "patch_size": 128, "batch_size": 4, "zero": "background", "seed": 0, "device": "cpu"}
    napari_fcn.train(images, labels, axes="YX", **settings).save(path)


def plain_network(network):
    """The same weights in the network that segmentation-models-pytorch builds."""
    import segmentation_models_pytorch as smp

    widths = [block.conv2[0].out_channels for block in network.decoder.blocks]
    plain = smp.Unet(
        "tu-tf_efficientnet_lite0", encoder_weights=None, in_channels=1, classes=3, decoder_channels=widths
    ).eval()
    plain.encoder.load_state_dict(network.encoder.state_dict())
    plain.decoder.load_state_dict(network.decoder.state_dict())
    plain.segmentation_head.load_state_dict(network.head.state_dict())
    return plain


def monai_predict(network, values: torch.Tensor, tile: int, overlap: float, layout: str, precision: str) -> np.ndarray:
    """Labels of standardised values `(1, 1, H, W)`."""
    from monai.inferers import sliding_window_inference

    def predict(windows):
        if layout == "channels last":
            windows = windows.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return network(windows).float()

    layouts = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    network = network.to(memory_format=layouts[layout])
    with torch.inference_mode():
        logits = sliding_window_inference(values, tile, 4, predict, overlap=overlap, mode="gaussian")
        return logits.argmax(1)[0].numpy().astype(np.uint8)


def monai_settings(network, values: torch.Tensor) -> list[dict]:
    """Settings, and what each is expected to take, by its time on a part and the number of tiles of the whole image."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    precisions = ["fp32"] + (["bf16"] if {"amx_bf16", "avx512_bf16"} & set(flags) else [])
    found = []
    for tile in (512, 1024):
        for layout in ("contiguous", "channels last"):
            for precision in precisions:
                settings = {"tile": tile, "overlap": 64 / tile, "layout": layout, "precision": precision}
                _, took = timed(partial(monai_predict, network, values[..., :PART, :PART], **settings))
                more = tiles(values.shape[-1], tile) / tiles(PART, tile)
                found.append({**settings, **{name: value * more for name, value in took.items()}})
                print(found[-1], file=sys.stderr, flush=True)
    return found


def tiles(size: int, tile: int) -> int:
    """How many tiles with 64 pixels of overlap a square image gets."""
    return (-(-max(size - tile, 0) // (tile - 64)) + 1) ** 2


def timed(call: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    begin, clock = time.perf_counter(), time.process_time()
    result = call()
    return result, {"seconds": time.perf_counter() - begin, "cpu seconds": time.process_time() - clock}


def passes(predictor: Any, image: np.ndarray, side: int, pixels: int) -> dict[str, float]:
    """What forward passes over `pixels` in windows of `side` take, compiled before."""
    from napari_fcn.inference.ways import streams_of

    window = predictor.normalization.apply(image[None, :side, :side], predictor.statistics)[0][None]
    streams = streams_of(predictor.way)
    count = -(-pixels // side**2 // streams) * streams
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(predictor._forward, [window] * 2 * streams))
        _, took = timed(lambda: list(pool.map(predictor._forward, [window] * count)))
    return {name: value * pixels / (count * side**2) for name, value in took.items()}


def run(contestant: str, size: int, path: Path, labels_file: Path | None) -> dict:
    """One contestant in this process: seconds and peak memory."""
    from napari_fcn import Segmenter
    from napari_fcn.data import Planes

    image, model = image_of(size), Segmenter.load(path)
    if contestant in ("choice", "ours", "limit"):
        predictor, took = timed(lambda: model.predictor(image, "YX", device="cpu"))
        facts = {"engine": predictor.way, "tile": predictor.grid.tile_height}
        if predictor.way.startswith("openvino"):
            import openvino  # noqa: F401  # programs are loaded before the clock starts
    else:
        network = plain_network(model.network)
        planes = Planes(image, "YX")
        values = torch.from_numpy(model.normalization.apply(image[None], model.normalization.fit(planes))[0][None])
        facts = {"tile": 256, "overlap": 0.25, "layout": "contiguous", "precision": "fp32"}
        monai_predict(network, values[..., :512, :512], **facts)
        if contestant == "monai-best":
            best = min(monai_settings(network, values), key=lambda entry: entry["cpu seconds"])
            facts = {name: best[name] for name in facts}
        labels, took = timed(lambda: monai_predict(network, values, **facts))
    if contestant == "ours":
        labels, took = timed(lambda: model.predict(image, "YX", device="cpu"))
    elif contestant == "limit":
        tried = {side: passes(predictor, image, side, size**2 // 4)["seconds"] for side in {*SIDES, facts["tile"]}}
        facts["tile"] = min(tried, key=tried.__getitem__)
        took = passes(predictor, image, facts["tile"], size**2)
    if labels_file is not None and contestant not in ("choice", "limit"):
        np.save(labels_file, labels)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    return {**took, "peak MB": peak, **facts}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=4096, help="side of the image in pixels (%(default)s)")
    parser.add_argument("--rivals", help="folder that MONAI was installed into")
    parser.add_argument("--model", type=Path, help="where the network is, or goes when it is not there")
    parser.add_argument("--only", choices=CONTESTANTS, help="run one contestant in this process, print JSON")
    parser.add_argument("--labels", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rivals:
        sys.path.append(arguments.rivals)
    if arguments.only:
        print(json.dumps(run(arguments.only, arguments.size, arguments.model, arguments.labels)))
        return
    found, labels = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or Path(folder) / "model.safetensors"
        if not model.exists():
            train(model)
        for name in CONTESTANTS:
            file = Path(folder) / f"{name}.npy"
            options = ["--size", str(arguments.size), "--model", str(model), "--only", name, "--labels", str(file)]
            options += ["--rivals", arguments.rivals] if arguments.rivals else []
            command = [sys.executable, "-W", "ignore", __file__, *options]
            environment = {**os.environ, "XDG_CACHE_HOME": folder}  # nothing is remembered but from the choice
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
            found[name] = json.loads(done.stdout.splitlines()[-1])
            if file.exists():
                labels[name] = np.load(file)
            print(name, found[name], file=sys.stderr, flush=True)
    print(f"{arguments.size} x {arguments.size}, {torch.get_num_threads()} threads\n")
    print("| | wall s | CPU s | peak MB | / ours, wall | labels as ours |")
    print("|---|---|---|---|---|---|")
    for name, facts in found.items():
        cells = [f"{facts[key]:.{digits}f}" for key, digits in (("seconds", 1), ("cpu seconds", 1), ("peak MB", 0))]
        ratio = facts["seconds"] / found["ours"]["seconds"]
        same = f"{(labels[name] == labels['ours']).mean():.2%}" if name in labels else ""
        print("| " + " | ".join([name, *cells, f"{ratio:.2f}", same]) + " |")


if __name__ == "__main__":
    main()
