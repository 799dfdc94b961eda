"""How fast a large image is segmented, beside MONAI's sliding windows and beside the limit.

    python benchmarks/prediction.py [--size 4096] [--rivals FOLDER]

The network is a U-Net with the built-in encoder, one channel, 3 classes; the image is noise on top of a smooth
texture. All contestants have the same weights and compute in turn, in one process each, so that their peak memory is
their own:

- ours: `Segmenter.predict`, blended tiles with 64 pixels of overlap; the engine was chosen before, as MONAI's setting
  was, and the time to compile its graph counts;
- MONAI as people call it: `sliding_window_inference` with tiles of 256, a quarter of overlap, Gaussian, in fp32;
- MONAI's best setting: the fastest of tile sizes, memory formats and, where the processor has it, bfloat16, each with
  64 pixels of overlap, tried on a quarter of the image's side;
- the limit: forward passes over the same pixels without overlap or blending, in the fastest precision and engine.

MONAI's network is the same one as segmentation-models-pytorch builds it, as people have it. `--rivals` is a folder that
MONAI was installed into (`pip install --no-deps --target FOLDER monai`), if it is not in the environment.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch

CONTESTANTS = ("ours", "monai", "monai-best", "limit")


def image_of(size: int) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    texture = np.sin(rows / 37) * np.cos(columns / 53) * 60 + 128
    return (texture + np.random.default_rng(0).normal(0, 20, (size, size))).clip(0, 255).astype(np.uint8)


def segmenter():
    from napari_fcn.config import ModelConfig
    from napari_fcn.data import ClassTable, Normalization
    from napari_fcn.models import NetworkSpec, build
    from napari_fcn.segmenter import Segmenter

    torch.manual_seed(0)
    network = build(NetworkSpec(ModelConfig(), 1, 3)).eval()
    return Segmenter(
        network, ModelConfig(), 1, ClassTable.from_labels([np.arange(3)], zero="background"), Normalization("image")
    )


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


def standardised(image: np.ndarray) -> torch.Tensor:
    values = image.astype(np.float32)
    values -= values.mean()
    values /= values.std()
    return torch.from_numpy(values)[None, None]


def monai_predict(network, image: np.ndarray, tile: int, overlap: float, layout: str, precision: str) -> np.ndarray:
    from monai.inferers import sliding_window_inference

    def predict(windows):
        if layout == "channels last":
            windows = windows.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            return network(windows).float()

    if layout == "channels last":
        network = network.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        logits = sliding_window_inference(standardised(image), tile, 4, predict, overlap=overlap, mode="gaussian")
        return logits.argmax(1)[0].numpy().astype(np.uint8)


def best_monai(network, image: np.ndarray) -> dict:
    """The fastest settings on a part of the image."""
    from napari_fcn.inference.engine import choose_engine

    precisions = ["fp32"] + (["bf16"] if choose_engine("cpu").precision == "bfloat16" else [])
    side = max(1024, len(image) // 4)
    part = image[:side, :side]
    found = []
    for tile in (512, 1024):
        for layout in ("contiguous", "channels last"):
            for precision in precisions:
                begin = time.perf_counter()
                settings = {"tile": tile, "overlap": 64 / tile, "layout": layout, "precision": precision}
                monai_predict(network, part, **settings)
                found.append((time.perf_counter() - begin, settings))
    return min(found, key=lambda entry: entry[0])[1]


def run(contestant: str, size: int) -> dict:
    """One contestant in this process: seconds and peak memory."""
    image, model, facts = image_of(size), segmenter(), {}
    if contestant == "ours":
        model.predictor(image, "YX", device="cpu")  # the engine is chosen, once for this machine and network
        begin, clock = time.perf_counter(), time.process_time()
        labels = model.predict(image, "YX", device="cpu")
    elif contestant == "limit":
        predictor = model.predictor(image, "YX", device="cpu")
        grid, forward = predictor.grid, predictor._forward
        window = np.zeros((1, 1, grid.tile_height, grid.tile_width), np.float32)
        forward(window)
        begin, clock = time.perf_counter(), time.process_time()
        done = 0
        while done < size * size:  # the last one only as far as it counts
            rows = min(grid.tile_height, -(-(size * size - done) // grid.tile_width // 32) * 32 or 32)
            forward(np.ascontiguousarray(window[:, :, :rows]))
            done += rows * grid.tile_width
        labels = None
        facts = {"engine": predictor.way, "tile": [grid.tile_height, grid.tile_width]}
    else:
        network = plain_network(model.network)
        settings = {"tile": 256, "overlap": 0.25, "layout": "contiguous", "precision": "fp32"}
        monai_predict(network, image[:512, :512], **settings)
        if contestant == "monai-best":
            facts = settings = best_monai(network, image)
        begin, clock = time.perf_counter(), time.process_time()
        labels = monai_predict(network, image, **settings)
    seconds, used = time.perf_counter() - begin, time.process_time() - clock
    if labels is not None:
        facts["classes found"] = np.bincount(labels.ravel(), minlength=3).tolist()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {"seconds": seconds, "cpu seconds": used, "peak MB": peak, **facts}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=4096, help="side of the image in pixels (%(default)s)")
    parser.add_argument("--rivals", help="folder that MONAI was installed into")
    parser.add_argument("--only", choices=CONTESTANTS, help="run one contestant in this process, print JSON")
    arguments = parser.parse_args()
    if arguments.rivals:
        sys.path.append(arguments.rivals)
    if arguments.only:
        print(json.dumps(run(arguments.only, arguments.size)))
        return
    found = {}
    for name in CONTESTANTS:
        more = ["--rivals", arguments.rivals] if arguments.rivals else []
        command = [sys.executable, "-W", "ignore", __file__, "--size", str(arguments.size), "--only", name, *more]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
        print(name, found[name], file=sys.stderr, flush=True)
    print(f"{arguments.size} x {arguments.size}, {torch.get_num_threads()} threads\n")
    print("| | wall s | CPU s | peak MB | / ours, wall | / ours, CPU |")
    print("|---|---|---|---|---|---|")
    for name, facts in found.items():
        ratios = [facts[key] / found["ours"][key] for key in ("seconds", "cpu seconds")]
        cells = [f"{facts[key]:.{digits}f}" for key, digits in (("seconds", 1), ("cpu seconds", 1), ("peak MB", 0))]
        print("| " + " | ".join([name, *cells, *(f"{ratio:.2f}" for ratio in ratios)]) + " |")


if __name__ == "__main__":
    main()
