"""Learning from a few strokes: score against seconds, beside pixel classifiers, the plain script and dense labels.

    python benchmarks/strokes.py DATA --output strokes.jsonl --plot strokes.png
    python benchmarks/strokes.py DATA --next --output next.jsonl

DATA is the folder of the five sets in SETS. Strokes are painted by a deterministic hand: on each image every class that
is there gets the same allowance, 0.75 % of the pixels in all, in strokes of a 5-pixel brush that stay inside the class.
One or two images are painted, with three seeds, and other images, of the split `test`, are scored by mean IoU of one
pooled confusion matrix. Seconds are processor seconds of one thread, so that they do not depend on what else a machine
does; segmenting the test images is not counted. Every contestant sees the same strokes.

`--convpaint FOLDER` names a folder with napari-convpaint and what it needs (`pip install --target FOLDER --no-deps
napari-convpaint catboost six einops omegaconf antlr4-python3-runtime==4.9.3`), and adds
its Gaussian features.
`--next` measures what 'paint next' is worth instead: a simulated annotator paints five further strokes, each where the
head is most unsure or at random, and the gains are compared. Results are JSON lines; an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import napari_fcn as fcn  # before torch: it sets what torch's libraries read when they are loaded
from napari_fcn.io import read_image, read_labels

SETS = ("vnc_em_multiclass", "nasa_superalloy", "wbc_cellavision", "dsb2018_nuclei", "amazon_forest")
FRACTION, BRUSH, LENGTH = 0.0075, 5, 60
TESTED, SIDE = 6, 768
"""Test images that are scored, and their largest side: pixel classifiers take seconds for each."""
MARKS = (10.0, 20.0, 60.0)
"""Seconds after which the networks that learn step by step are scored."""

Array = np.ndarray[Any, Any]
Answer = Callable[[Array], Array]


class Strokes:
    """A hand that paints labels `(H, W)`, 0 where it does not, class + 1 where it does."""

    def __init__(self, truth: Array, seed: int) -> None:
        self.truth = truth
        self.random = np.random.default_rng(seed)
        self.painted = np.zeros(truth.shape, np.uint8)
        rows, columns = np.mgrid[-(BRUSH // 2) : BRUSH // 2 + 1, -(BRUSH // 2) : BRUSH // 2 + 1]
        disc = rows**2 + columns**2 <= (BRUSH / 2) ** 2
        self._disc = rows[disc], columns[disc]

    def all_classes(self) -> Array:
        """The same allowance for every class that is there."""
        from scipy import ndimage

        classes = np.unique(self.truth)
        allowance = FRACTION * self.truth.size / len(classes)
        for value in classes:
            inside = self.truth == value
            depth = np.minimum(ndimage.distance_transform_edt(inside), BRUSH / 2 + 0.5)
            done = 0.0
            for _ in range(400):
                free = np.where(inside & (self.painted == 0), depth, 0)
                if done >= min(allowance, inside.sum()) or free.max() <= 0:
                    break
                starts = np.flatnonzero(free >= min(free.max(), BRUSH / 2))
                start = np.unravel_index(self.random.choice(starts), self.truth.shape)
                done += self.stroke((int(start[0]), int(start[1])), allowance - done)
        return self.painted

    def stroke(self, start: tuple[int, int], allowance: float = np.inf) -> int:
        """Paint the class at `start` along a winding line that stays inside it; returns the number of new pixels."""
        inside = self.truth == self.truth[start]
        place, angle = np.array(start, float), self.random.uniform(0, 2 * np.pi)
        before = np.count_nonzero(self.painted)
        for _ in range(LENGTH):
            rows, columns = (np.rint(part).astype(int) + own for part, own in zip(place, self._disc, strict=True))
            there = (rows >= 0) & (columns >= 0) & (rows < inside.shape[0]) & (columns < inside.shape[1])
            rows, columns = rows[there], columns[there]
            own = inside[rows, columns]
            self.painted[rows[own], columns[own]] = self.truth[start] + 1
            if np.count_nonzero(self.painted) - before >= allowance:
                break
            for turn in range(8):
                turned = angle + self.random.normal(0, 0.3 + 0.2 * turn)
                ahead = place + np.array([np.sin(turned), np.cos(turned)])
                row, column = np.rint(ahead).astype(int)
                if 0 <= row < inside.shape[0] and 0 <= column < inside.shape[1] and inside[row, column]:
                    place, angle = ahead, turned
                    break
            else:
                break
        return int(np.count_nonzero(self.painted) - before)


class Data:
    """Images to paint on, in a fixed order, and images to be scored on, all with the same number of channels."""

    def __init__(self, folder: Path) -> None:
        splits = json.loads((folder / "split.json").read_text())
        train = [self._read(folder, stem) for stem in splits["train"]]
        self.channels = min(image.shape[2] for image, _ in train)
        fitting = [pair for pair in train if pair[0].shape[2] == self.channels]
        # Somebody who paints chooses images that show every class.
        self.train = sorted(fitting, key=lambda pair: -len(np.unique(pair[1])))[:4]
        test = [self._read(folder, stem) for stem in splits.get("test") or splits["val"]]
        self.test = [(i[:SIDE, :SIDE], t[:SIDE, :SIDE]) for i, t in test if i.shape[2] == self.channels][:TESTED]

    @staticmethod
    def _read(folder: Path, stem: str) -> tuple[Array, Array]:
        image = np.asarray(read_image(next((folder / "images").glob(f"{stem}.*"))).array)
        truth = read_labels(next((folder / "masks").glob(f"{stem}.*")))
        return (image if image.ndim == 3 else image[..., None])[..., :3], truth.astype(np.int64)

    def painted(self, count: int, seed: int) -> tuple[list[Array], list[Array], list[Array]]:
        """Images, strokes on them, and the truth."""
        chosen = [self.train[(seed + number) % len(self.train)] for number in range(count)]
        strokes = [Strokes(truth, 10 * seed + number).all_classes() for number, (_, truth) in enumerate(chosen)]
        return [image for image, _ in chosen], strokes, [truth + 1 for _, truth in chosen]

    def score(self, answer: Answer) -> float:
        """Mean IoU of what `answer` makes of the test images, in labels of the strokes."""
        found = [np.asarray(answer(image)) for image, _ in self.test]
        return float(fcn.evaluate(found, [truth + 1 for _, truth in self.test], zero="unlabelled").mean_iou)


def head(images: list[Array], strokes: list[Array], seed: int) -> Iterator[tuple[float, Answer]]:
    """napari-fcn's pixel head, all strokes learnt from."""
    begin = time.process_time()
    segmenter = fcn.train(
        images, strokes, axes="YXC", zero="unlabelled", transfer="head", validation=0.0, seed=seed, device="cpu"
    )
    yield time.process_time() - begin, lambda image: segmenter.predict(image, "YXC")


