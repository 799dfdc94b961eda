"""Score against seconds: every strategy of napari-fcn beside the plain script and learning from scratch.

    python benchmarks/time_to_quality.py DATA/nasa_superalloy DATA/isbi2012_em DATA/amazon_forest DATA/dsb2018_nuclei

Each DATA is a folder as `plain_script.py` describes. For each set and seed in turn: the plain script trains for
`--plain-seconds` and is scored on its way (the clock stands still meanwhile); napari-fcn is trained with each of
`--budgets` seconds, for each strategy. All seconds are processor seconds of one thread, so that what else the machine
does counts little. Scores are mean IoU on the split `test`, or `val` where there is no `test`. The table says how long
each needs to reach the plain script's last score: the least budget that does, and for the plain script its full time.
Results are appended to `--output` as JSON lines, so that a run that was interrupted goes on, and can be cut into calls
of some sets, seeds and contestants; `--plot` draws them.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from plain_script import load, plain, score_plain

import napari_fcn as fcn  # before torch: it sets what torch's libraries read when they are loaded

PLAIN = "plain script"
STRATEGIES: dict[str, dict[str, Any]] = {
    "finetune": {},
    "frozen": {"transfer": "frozen"},
    "finetune, unfreeze 0.3": {"unfreeze": 0.3},
    "finetune, stage decay 0.7": {"stage_decay": 0.7},
    "scratch": {"transfer": "scratch"},
}
COLOURS = {PLAIN: "black", "scratch": "0.6"}


class Results:
    """Measured scores, as lines of a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path.exists():
            self.rows = [json.loads(line) for line in path.read_text().splitlines()]

    def has(self, **what: Any) -> bool:
        return any(all(row[key] == value for key, value in what.items()) for row in self.rows)

    def add(self, **row: Any) -> None:
        self.rows.append(row)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(row, flush=True)


def measure(folder: Path, seed: int, arguments: argparse.Namespace, results: Results) -> None:
    """All contestants on one set with one seed."""
    images, labels = load(folder, "train")
    split = "test" if "test" in json.loads((folder / "split.json").read_text()) else "val"
    test_images, test_labels = load(folder, split)
    common = {"set": folder.name, "seed": seed}
    for rate in arguments.rates if PLAIN in arguments.contestants else ():
        name = f"{PLAIN}, rate {rate:g}"
        if not results.has(**common, name=name):
            scores: list[tuple[float, float]] = []

            def score(network: torch.nn.Module, seconds: float, scores: list[Any] = scores) -> None:
                network.eval()
                scores.append((seconds, score_plain(network, test_images, test_labels).mean_iou))
                network.train()

            plain(images, labels, arguments.plain_seconds, seed, rate, marks=arguments.marks, on_mark=score)
            for seconds, found in scores:
                results.add(**common, name=name, seconds=round(seconds, 1), score=found)
    for name, options in STRATEGIES.items():
        if name not in arguments.contestants:
            continue
        for budget in arguments.budgets:
            if results.has(**common, name=name, seconds=budget):
                continue
            begin = time.perf_counter()
            segmenter = fcn.train(images, labels, axes="YXC", time_budget=budget, seed=seed, **options)
            whole = time.perf_counter() - begin
            found = [segmenter.predict(image, "YXC") for image in test_images]
            score_now = fcn.evaluate(found, test_labels).mean_iou
            steps = segmenter.history["steps"]
            results.add(**common, name=name, seconds=budget, whole=round(whole, 1), steps=steps, score=score_now)


def needed(rows: list[dict[str, Any]], name: str, seed: int, target: float) -> float:
    """The least seconds with which a contestant reaches a score; infinite when it never does."""
    reached = [row["seconds"] for row in rows if row["name"] == name and row["seed"] == seed and row["score"] >= target]
    return min(reached, default=math.inf)


