"""Every architecture, trained for the same seconds on the same images.

    python benchmarks/architectures.py DATA/nasa_superalloy DATA/amazon_forest --seconds 30

Each DATA is a folder as `plain_script.py` describes. Every architecture is trained by `napari_fcn.train` with its usual
encoder and settings, one after the other on an otherwise idle machine, on the split `train`, and scored on `test`, or
on `val` where there is no `test`: mean IoU of one pooled confusion matrix. Variants change one setting. Seconds a
megapixel are those of `predict` on an image of 1024 x 1024 pixels, the better of two. The table is written as it grows.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from plain_script import load

import napari_fcn as fcn
from napari_fcn import registry
from napari_fcn.config import ModelConfig, settings_of
from napari_fcn.models.measure import measure

VARIED: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "unet": ({}, ("upsampling",)),
    "unet-classic": ({"width": 16}, ("upsampling",)),
    "deeplabv3": ({}, ("output_stride", "atrous")),
    "deeplabv3plus": ({}, ("output_stride", "atrous")),
}
"""Settings of which every value is tried, and what else is set meanwhile: the paper's width of 64 is too slow here."""


def contestants() -> list[dict[str, Any]]:
    """Settings of each training: every architecture, then each with one setting changed."""
    rows: list[dict[str, Any]] = []
    for name in registry.architectures:
        rows.append({"architecture": name})
        base, varied = VARIED.get(name, ({}, ()))
        if base:
            rows.append({"architecture": name, **base})
        for setting in varied:
            rows += [{"architecture": name, **base, setting: value} for value in settings_of(name)[setting][1:]]
    return rows


def title(settings: dict[str, Any]) -> str:
    more = [f"{name.replace('_', ' ')} {value}" for name, value in settings.items() if name != "architecture"]
    return ", ".join([settings["architecture"], *more])


def seconds_a_megapixel(segmenter: fcn.Segmenter, channels: int) -> float:
    image = np.random.default_rng(0).integers(0, 255, (1024, 1024, channels), np.uint8)
    spent = []
    for _ in range(2):
        begin = time.perf_counter()
        segmenter.predict(image, "YXC")
        spent.append(time.perf_counter() - begin)
    return min(spent) / 1.048576


def main() -> None:
    """Train all, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", help="only these architectures")
    arguments = parser.parse_args()
    sets = []
    for folder in arguments.data:
        splits = json.loads((folder / "split.json").read_text())
        sets.append((load(folder, "train"), load(folder, "test" if "test" in splits else "val")))
    names = " | ".join(folder.name for folder in arguments.data)
    print(f"| | parameters (M) | multiply-adds (G) | s a megapixel | {names} | steps |")
    print("|---|---|---|---|" + "---|" * len(sets) + "---|")
    for settings in contestants():
        if arguments.only and settings["architecture"] not in arguments.only:
            continue
        scores, steps, speed = [], [], 0.0
        for (images, labels), (test_images, test_labels) in sets:
            options = {"axes": "YXC", "time_budget": arguments.seconds, "seed": arguments.seed, **settings}
            segmenter = fcn.train(images, labels, **options)
            found = [segmenter.predict(image, "YXC") for image in test_images]
            scores.append(f"{fcn.evaluate(found, test_labels).mean_iou:.3f}")
            steps.append(str(segmenter.history["steps"]))
            speed = speed or seconds_a_megapixel(segmenter, images[0].shape[-1])
        size = measure(ModelConfig(**settings))
        cells = [title(settings), f"{size.parameters / 1e6:.1f}", f"{size.multiply_adds / 1e9:.1f}", f"{speed:.1f}"]
        print("| " + " | ".join([*cells, *scores, " / ".join(steps)]) + " |", flush=True)


if __name__ == "__main__":
    main()