def network(images: list[Array], labels: list[Array], seed: int, **options: Any) -> Iterator[tuple[float, Answer]]:
    """napari-fcn's U-Net, scored at MARKS."""
    from napari_fcn.api import prepare_training
    from napari_fcn.training import Step

    begin, left = time.process_time(), list(MARKS)
    # Steps without end, so the rate neither rises nor falls by them.
    settings = {"steps": 100_000, "schedule": "constant", "warm_up": 0.0, "validation": 0.0, "device": "cpu", **options}
    training = prepare_training(images, labels, axes="YXC", zero="unlabelled", seed=seed, **settings)
    run = training.run()
    for event in run:
        spent = time.process_time() - begin
        if isinstance(event, Step) and spent >= left[0]:
            left.pop(0)
            training._scoring.last()
            segmenter = training.segmenter()
            yield spent, lambda image, of=segmenter: of.predict(image, "YXC")
            if not left:
                break
            begin = time.process_time() - spent
    run.close()


def behind(
    images: list[Array], strokes: list[Array], seed: int, architecture: str = "unet"
) -> Iterator[tuple[float, Answer]]:
    """napari-fcn's pixel head with a network behind it, in one training of 60 s: what it would answer at MARKS."""
    import types

    from napari_fcn.api import prepare_training
    from napari_fcn.training import Step, loop

    begin, left = time.process_time(), list(MARKS)
    before = loop.time
    loop.time = types.SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment,misc]
    try:
        training = prepare_training(
            images,
            strokes,
            axes="YXC",
            zero="unlabelled",
            seed=seed,
            transfer="head",
            architecture=architecture,
            time_budget=MARKS[-1],
            device="cpu",
        )
        lost = 0.0
        for event in training.run():
            spent = time.process_time() - begin - lost
            first = isinstance(event, Step) and event.step == 1
            if first or (isinstance(event, Step) and len(left) > 1 and spent >= left[0]):
                if not first:
                    left.pop(0)
                    training._scoring.last()
                    spent = time.process_time() - begin - lost
                segmenter, paused = training.segmenter(), time.process_time()
                yield spent, lambda image, of=segmenter: of.predict(image, "YXC")
                lost += time.process_time() - paused
                training._begin += time.process_time() - paused
        segmenter = training.segmenter()
        yield time.process_time() - begin - lost, lambda image: segmenter.predict(image, "YXC")
    finally:
        loop.time = before  # type: ignore[misc]


