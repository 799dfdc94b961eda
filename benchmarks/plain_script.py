"""napari-fcn beside the training script that people write with segmentation-models-pytorch, for the same seconds.

    python benchmarks/plain_script.py DATA --seconds 120 --seeds 3

DATA is a folder with `images/`, `masks/` (index values, same stem) and `split.json` (lists of stems: `train`, `test`).
Both learn on `train` with the same architecture (U-Net), encoder and ImageNet weights, one after the other on an
otherwise idle machine, and are scored on `test`: mean IoU of one pooled confusion matrix. The plain script computes in
fp32, cuts random 256 x 256 crops with random flips, batches of 8, AdamW at one rate with a cosine, cross-entropy; it
keeps its last weights. Its rate is chosen in its favour: the best of the given ones, on the test images.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from torch.nn import functional

import napari_fcn as fcn
from napari_fcn.io import read_image, read_labels
from napari_fcn.models.encoders import make_encoder

ENCODER = "tf_efficientnet_lite0"
Arrays = list[np.ndarray[Any, Any]]


def load(folder: Path, split: str) -> tuple[Arrays, Arrays]:
    """Images `(Y, X, 3)` and labels `(Y, X)` of a split."""
    stems = json.loads((folder / "split.json").read_text())[split]
    images = [np.asarray(read_image(next((folder / "images").glob(f"{s}.*"))).array) for s in stems]
    labels = [read_labels(next((folder / "masks").glob(f"{s}.*"))) for s in stems]
    return [i if i.ndim == 3 else np.repeat(i[..., None], 3, -1) for i in images], labels


def plain(
    images: Arrays,
    labels: Arrays,
    seconds: float,
    seed: int,
    rate: float,
    *,
    marks: Sequence[float] = (),
    on_mark: Callable[[torch.nn.Module, float], None] | None = None,
) -> torch.nn.Module:
    """The script that people write; at each of `marks` seconds, and at the end, the clock stands while it is scored."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    network = smp.Unet(f"tu-{ENCODER}", encoder_weights=None, classes=int(max(m.max() for m in labels)) + 1)
    network.encoder.load_state_dict(make_encoder(ENCODER, "imagenet", 3).state_dict())
    optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
    network.train()
    begin, steps, marks_left = time.perf_counter(), 0, sorted(marks)
    while (spent := time.perf_counter() - begin) < seconds:
        for group in optimizer.param_groups:
            group["lr"] = rate * 0.5 * (1 + math.cos(math.pi * spent / seconds))
        crops, targets = [], []
        for _ in range(8):
            pick = random.integers(len(images))
            top, left = (random.integers(0, size - 255) for size in labels[pick].shape)
            window = slice(top, top + 256), slice(left, left + 256)
            crop, target = images[pick][window], labels[pick][window]
            if random.random() < 0.5:
                crop, target = crop[::-1], target[::-1]
            if random.random() < 0.5:
                crop, target = crop[:, ::-1], target[:, ::-1]
            crops.append(prepare(crop))
            targets.append(torch.from_numpy(target.astype(np.int64)))
        loss = functional.cross_entropy(network(torch.stack(crops)), torch.stack(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        steps += 1
        if on_mark is not None and marks_left and time.perf_counter() - begin >= marks_left[0]:
            del marks_left[0]
            now = time.perf_counter()
            on_mark(network, now - begin)
            begin += time.perf_counter() - now
    if on_mark is not None:
        on_mark(network, time.perf_counter() - begin)
    print(f"    plain script: {steps} steps", flush=True)
    return network.eval()


def prepare(image: np.ndarray[Any, Any]) -> torch.Tensor:
    """An 8-bit image as the encoder was trained with it."""
    return (torch.from_numpy(np.ascontiguousarray(image)).float().permute(2, 0, 1) / 255 - 0.5) / 0.5


def score_plain(network: torch.nn.Module, images: Arrays, labels: Arrays) -> fcn.Scores:
    """Scores on whole images, padded to a multiple of 32."""
    found = []
    for image in images:
        height, width = image.shape[:2]
        padded = functional.pad(prepare(image)[None], (0, -width % 32, 0, -height % 32), mode="reflect")
        with torch.inference_mode():
            found.append(network(padded)[0, :, :height, :width].argmax(0).numpy())
    return fcn.evaluate(found, labels)


def ours(images: Arrays, labels: Arrays, seconds: float, seed: int, transfer: str) -> fcn.Segmenter:
    """napari-fcn with its defaults."""
    segmenter = fcn.train(images, labels, axes="YXC", time_budget=seconds, seed=seed, transfer=transfer)
    print(f"    napari-fcn, {transfer}: {segmenter.history['steps']} steps", flush=True)
    return segmenter


def main() -> None:
    """Run all contestants in turn and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, help="only the first so many training images")
    parser.add_argument("--test", default="test", help="the split to score on")
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-4, 1e-3], help="of the plain script")
    parser.add_argument("--transfer", nargs="+", default=["finetune", "frozen", "scratch"])
    arguments = parser.parse_args()
    images, labels = (part[: arguments.images] for part in load(arguments.data, "train"))
    test_images, test_labels = load(arguments.data, arguments.test)
    rows: dict[str, list[fcn.Scores]] = {}
    for seed in range(arguments.seeds):
        for transfer in arguments.transfer:
            segmenter = ours(images, labels, arguments.seconds, seed, transfer)
            found = [segmenter.predict(image, "YXC") for image in test_images]
            rows.setdefault(f"napari-fcn, {transfer}", []).append(fcn.evaluate(found, test_labels))
        for rate in arguments.rates:
            network = plain(images, labels, arguments.seconds, seed, rate)
            rows.setdefault(f"plain script, rate {rate:g}", []).append(score_plain(network, test_images, test_labels))
    print(f"\n{arguments.data.name}, {len(images)} training images, {arguments.seconds:g} s, {arguments.seeds} seeds\n")
    print("| | mean IoU, median (each seed) | IoU of each class, median |\n|---|---|---|")
    for name, scores in rows.items():
        means = [score.mean_iou for score in scores]
        classes = np.median([[row.iou for row in score.classes] for score in scores], axis=0)
        each = ", ".join(f"{mean:.3f}" for mean in means)
        print(f"| {name} | **{np.median(means):.3f}** ({each}) | {', '.join(f'{iou:.3f}' for iou in classes)} |")


if __name__ == "__main__":
    main()
