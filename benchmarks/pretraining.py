"""What learning from unlabelled images is worth when few are labelled.

    python benchmarks/pretraining.py DATA/water_12band DATA/isbi2012_em DATA/nasa_superalloy

Each DATA is a folder as `plain_script.py` describes. For each set, seed and number of labelled images a network over
the built-in encoder, U-Net unless `--architecture` says otherwise, is trained from each start: `none` (random),
`imagenet`, each kind of autoencoder that has learnt from all training images without their labels (`denoising`, from
random values), and such an autoencoder after ImageNet (`imagenet+denoising`). All starts of a comparison take the same
number of training steps of the same network, which is the same time on a machine of any load. Scores are mean IoU on
corners of the first images of the split `test`, or `val` where there is no `test`. Results are appended to `--output`
as JSON lines, so that a run that was interrupted goes on, and several runs with other starts fill one table; without
DATA only the table is printed, and `--plot` draws it. Autoencoders are kept beside `--output`. CPU seconds are of one
thread with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from time_to_quality import Results

import napari_fcn as fcn
from napari_fcn.io import read_image, read_labels
from napari_fcn.registry import autoencoder_kinds

CHANNELS = {"water_12band": tuple(range(7))}
"""Where not all channels are to be used: the last ones of this set are land cover maps themselves."""
AUGMENT = {"water_12band": "satellite"}
PRETRAINING_RATE = 0.002
"""Twice the usual rate: there is no lack of images to learn from."""
ADAPTING = 0.1
"""Part of that rate for an encoder that comes from ImageNet: at the whole rate it forgets more of the photographs."""


def load(folder: Path, split: str) -> tuple[list[Any], list[Any]]:
    """Images `(Y, X, C)` and labels `(Y, X)` of a split."""
    stems = json.loads((folder / "split.json").read_text())[split]
    images = [np.asarray(read_image(next((folder / "images").glob(f"{s}.*"))).array) for s in stems]
    labels = [read_labels(next((folder / "masks").glob(f"{s}.*"))) for s in stems]
    return [image if image.ndim == 3 else image[..., None] for image in images], labels


def pretrained(folder: Path, start: str, images: list[Any], arguments: argparse.Namespace, results: Results) -> Path:
    """The file of an autoencoder that learnt from all images; made once."""
    before, _, kind = start.rpartition("+")
    encoder_rate = ADAPTING if before else 1.0
    name = f"{folder.name}-{start}-{encoder_rate:g}-{arguments.depth}-{arguments.pretrain_steps}.safetensors"
    file = arguments.output.with_suffix("") / name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        begin = time.process_time()
        autoencoder = fcn.pretrain(
            images,
            kind=kind,
            weights=before or "none",
            axes="YXC",
            channels=CHANNELS.get(folder.name),
            steps=arguments.pretrain_steps,
            rate=PRETRAINING_RATE,
            encoder_rate=encoder_rate,
            batch_size=arguments.batch_size,
            patch_size=arguments.patch_size,
            depth=arguments.depth,
            device="cpu",
        )
        autoencoder.save(file)
        results.add(
            set=folder.name,
            pretraining=start,
            steps=arguments.pretrain_steps,
            cpu_seconds=round(time.process_time() - begin, 1),
            loss=autoencoder.history["loss"],
            mean_loss=autoencoder.history["mean_loss"],
        )
    return file


def measure(folder: Path, seed: int, count: int, arguments: argparse.Namespace, results: Results) -> None:
    """All starts on one set, with one seed and one number of labelled images."""
    images, labels = load(folder, "train")
    split = "test" if "test" in json.loads((folder / "split.json").read_text()) else "val"
    unseen, truth = load(folder, split)
    corner = slice(arguments.test_size)
    unseen = [image[corner, corner] for image in unseen[: arguments.test_images]]
    truth = [labels[corner, corner] for labels in truth[: arguments.test_images]]
    order = np.random.default_rng(seed).permutation(len(images))[:count]
    settings = {"architecture": arguments.architecture, "steps": arguments.steps}
    for start in arguments.starts:
        what = {"set": folder.name, "seed": seed, "labelled": count, "start": start, **settings}
        if any(all(row.get(key) == value for key, value in what.items()) for row in results.rows):
            continue
        weights = start
        if start not in ("none", "imagenet"):
            weights = str(pretrained(folder, start, images, arguments, results))
        begin = time.process_time()
        segmenter = fcn.train(
            [images[n] for n in order],
            [labels[n] for n in order],
            axes="YXC",
            channels=CHANNELS.get(folder.name),
            weights=weights,
            depth=arguments.depth,
            augment=AUGMENT.get(folder.name, "microscopy"),
            batch_size=arguments.batch_size,
            patch_size=arguments.patch_size,
            validation=0.0,
            seed=seed,
            device="cpu",
            # Photographs' features are kept by a low rate; what little was learnt here may change like the rest.
            **({} if start == "none" else {"encoder_rate": 0.3 if start.startswith("imagenet") else 1.0}),
            **settings,
        )
        seconds = time.process_time() - begin
        found = [segmenter.predict(image, "YXC") for image in unseen]
        results.add(**what, cpu_seconds=round(seconds, 1), score=fcn.evaluate(found, truth).mean_iou)


def rows_of(results: Results) -> list[dict[str, Any]]:
    """The scores among the results."""
    return [row for row in results.rows if "score" in row]


def table(results: Results) -> None:
    """Mean IoU of each start, median over the seeds, and the difference from random values of the same seed."""
    rows = rows_of(results)
    for folder in dict.fromkeys(row["set"] for row in rows):
        print(f"\n{folder}\n\n| network | start | labelled | mean IoU, median (each seed) | more than random, median |")
        print("|---|---|---|---|---|")
        for network, start in starts_of(rows):
            for count in sorted({row["labelled"] for row in rows if row["set"] == folder}):
                mine = {r["seed"]: r["score"] for r in _pick(rows, folder, network, start, count)}
                random = {r["seed"]: r["score"] for r in _pick(rows, folder, network, "none", count)}
                if not mine:
                    continue
                each = ", ".join(f"{mine[seed]:.3f}" for seed in sorted(mine))
                gains = [mine[seed] - random[seed] for seed in mine if seed in random]
                gain = f"{np.median(gains):+.3f}" if gains and start != "none" else ""
                print(f"| {network} | {start} | {count} | {np.median(list(mine.values())):.3f} ({each}) | {gain} |")


def starts_of(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Networks, each with the starts that were measured."""
    found = dict.fromkeys((row["architecture"], row["start"]) for row in rows)
    return sorted(found, key=lambda pair: pair[0] != "unet")