def scikit_image(images: list[Array], strokes: list[Array], seed: int) -> Iterator[tuple[float, Answer]]:
    """scikit-image's trainable segmentation, as its gallery does it: multi-scale features and a random forest."""
    from skimage import feature, future
    from sklearn.ensemble import RandomForestClassifier

    several = images[0].shape[2] > 1
    describe = partial(
        feature.multiscale_basic_features,
        intensity=True,
        edges=True,
        texture=True,
        sigma_min=1,
        sigma_max=16,
        channel_axis=-1 if several else None,
    )

    def features(image: Array) -> Array:
        return np.asarray(describe(image if several else image[..., 0]))

    begin = time.process_time()
    forest = RandomForestClassifier(n_estimators=50, n_jobs=1, max_depth=10, max_samples=0.05, random_state=seed)
    known = [features(image)[painted > 0] for image, painted in zip(images, strokes, strict=True)]
    forest.fit(np.concatenate(known), np.concatenate([painted[painted > 0] for painted in strokes]))
    yield time.process_time() - begin, lambda image: future.predict_segmenter(features(image), forest)


def convpaint(images: list[Array], strokes: list[Array], seed: int) -> Iterator[tuple[float, Answer]]:
    """napari-convpaint with its Gaussian features."""
    from napari_convpaint.convpaint_model import ConvpaintModel

    several = images[0].shape[2] > 1

    def arranged(image: Array) -> Array:
        return np.moveaxis(image, -1, 0) if several else image[..., 0]

    begin = time.process_time()
    model = ConvpaintModel("gaussian")
    model.set_params(channel_mode="multi" if several else "single")
    model.train([arranged(image) for image in images], [painted.astype(int) for painted in strokes])
    yield time.process_time() - begin, lambda image: np.asarray(model.segment(arranged(image))).squeeze()


