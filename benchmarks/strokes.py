"""Learning from a few strokes: score against seconds, beside pixel classifiers, the plain script and dense labels.

    python benchmarks/strokes.py DATA --convpaint FOLDER --output strokes.jsonl --plot strokes.png
    python benchmarks/strokes.py DATA --next --output next.jsonl

DATA is the folder of the five sets in SETS. Strokes are painted by a deterministic hand: on each image every class that
is there gets the same allowance, 0.75 % of the pixels in all, in strokes of a 5-pixel brush that stay inside the class.
One or two images are painted, with three seeds, and other images, of the split `test`, are scored by mean IoU of one
pooled confusion matrix. Seconds are processor seconds of one thread, so that they do not depend on what else a machine
does; segmenting the test images is not counted. Every contestant sees the same strokes, but for `dense labels`, which
sees all labels of the same images.

FOLDER has napari-convpaint and what it needs (`pip install --target FOLDER --no-deps napari-convpaint catboost six
einops omegaconf antlr4-python3-runtime==4.9.3 napari-guitils napari-annotation-project ilastik-napari sparse`); what
its ilastik features take of fastfilters, `fastfilters.py` beside this file computes.
`--next` measures what 'paint next' is worth instead: a simulated annotator paints five further strokes, each where the
head is most unsure or at random, and the gains are compared. Results are JSON lines; an interrupted run goes on, and
one with `--seconds` ends before the next contestant begins that many seconds after its start.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import types
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from stroke_hand import Answer, Array, Data, Strokes
from stroke_rivals import convpaint, plain, scikit_image

import napari_fcn as fcn
from napari_fcn.inference.engine import choose_engine

SETS = ("vnc_em_multiclass", "nasa_superalloy", "wbc_cellavision", "dsb2018_nuclei", "amazon_forest")
MARKS = (1.0, 2.0, 5.0, 10.0, 20.0, 60.0)
"""Seconds after which what learns step by step is scored, if it has anything new to say."""


def head(images: list[Array], strokes: list[Array], seed: int, **data: Any) -> Iterator[tuple[float, Answer]]:
    """napari-fcn's pixel head, all strokes learnt from."""
    begin = time.process_time()
    options = {"axes": "YXC", "zero": "unlabelled", "transfer": "head", "validation": 0.0, "device": "cpu", **data}
    segmenter = fcn.train(images, strokes, seed=seed, **options)
    yield time.process_time() - begin, _answer(segmenter)


def training(
    images: list[Array], labels: list[Array], seed: int, marks: Sequence[float] = MARKS, **options: Any
) -> Iterator[tuple[float, Answer]]:
    """One training of napari-fcn, until the last of the marks, with what it would answer at each."""
    from napari_fcn.api import prepare_training
    from napari_fcn.training import Step, loop

    begin, left = time.process_time(), list(marks)
    before = loop.time
    loop.time = types.SimpleNamespace(perf_counter=time.process_time)  # type: ignore[assignment,misc]
    try:
        run = prepare_training(
            images, labels, axes="YXC", zero="unlabelled", seed=seed, time_budget=marks[-1], device="cpu", **options
        )
        lost = 0.0
        for event in run.run():
            spent = time.process_time() - begin - lost
            if isinstance(event, Step) and spent >= left[0] and len(left) > 1:
                left = [mark for mark in left if mark > spent] or [marks[-1]]
                run._scoring.last()
                segmenter, paused = run.segmenter(), time.process_time()
                yield paused - begin - lost, _answer(segmenter)
                lost += time.process_time() - paused
                run._begin += time.process_time() - paused
        segmenter = run.segmenter()
        yield time.process_time() - begin - lost, _answer(segmenter)
    finally:
        loop.time = before  # type: ignore[misc]


def _answer(segmenter: fcn.Segmenter) -> Answer:
    """With the engine that training uses: the fastest one would have to be found out for every segmenter."""
    return partial(segmenter.predict, axes="YXC", engine=choose_engine("cpu").precision)


Contestant = Callable[..., Iterator[tuple[float, Answer]]]