def _pick(rows: list[dict[str, Any]], folder: str, network: str, start: str, count: int) -> list[dict[str, Any]]:
    keys = ("set", "architecture", "start", "labelled")
    return [r for r in rows if tuple(r[key] for key in keys) == (folder, network, start, count)]


def draw(results: Results, path: Path) -> None:
    """Score over the number of labelled images, one panel a set: medians as lines, seeds as dots."""
    from matplotlib.figure import Figure

    rows = rows_of(results)
    folders = list(dict.fromkeys(row["set"] for row in rows))
    figure = Figure(figsize=(3.6 * len(folders) + 1.8, 3.4), layout="constrained", dpi=110)
    places = figure.subplots(1, len(folders), squeeze=False)[0]
    for place, folder in zip(places, folders, strict=True):
        colours = {start: f"C{n}" for n, start in enumerate(dict.fromkeys(start for _, start in starts_of(rows)))}
        for network, start in starts_of(rows):
            found = {count: _pick(rows, folder, network, start, count) for count in (1, 2, 4)}
            scores = {count: [r["score"] for r in mine] for count, mine in found.items() if mine}
            colour = "black" if start == "none" else colours[start]
            style, marker = ("-", "o") if network == "unet" else (":", "x")
            name = "random values" if start == "none" else start
            label = name if network == "unet" else f"{name}, network {network}"
            medians = [np.median(mine) for mine in scores.values()]
            place.plot(list(scores), medians, style, color=colour, label=label, marker=marker, markersize=5)
            for count, mine in scores.items():
                place.scatter([count] * len(mine), mine, color=colour, marker=marker, s=10, alpha=0.5)
        place.set(title=folder, xlabel="labelled images", xscale="log", xticks=[1, 2, 4], xticklabels=["1", "2", "4"])
        place.minorticks_off()
        place.spines[["top", "right"]].set_visible(False)
    places[0].set_ylabel("mean IoU on unseen images")
    figure.legend(*places[0].get_legend_handles_labels(), fontsize=7, frameon=False, loc="outside right center")
    figure.savefig(path)


def main() -> None:
    """Measure, then print tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="*")
    kinds = list(autoencoder_kinds)
    starts = ["none", "imagenet", *kinds, *(f"imagenet+{kind}" for kind in ("denoising", "masked"))]
    parser.add_argument("--starts", nargs="+", default=starts)
    parser.add_argument("--labelled", type=int, nargs="+", default=[2, 1, 4])
    parser.add_argument("--architecture", default="unet", choices=("unet", "autoencoder"))
    parser.add_argument("--steps", type=int, default=30, help="of training with labels")
    parser.add_argument("--pretrain-steps", type=int, default=300)
    parser.add_argument("--depth", type=int, default=3, help="of all networks: how often they halve features")
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--patch-size", type=int, default=64)
    parser.add_argument("--test-images", type=int, default=4)
    parser.add_argument("--test-size", type=int, default=256, help="side of the corner that is scored, in pixels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("pretraining.jsonl"))
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    results = Results(arguments.output)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    for count in arguments.labelled:
        for seed in range(arguments.seeds):
            for folder in arguments.data:
                measure(folder, seed, count, arguments, results)
    table(results)
    if arguments.plot:
        draw(results, arguments.plot)


if __name__ == "__main__":
    main()
