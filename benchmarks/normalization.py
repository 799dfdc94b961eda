"""What standardising is worth from strokes on one or two images: each image by itself, or all by the painted ones.

    python benchmarks/normalization.py DATA

DATA is the folder of the sets. Strokes are those of `strokes.py`, on images that it neither paints nor scores, and
others of these are scored: 1500 pixels of each, put into normal distributions, one a class with equal priors, of the
values averaged over 5 and 15 pixels and the logarithm of their deviation over 9. So it is not the pixel head that is
measured, but something much quicker that sees what standardising does. Means of three seeds, and what is chosen
where nobody says: by `normalization=auto`, or `auto-dataset` for files with a place on Earth.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from stroke_hand import Array, Data, Strokes
from strokes import SETS

import napari_fcn as fcn
from napari_fcn.config import DataConfig
from napari_fcn.data.examples import prepare

PAINTABLE, SCORED, PIXELS, SEEDS = 3, 5, 1500, 3
RIDGE = 0.02

Statistics = tuple[Array, Array]


def describe(image: Array, places: tuple[Array, ...], statistics: Statistics) -> Array:
    """Features `(M, 3 C)` of pixels of an image `(Y, X, C)`."""
    values = image.astype(np.float32)
    near, wide = (ndimage.uniform_filter(values, (side, side, 0)) for side in (5, 15))
    mean = ndimage.uniform_filter(values, (9, 9, 0))
    variance = ndimage.uniform_filter(values**2, (9, 9, 0)) - mean**2
    own, deviation = statistics
    parts = [(near - own) / deviation, (wide - own) / deviation]
    parts.append(np.log(np.sqrt(np.maximum(variance, 0)) / deviation + 0.02))
    return np.concatenate([part[places] for part in parts], 1).astype(float)


def classify(known: Array, classes: Array, unknown: Array) -> Array:
    """Classes of features by quadratic discriminant analysis with equal priors; of those that were painted."""
    painted = np.unique(classes)
    scores = []
    for value in painted:
        own = known[classes == value]
        covariance = np.cov(own.T) + RIDGE * np.eye(own.shape[1])
        difference = unknown - own.mean(0)
        distance = np.einsum("mi,ij,mj->m", difference, np.linalg.inv(covariance), difference)
        scores.append(-distance - np.linalg.slogdet(covariance)[1])
    return painted[np.argmax(scores, 0)]


def statistics(images: list[Array]) -> Statistics:
    """Mean and deviation of each channel."""
    values = np.concatenate([image.reshape(-1, image.shape[2]) for image in images]).astype(float)
    return values.mean(0), values.std(0) + 1e-6


def measure(images: list[Array], strokes: list[Array], tested: list[tuple[Array, Array]], mode: str) -> float:
    """Mean IoU on pixels of images that were not painted."""
    random = np.random.default_rng(0)
    common = statistics(images)
    pairs = list(zip(images, strokes, strict=True))
    known = np.concatenate([describe(i, np.nonzero(s), _by(mode, i, common)) for i, s in pairs])
    classes = np.concatenate([painted[painted > 0] for painted in strokes])
    found, true = [], []
    for image, truth in tested:
        places = tuple(random.integers(0, side, PIXELS) for side in truth.shape)
        found.append(classify(known, classes, describe(image, places, _by(mode, image, common))))
        true.append(truth[places] + 1)
    return float(fcn.evaluate(found, true, zero="unlabelled").mean_iou)


def _by(mode: str, image: Array, common: Statistics) -> Statistics:
    return common if mode == "dataset" else statistics([image])


def main() -> None:
    """A table row for each set and number of images."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=[*SETS, "isbi2012_em", "water_12band"])
    arguments = parser.parse_args()
    print("| painted images | set | each by itself | by the painted ones | chosen |\n|---|---|---|---|---|")
    for name in arguments.sets:
        data = Data(arguments.data / name)
        others = data.others
        paintable, rest = others[:PAINTABLE], others[PAINTABLE:]
        spread = np.unique(np.linspace(0, len(rest) - 1, SCORED).round().astype(int))
        tested = [rest[number] for number in spread]
        for count in (1, 2):
            rows: list[dict[str, Any]] = []
            for seed in range(SEEDS):
                chosen = [paintable[(seed + number) % PAINTABLE] for number in range(count)]
                strokes = [Strokes(truth, 10 * seed + number).all_classes() for number, (_, truth) in enumerate(chosen)]
                images = [image for image, _ in chosen]
                config = DataConfig(axes="YXC", zero="unlabelled", normalization=data.normalization)
                auto = prepare(images, strokes, config, encoder_range=(1, 0)).normalization.mode
                rows.append({m: measure(images, strokes, tested, m) for m in ("image", "dataset")} | {"auto": auto})
            scores = " | ".join(f"{np.mean([row[mode] for row in rows]):.3f}" for mode in ("image", "dataset"))
            print(f"| {count} | {name} | {scores} | {', '.join(row['auto'] for row in rows)} |", flush=True)


if __name__ == "__main__":
    main()
