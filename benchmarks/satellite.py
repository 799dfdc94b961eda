"""Satellite images: what weights are worth, landsat7_sparse beside a random forest, a large scene.

    python benchmarks/satellite.py weights DATA_FOLDER   amazon_forest and water_12band after `--seconds` of training
    python benchmarks/satellite.py landsat DATA_FOLDER   spatial cross-validation on the painted pixels
    python benchmarks/satellite.py scene WORK_FOLDER     13 bands of 16-bit, `--side` pixels square, nodata borders

DATA_FOLDER holds the sets as `<set>/images`, `<set>/masks`, `<set>/split.json`. Rows go to stdout as JSON lines.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import napari_fcn as fcn  # before torch: it sets what torch's libraries read when they are loaded
from napari_fcn.io import read_image, read_labels

WEIGHTS = {
    "ImageNet, lite0": {"encoder": "tf_efficientnet_lite0", "weights": "imagenet"},
    "random, lite0": {"encoder": "tf_efficientnet_lite0", "weights": "none", "transfer": "scratch"},
    "satellite, b4": {"encoder": "efficientnet-b4"},  # the set says which
    "random, b4": {"encoder": "efficientnet-b4", "weights": "none", "transfer": "scratch"},
}
SETS: dict[str, dict[str, Any]] = {
    # RGB, turned around: the satellite networks know blue, green, red in this order.
    "amazon_forest": {"channels": (2, 1, 0), "satellite": "csmask-4b-l2a", "normalization": "image"},
    # Blue to shortwave infrared. Bands 10 and 11 nearly give the answer and are left out, with all that is no colour.
    "water_12band": {"channels": (1, 2, 3, 4, 5, 6), "satellite": "csmask-6b-l2a", "normalization": "dataset"},
}


def tell(**row: Any) -> None:
    print(json.dumps(row), flush=True)


def read(folder: Path, split: str) -> tuple[list[Any], list[Any], str]:
    stems = json.loads((folder / "split.json").read_text())[split]
    images = [read_image(next((folder / "images").glob(f"{stem}.*")), lazy=False) for stem in stems]
    labels = [read_labels(next((folder / "masks").glob(f"{stem}.*"))) for stem in stems]
    axes = images[0].axes or ("YXC" if images[0].array.shape[-1] < images[0].array.shape[0] else "CYX")
    return [image.array for image in images], labels, axes


def weights(arguments: argparse.Namespace) -> None:
    for name, facts in SETS.items():
        folder = arguments.folder / name
        splits = json.loads((folder / "split.json").read_text())
        measured = "test" if "test" in splits else "val"
        images, labels, axes = read(folder, "train")
        others, truth, _ = read(folder, measured)
        for kind, settings in WEIGHTS.items():
            chosen = {"weights": facts["satellite"], **settings}
            begin = time.perf_counter()
            segmenter = fcn.train(
                images,
                labels,
                axes=axes,
                channels=facts["channels"],
                normalization=facts["normalization"],
                augment="satellite",
                time_budget=arguments.seconds,
                patch_size=128,
                batch_size=8,
                seed=arguments.seed,
                **chosen,
            )
            seconds = time.perf_counter() - begin
            predicted = [segmenter.predict(image, axes, channels=facts["channels"]) for image in others]
            scores = fcn.evaluate(predicted, truth)
            history = segmenter.history
            tell(
                set=name, weights=kind, seconds=round(seconds), steps=history["steps"], best_step=history["best_step"],
                mean_iou=round(scores.mean_iou, 3), accuracy=round(scores.pixel_accuracy, 3),
            )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("weights",))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    {"weights": weights}[arguments.what](arguments)


if __name__ == "__main__":
    main()