def plain(images: list[Array], strokes: list[Array], seed: int) -> Iterator[tuple[float, Answer]]:
    """The script that people write: a U-Net on ImageNet weights, cross-entropy on what is painted."""
    import segmentation_models_pytorch as smp
    import torch
    from plain_script import ENCODER, prepare
    from torch.nn import functional

    from napari_fcn.models.encoders import make_encoder

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    colours = [np.repeat(image, 3, -1) if image.shape[2] == 1 else image for image in images]
    begin, left = time.process_time(), list(MARKS)
    unet = smp.Unet(f"tu-{ENCODER}", encoder_weights=None, classes=int(max(s.max() for s in strokes)))
    unet.encoder.load_state_dict(make_encoder(ENCODER, "imagenet", 3).state_dict())
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3)

    def answer(image: Array) -> Array:
        padded = functional.pad(
            prepare(np.repeat(image, 3, -1) if image.shape[2] == 1 else image)[None],
            (0, -image.shape[1] % 32, 0, -image.shape[0] % 32),
            mode="reflect",
        )
        with torch.inference_mode():
            return unet(padded)[0, :, : image.shape[0], : image.shape[1]].argmax(0).numpy() + 1

    while left:
        unet.train()
        crops, targets = [], []
        for _ in range(8):
            pick = random.integers(len(colours))
            size = min(256, *strokes[pick].shape)
            size -= size % 32
            places = np.argwhere(strokes[pick] > 0)
            middle = places[random.integers(len(places))]
            start = [int(np.clip(m - size // 2, 0, s - size)) for m, s in zip(middle, strokes[pick].shape, strict=True)]
            window = tuple(slice(at, at + size) for at in start)
            crop, target = colours[pick][window], strokes[pick][window]
            if random.random() < 0.5:
                crop, target = crop[::-1], target[::-1]
            if random.random() < 0.5:
                crop, target = crop[:, ::-1], target[:, ::-1]
            crops.append(prepare(crop))
            targets.append(torch.from_numpy(target.astype(np.int64) - 1))
        if len({crop.shape for crop in crops}) > 1:
            continue
        loss = functional.cross_entropy(unet(torch.stack(crops)), torch.stack(targets), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        spent = time.process_time() - begin
        if spent >= left[0]:
            left.pop(0)
            unet.eval()
            yield spent, answer
            begin = time.process_time() - spent


CONTESTANTS: dict[str, Any] = {
    "pixel head": head,
    "head, then a network": behind,
    "scikit-image": scikit_image,
    "convpaint": convpaint,
    "U-Net on strokes": lambda i, s, seed: network(i, s, seed, transfer="finetune"),
    "plain script": plain,
}


def compare(arguments: argparse.Namespace, results: list[dict[str, Any]], add: Callable[..., None]) -> None:
    """All contestants on all sets, with one and two painted images."""
    for seed in range(arguments.seeds):
        for name in arguments.sets:
            data = Data(arguments.data / name)
            for count in arguments.images:
                images, strokes, truth = data.painted(count, seed)
                chosen = {key: CONTESTANTS[key] for key in arguments.contestants if key in CONTESTANTS}
                if "dense labels" in arguments.contestants:
                    chosen["dense labels"] = lambda i, s, n, t=truth: network(i, t, n, transfer="finetune")
                for contestant, run in chosen.items():
                    what = {"set": name, "images": count, "seed": seed, "contestant": contestant}
                    if any(all(row[key] == value for key, value in what.items()) for row in results):
                        continue
                    for seconds, answer in run(images, strokes, seed):
                        begin = time.process_time()
                        score = data.score(answer)
                        add(
                            **what,
                            seconds=round(seconds, 2),
                            score=round(score, 4),
                            segmenting=time.process_time() - begin,
                        )


def paint_next(arguments: argparse.Namespace, results: list[dict[str, Any]], add: Callable[..., None]) -> None:
    """What five further strokes are worth, where the head is unsure and at random."""
    from napari_fcn.config import DataConfig, ModelConfig, TrainingConfig
    from napari_fcn.inference.uncertainty import most_unsure
    from napari_fcn.training.live import LivePixels
    from napari_fcn.training.preview import Window

    for seed in range(arguments.seeds):
        for name in arguments.sets:
            data = Data(arguments.data / name)
            image, truth = data.train[seed % len(data.train)]
            for where in ("paint next", "random"):
                if any((row["set"], row["seed"], row["where"]) == (name, seed, where) for row in results):
                    continue
                hand = Strokes(truth, 10 * seed)
                hand.all_classes()
                random = np.random.default_rng(seed)
                live = LivePixels(
                    [image],
                    "YXC",
                    model=ModelConfig("pixel"),
                    data=DataConfig(zero="unlabelled"),
                    config=TrainingConfig(transfer="head", seed=seed),
                )
                live.update([hand.painted])
                scores = [data.score(partial(live.segmenter().predict, axes="YXC"))]
                for _ in range(5):
                    if where == "random":
                        place = tuple(int(random.integers(size)) for size in truth.shape)
                    else:
                        window = Window(0, (), slice(0, truth.shape[0]), slice(0, truth.shape[1]))
                        seen = live.see(window)
                        assert seen is not None
                        place = most_unsure(seen.uncertainty, hand.painted > 0) or (0, 0)
                    hand.stroke((place[0], place[1]))
                    live.update([hand.painted])
                scores.append(data.score(partial(live.segmenter().predict, axes="YXC")))
                add(set=name, seed=seed, where=where, before=round(scores[0], 4), after=round(scores[1], 4))


def table(rows: list[dict[str, Any]]) -> str:
    """Median scores by set, contestant and mark."""
    lines = ["| painted images | contestant | seconds | " + " | ".join(SETS) + " |", "|---" * (3 + len(SETS)) + "|"]
    for count in sorted({row["images"] for row in rows}):
        for contestant in dict.fromkeys(row["contestant"] for row in rows):
            own = [row for row in rows if (row["images"], row["contestant"]) == (count, contestant)]
            order: dict[tuple[str, int], int] = {}
            marks: dict[int, list[dict[str, Any]]] = {}
            for row in own:
                key = row["set"], row["seed"]
                order[key] = order.get(key, -1) + 1
                marks.setdefault(order[key], []).append(row)
            for found in marks.values():
                cells = []
                for name in SETS:
                    scores = [row["score"] for row in found if row["set"] == name]
                    cells.append(f"{np.median(scores):.3f}" if scores else "")
                seconds = np.median([row["seconds"] for row in found])
                lines.append(f"| {count} | {contestant} | {seconds:.1f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    """Score against seconds, a panel for each set, with two painted images."""
    import matplotlib.pyplot as plt

    count = max(row["images"] for row in rows)
    figure, axes = plt.subplots(1, len(SETS), figsize=(3.1 * len(SETS), 3.2), sharex=True)
    looks = {
        "pixel head": ("C3", "*"),
        "scikit-image": ("C0", "o"),
        "convpaint": ("C2", "s"),
        "U-Net on strokes": ("C1", "-"),
        "plain script": ("black", "-"),
        "head, then a network": ("C4", "-"),
        "dense labels": ("0.6", "--"),
    }
    for name, ax in zip(SETS, axes, strict=True):
        for contestant, (colour, look) in looks.items():
            own = [r for r in rows if (r["set"], r["contestant"], r["images"]) == (name, contestant, count)]
            seeds = [[r for r in own if r["seed"] == seed] for seed in sorted({r["seed"] for r in own})]
            points = [
                (np.median([r["seconds"] for r in at]), np.median([r["score"] for r in at]))
                for at in zip(*seeds, strict=False)
            ]
            if not points:
                continue
            line = look in ("-", "--")
            ax.plot(
                *zip(*points, strict=True),
                color=colour,
                ls=look if line else "",
                marker="." if line else look,
                ms=6 if line else 10,
                label=contestant,
            )
        ax.set(title=name, xscale="log", xlabel="processor seconds")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("mean IoU on other images")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=6, frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(path, dpi=90)


def main() -> None:
    """Run what is missing, then print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--images", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--contestants", nargs="+", default=["pixel head", "scikit-image"])
    parser.add_argument("--convpaint", type=Path, help="folder with napari-convpaint")
    parser.add_argument("--next", action="store_true", help="measure what 'paint next' is worth")
    parser.add_argument("--output", type=Path, required=True, help="JSON lines; existing ones are kept")
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    import torch

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    if arguments.convpaint is not None:
        sys.path.append(str(arguments.convpaint))
    rows = [json.loads(line) for line in arguments.output.read_text().splitlines()] if arguments.output.exists() else []

    def add(**row: Any) -> None:
        rows.append(row)
        with arguments.output.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)

    if arguments.next:
        paint_next(arguments, rows, add)
        gains = {w: [r["after"] - r["before"] for r in rows if r["where"] == w] for w in ("paint next", "random")}
        print({where: round(float(np.mean(gain)), 4) for where, gain in gains.items()})
        return
    compare(arguments, rows, add)
    print(table(rows))
    if arguments.plot is not None:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
