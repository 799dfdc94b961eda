"""Satellite images: what weights are worth, landsat7_sparse beside a random forest, a large scene.

    python benchmarks/satellite.py weights DATA_FOLDER   amazon_forest and water_12band after `--seconds` of training
    python benchmarks/satellite.py landsat DATA_FOLDER   spatial cross-validation on the painted pixels
    python benchmarks/satellite.py scene WORK_FOLDER     13 bands of 16-bit, `--side` pixels square, nodata borders

DATA_FOLDER holds the sets as `<set>/images`, `<set>/masks`, `<set>/split.json`. Rows go to stdout as JSON lines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

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
    "amazon_forest": {"channels": (2, 1, 0), "satellite": "csmask-4b-l2a"},
    # Blue to shortwave infrared. Bands 10 and 11 nearly give the answer and are left out, with all that is no colour.
    "water_12band": {"channels": (1, 2, 3, 4, 5, 6), "satellite": "csmask-6b-l2a"},
}


LANDSAT: dict[str, dict[str, Any]] = {
    "fine-tuned": {},
    "fine-tuned, balanced": {"class_weights": "balanced", "augment": "flips"},
    "cut to stride 4, balanced": {"class_weights": "balanced", "augment": "flips", "depth": 2},
    "small U-Net, balanced": {
        "architecture": "unet-classic", "depth": 1, "width": 32, "class_weights": "balanced", "augment": "flips",
        "loss": "cross_entropy", "steps": 200,
    },
    "small U-Net": {
        "architecture": "unet-classic", "depth": 1, "width": 32, "augment": "flips", "loss": "cross_entropy",
        "steps": 200,
    },
}  # fmt: skip


def tell(**row: Any) -> None:
    print(json.dumps(row), flush=True)


def read(folder: Path, split: str) -> tuple[list[Any], list[Any], str]:
    stems = json.loads((folder / "split.json").read_text())[split]
    images = [read_image(next((folder / "images").glob(f"{stem}.*")), lazy=False) for stem in stems]
    labels = [read_labels(next((folder / "masks").glob(f"{stem}.*"))) for stem in stems]
    axes = images[0].axes or ("YXC" if images[0].array.shape[-1] < images[0].array.shape[0] else "CYX")
    return [image.array for image in images], labels, axes


def weights(arguments: argparse.Namespace) -> None:
    """The time budget is in seconds of one thread of the processor, so that other programs change nothing."""
    from napari_fcn.training import loop

    loop.time = SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment]
    for name, facts in SETS.items():
        folder = arguments.folder / name
        splits = json.loads((folder / "split.json").read_text())
        measured = "test" if "test" in splits else "val"
        images, labels, axes = read(folder, "train")
        others, truth, _ = read(folder, measured)
        for kind, settings in WEIGHTS.items():
            if arguments.only and kind != arguments.only:
                continue
            chosen = {"weights": facts["satellite"], **settings}
            begin = time.process_time()  # of all threads: other programs do not change it much
            segmenter = fcn.train(
                images,
                labels,
                axes=axes,
                channels=facts["channels"],
                augment="satellite",
                time_budget=arguments.seconds,
                patch_size=128,
                batch_size=4,
                seed=arguments.seed,
                **chosen,
            )
            seconds = time.process_time() - begin
            predicted = [segmenter.predict(image, axes, channels=facts["channels"]) for image in others]
            scores = fcn.evaluate(predicted, truth)
            each = [fcn.evaluate([one], [true]).mean_iou for one, true in zip(predicted, truth, strict=True)]
            history = segmenter.history
            tell(
                set=name, weights=kind, seed=arguments.seed, cpu_seconds=round(seconds), steps=history["steps"],
                best_step=history["best_step"], normalization=segmenter.normalization.mode,
                mean_iou=round(scores.mean_iou, 3), accuracy=round(scores.pixel_accuracy, 3),
                each_image=[None if score is None else round(score, 3) for score in each],
            )  # fmt: skip


def landsat(arguments: argparse.Namespace) -> None:
    """Painted places as groups: no fold is tested on pixels of a place that it has learnt from."""
    from scipy import ndimage
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedGroupKFold

    folder = arguments.folder / "landsat7_sparse"
    (path,) = (folder / "images").glob("*.tif")
    image = read_image(path, lazy=False)
    labels = read_labels(folder / "masks" / path.name)
    pixels = np.moveaxis(image.array, image.axes.index("C"), -1)
    places, count = ndimage.label(ndimage.binary_dilation(labels > 0, iterations=3))
    rows, columns = np.nonzero(labels)
    truth, groups = labels[rows, columns], places[rows, columns]
    tell(pixels=len(truth), places=int(count), classes=np.bincount(truth).tolist())
    folds = list(StratifiedGroupKFold(5, shuffle=True, random_state=0).split(truth, truth, groups))
    found = {name: np.zeros_like(truth) for name in ("random forest", *LANDSAT) if arguments.only in (None, name)}
    for learnt, tested in folds:
        if "random forest" in found:
            forest = RandomForestClassifier(300, random_state=0).fit(pixels[rows, columns][learnt], truth[learnt])
            found["random forest"][tested] = forest.predict(pixels[rows, columns][tested])
        known = np.zeros_like(labels)
        known[rows[learnt], columns[learnt]] = truth[learnt]
        for name, settings in LANDSAT.items():
            if name not in found:
                continue
            segmenter = fcn.train(
                image.array, known, axes=image.axes, zero="unlabelled", nodata=image.nodata, seed=arguments.seed,
                **{"augment": "satellite", "normalization": "dataset", "batch_size": 4, "patch_size": 64,
                   "validation": 0.0, "steps": arguments.steps, **settings},
            )  # fmt: skip
            found[name][tested] = segmenter.predict(image.array, image.axes)[rows[tested], columns[tested]]
    for name, predicted in found.items():
        scores = fcn.evaluate([predicted[None]], [truth[None]], zero="unlabelled")
        tell(
            method=name, accuracy=round(scores.pixel_accuracy, 3), mean_iou=round(scores.mean_iou, 3),
            iou={row.value: None if row.iou is None else round(row.iou, 3) for row in scores.classes},
        )  # fmt: skip


def scene(arguments: argparse.Namespace) -> None:
    """Learn from a corner, segment the whole from file to file, and look at the borders."""
    import rasterio
    from rasterio.windows import Window

    side, folder = arguments.side, arguments.folder
    path, model, output = folder / "scene.tif", folder / "scene.safetensors", folder / "labels.tif"
    random = np.random.default_rng(0)
    pattern = random.integers(0, 2, (64, 64)).astype(np.uint16)
    border = side // 20
    profile = {
        "driver": "GTiff", "width": side, "height": side, "count": 13, "dtype": "uint16", "nodata": 0, "tiled": True,
        "crs": "EPSG:32633", "transform": rasterio.transform.from_origin(3e5, 5e6, 10, 10), "bigtiff": "yes",
        "compress": "zstd",
    }  # fmt: skip
    if not path.exists():
        with rasterio.open(path, "w", **profile) as data:
            for top in range(0, side, 512):
                height = min(512, side - top)
                rows = np.arange(top, top + height)
                classes = pattern[(rows // 100) % 64][:, (np.arange(side) // 100) % 64]
                for band in range(13):
                    values = 500 + 40 * band + 600 * classes + random.integers(0, 200, classes.shape, np.uint16)
                    values[(rows < border) | (rows >= side - border)] = 0
                    values[:, :border] = values[:, side - border :] = 0
                    data.write(values.astype(np.uint16), band + 1, window=Window(0, top, side, height))
    if not model.exists():
        with rasterio.open(path) as data:
            corner = data.read(window=Window(border, border, 512, 512))
        places = (border + np.arange(512)) // 100 % 64
        truth = (pattern[places][:, places] + 1).astype(np.uint8)
        segmenter = fcn.train(
            corner, truth, axes="CYX", steps=30, batch_size=2, patch_size=64, normalization="dataset",
            architecture="unet-classic", width=8, depth=3, augment="flips",
        )  # fmt: skip
        segmenter.save(model)
    more = {kind: folder / f"{kind}.tif" for kind in ("probabilities", "uncertainty") if arguments.maps}
    command = ["predict", "--model", str(model), "--images", str(path), "--output", str(output), "--overwrite"]
    if arguments.maps:
        command += ["--probabilities", str(more["probabilities"]), "--uncertainty", str(more["uncertainty"])]
        command += ["--polygons", str(folder / "regions.gpkg")]
    begin = time.perf_counter()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    from napari_fcn.cli import main as run

    code = run(command)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    right = total = wrong = 0
    with contextlib.ExitStack() as stack:
        data, result, *others = (stack.enter_context(rasterio.open(each)) for each in (path, output, *more.values()))
        for top in range(0, side, 512):
            window = Window(0, top, side, min(512, side - top))
            source, labels = data.read(1, window=window), result.read(1, window=window)
            rows = np.arange(top, top + len(source))
            classes = pattern[(rows // 100) % 64][:, (np.arange(side) // 100) % 64] + 1
            there = source != 0
            wrong += int(((labels == result.nodata) == there).sum())
            for other in others:
                wrong += int((np.isnan(other.read(window=window)) == there).sum())
            right += int((labels[there] == classes[there]).sum())
            total += int(there.sum())
        same = all(data.crs == each.crs and data.transform == each.transform for each in (result, *others))
    tell(
        code=code, side=side, gigabytes=round(path.stat().st_size / 1e9, 2), seconds=round(seconds),
        peak_megabytes=peak // 1024, before_megabytes=before // 1024, same_geometry=same, maps=arguments.maps,
        nodata_differs=wrong, accuracy=round(right / total, 4),
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("weights", "landsat", "scene"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=120, help="of each training of the table of weights")
    parser.add_argument("--steps", type=int, default=40, help="of each training of landsat")
    parser.add_argument("--side", type=int, default=10980)
    parser.add_argument("--maps", action="store_true", help="of the scene: probabilities, uncertainty, polygons too")
    parser.add_argument("--only", help="one row of the table of weights")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    {"weights": weights, "landsat": landsat, "scene": scene}[arguments.what](arguments)


if __name__ == "__main__":
    main()