CONTESTANTS: dict[str, Contestant] = {
    "pixel head": head,
    "head, then a network": partial(training, transfer="head", architecture="unet"),
    "scikit-image": scikit_image,
    "convpaint, Gaussian": convpaint,
    "convpaint, ilastik": partial(convpaint, features="ilastik"),
    "plain script": partial(plain, marks=MARKS),
    "dense labels": partial(training, marks=(20.0, 60.0), transfer="finetune", architecture="unet", validation=0.0),
}
LABELS_ALL = ("dense labels",)
"""Contestants that see every label of the painted images."""
OURS = ("pixel head", "head, then a network", "dense labels")
"""Contestants that are told how the command line and the widgets would standardise such files."""


def compare(arguments: argparse.Namespace, results: list[dict[str, Any]], add: Callable[..., None]) -> bool:
    """All contestants on all sets, with one and two painted images; whether that came to an end in time."""
    begin = time.perf_counter()
    for seed in range(arguments.seeds):
        for name in arguments.sets:
            data: Data | None = None
            for count in arguments.images:
                for contestant in arguments.contestants:
                    what = {"set": name, "images": count, "seed": seed, "contestant": contestant}
                    if any(all(row[key] == value for key, value in what.items()) for row in results):
                        continue
                    if arguments.seconds is not None and time.perf_counter() - begin > arguments.seconds:
                        return False
                    data = data or Data(arguments.data / name)
                    images, strokes, truth = data.painted(count, seed)
                    seen = truth if contestant in LABELS_ALL else strokes
                    told = {"normalization": data.normalization} if contestant in OURS else {}
                    # Written down together, for a contestant that was interrupted begins anew.
                    rows = [
                        {**what, "seconds": round(seconds, 2), "score": round(data.score(answer), 4)}
                        for seconds, answer in CONTESTANTS[contestant](images, seen, seed, **told)
                    ]
                    for row in rows:
                        add(**row)
    return True


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
                    data=DataConfig(zero="unlabelled", normalization=data.normalization),
                    config=TrainingConfig(transfer="head", seed=seed),
                )
                live.update([hand.painted])
                scores = [data.score(_answer(live.segmenter()))]
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
                scores.append(data.score(_answer(live.segmenter())))
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
        "convpaint, Gaussian": ("C2", "s"),
        "convpaint, ilastik": ("C1", "^"),
        "plain script": ("black", "-"),
        "head, then a network": ("C4", "-"),
        "dense labels": ("0.6", "--"),
    }
    for name, ax in zip(SETS, axes, strict=True):
        for contestant, (colour, look) in looks.items():
            own = [r for r in rows if (r["set"], r["contestant"], r["images"]) == (name, contestant, count)]
            seeds = [[r for r in own if r["seed"] == seed] for seed in sorted({r["seed"] for r in own})]
            points = _curve(seeds) if look in ("-", "--") else _medians(seeds)
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
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=len(looks), frameon=False)
    figure.tight_layout(rect=(0, 0.1, 1, 1))
    figure.savefig(path, dpi=90)


def _medians(seeds: list[list[dict[str, Any]]]) -> list[tuple[float, float]]:
    """Seconds and score of the only answer, medians of the seeds."""
    last = [rows[-1] for rows in seeds]
    return (
        [(float(np.median([r["seconds"] for r in last])), float(np.median([r["score"] for r in last])))] if last else []
    )


def _curve(seeds: list[list[dict[str, Any]]]) -> list[tuple[float, float]]:
    """Median over the seeds of what each has answered last at a mark, or soon after, for a step takes its time."""
    points = []
    for mark in MARKS:
        known = [[r["score"] for r in rows if r["seconds"] <= 1.3 * mark] for rows in seeds]
        if known and all(known):
            points.append((mark, float(np.median([scores[-1] for scores in known]))))
    return points


def main() -> None:
    """Run what is missing, then print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--images", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--contestants", nargs="+", default=list(CONTESTANTS), choices=list(CONTESTANTS))
    parser.add_argument("--seconds", type=float, help="begin nothing new after so many seconds")
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
    if not compare(arguments, rows, add):
        print("Not everything was measured yet; the same command goes on.")
    print(table(rows))
    if arguments.plot is not None:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