def table(results: Results) -> None:
    """Seconds to the plain script's last score, median over the seeds, for each set."""
    for folder in dict.fromkeys(row["set"] for row in results.rows):
        rows = [row for row in results.rows if row["set"] == folder]
        plains = {row["name"] for row in rows if row["name"].startswith(PLAIN)}
        if not plains:
            continue
        seeds = sorted(set.intersection(*({row["seed"] for row in rows if row["name"] == name} for name in plains)))
        last = {
            name: {
                seed: max((r for r in rows if r["name"] == name and r["seed"] == seed), key=lambda r: r["seconds"])
                for seed in seeds
            }
            for name in plains
        }
        best = max(plains, key=lambda name: np.median([row["score"] for row in last[name].values()]))
        targets = {seed: row["score"] for seed, row in last[best].items()}
        full = float(np.median([row["seconds"] for row in last[best].values()]))
        print(f"\n{folder}: {best} reaches {np.median(list(targets.values())):.3f} in {full:.0f} s\n")
        print("| | s to that score, median (each seed) | score at each budget, median |\n|---|---|---|")
        for name in dict.fromkeys(row["name"] for row in rows):
            if name in plains:
                continue
            run = [seed for seed in seeds if any(row["name"] == name and row["seed"] == seed for row in rows)]
            if not run:
                continue
            times = [needed(rows, name, seed, targets[seed]) for seed in run]
            shown = ", ".join("never" if math.isinf(t) else f"{t:g}" for t in times)
            middle = float(np.median(times))
            budgets = sorted({row["seconds"] for row in rows if row["name"] == name})
            scores = [
                f"{b:g} s: {np.median([r['score'] for r in rows if r['name'] == name and r['seconds'] == b]):.3f}"
                for b in budgets
            ]
            print(f"| {name} | {'never' if math.isinf(middle) else f'{middle:g}'} ({shown}) | {', '.join(scores)} |")


def draw(results: Results, path: Path) -> None:
    """Score over seconds, one panel a set: the median line and each seed as a dot."""
    from matplotlib.figure import Figure

    folders = list(dict.fromkeys(row["set"] for row in results.rows))
    figure = Figure(figsize=(3.6 * len(folders), 3.4), layout="constrained", dpi=130)
    places = figure.subplots(1, len(folders), squeeze=False)[0]
    names = list(dict.fromkeys(row["name"] for row in results.rows))
    for place, folder in zip(places, folders, strict=True):
        rows = [row for row in results.rows if row["set"] == folder]
        for name in names:
            mine = [row for row in rows if row["name"] == name]
            # The first, second ... measurement of each seed; their seconds differ a little.
            bins: dict[int, list[dict[str, Any]]] = {}
            for seed in {row["seed"] for row in mine}:
                of_seed = sorted((row for row in mine if row["seed"] == seed), key=lambda row: row["seconds"])
                for rank, row in enumerate(of_seed):
                    bins.setdefault(rank, []).append(row)
            middle = [[np.median([row[key] for row in each]) for each in bins.values()] for key in ("seconds", "score")]
            colour = COLOURS.get(name.split(",")[0], f"C{names.index(name)}")
            place.plot(*middle, color=colour, label=name, linewidth=1.5, marker="o", markersize=4)
            place.scatter([r["seconds"] for r in mine], [r["score"] for r in mine], color=colour, s=5, alpha=0.5)
        place.set(title=folder, xlabel="processor seconds of training", ylim=(0, 1))
        place.spines[["top", "right"]].set_visible(False)
    places[0].set_ylabel("mean IoU on unseen images")
    places[-1].legend(fontsize=7, frameon=False, loc="lower right")
    figure.savefig(path)


def main() -> None:
    """Measure, then print tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="*")
    parser.add_argument("--plain-seconds", type=float, default=180)
    parser.add_argument("--marks", type=float, nargs="+", default=[15, 30, 60, 90, 120])
    parser.add_argument("--rates", type=float, nargs="+", default=[1e-3], help="of the plain script")
    parser.add_argument("--budgets", type=float, nargs="+", default=[15, 30, 60])
    everybody = [PLAIN, *STRATEGIES]
    parser.add_argument("--contestants", nargs="+", choices=everybody, default=everybody)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path, default=Path("time_to_quality.jsonl"))
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    time.perf_counter = time.process_time  # for the plain script and for napari-fcn's trainings alike
    results = Results(arguments.output)
    for seed in arguments.seeds:
        for folder in arguments.data:
            measure(folder, seed, arguments, results)
    table(results)
    if arguments.plot:
        draw(results, arguments.plot)


if __name__ == "__main__":
    main()
