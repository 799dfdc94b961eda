"""What a training step costs, beside the plain script's step and beside the network alone; in turn, in one run.

    python benchmarks/training_step.py DATA/nasa_superalloy

All with batches of 8 patches of 256 x 256 pixels, U-Net on the built-in encoder; DATA as `plain_script.py` describes.

- The loop: seconds of a whole step of `Training.run`, and of the same step's forward pass, loss, backward pass and
  optimizer alone. What is between is the loop's own: drawing patches, schedule, clipping, events, random state.
- Frozen encoder: seconds a step with kept features (once they are there), without keeping them, with the wider decoder
  that fine-tuning has, and of the plain script with a frozen encoder (no gradients, evaluation mode; fp32, as people
  write it).
- Layout and precision: seconds a step of the network alone, fp32 and bfloat16, contiguous and channels last.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import segmentation_models_pytorch as smp
import torch
from plain_script import ENCODER, load, prepare
from torch.nn import functional

import napari_fcn as fcn  # before torch: it sets what torch's libraries read when they are loaded
from napari_fcn.inference.engine import choose_engine
from napari_fcn.models.encoders import make_encoder
from napari_fcn.training import Step

BATCH, SIDE = 8, 256


def median(seconds: list[float]) -> float:
    return float(np.median(seconds))


def timed(step: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    step()
    return time.perf_counter() - begin


class Loop:
    """Steps of a `Training`, one at a time; `warm` of them are not counted."""

    def __init__(self, images: Any, labels: Any, **options: Any) -> None:
        settings = {"axes": "YXC", "batch_size": BATCH, "patch_size": SIDE, "validation": 0.0, "steps": 10**6}
        self.training = fcn.prepare_training(images, labels, **settings, **options)
        self.events = self.training.run()
        self.inner: list[float] = []
        step = self.training.learner.step

        def inside(batch: Any, factor: float) -> float:
            begin = time.perf_counter()
            loss = step(batch, factor)
            self.inner.append(time.perf_counter() - begin)
            return loss

        self.training.learner.step = inside

    def __call__(self) -> None:
        for event in self.events:
            if isinstance(event, Step):
                return


def plain(images: Any, labels: Any, *, frozen: bool) -> Callable[[], None]:
    """A step of the script that people write, its crops included."""
    network = smp.Unet(f"tu-{ENCODER}", encoder_weights=None, classes=int(max(m.max() for m in labels)) + 1)
    network.encoder.load_state_dict(make_encoder(ENCODER, "imagenet", 3).state_dict())
    network.train()
    if frozen:
        network.encoder.requires_grad_(False).eval()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-3)
    random = np.random.default_rng(0)

    def step() -> None:
        crops, targets = [], []
        for _ in range(BATCH):
            pick = random.integers(len(images))
            top, left = (random.integers(0, size - SIDE + 1) for size in labels[pick].shape)
            window = slice(top, top + SIDE), slice(left, left + SIDE)
            crops.append(prepare(images[pick][window]))
            targets.append(torch.from_numpy(labels[pick][window].astype(np.int64)))
        loss = functional.cross_entropy(network(torch.stack(crops)), torch.stack(targets))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def alone(images: Any, labels: Any, precision: str, layout: torch.memory_format) -> Callable[[], None]:
    """Forward, loss, backward, optimizer on one batch that is there already."""
    training = fcn.prepare_training(images, labels, axes="YXC", batch_size=BATCH, patch_size=SIDE, steps=1)
    network = training.network.to(memory_format=layout).train()
    patches, target = training.sampler.draw(0)
    patches = patches.contiguous(memory_format=layout)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bfloat16"):
            logits = network(patches)
        functional.cross_entropy(logits.float(), target, ignore_index=-1).backward()
        optimizer.step()

    return step


def main() -> None:
    """Measure everything in turn, and print tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--bfloat16", action="store_true", help="also where it is not learnt in")
    arguments = parser.parse_args()
    images, labels = load(arguments.data, "train")
    engine = choose_engine()
    print(f"{torch.get_num_threads()} threads, {engine.device}, {engine.precision}\n")

    loop = Loop(images, labels)
    one = images[:1], labels[:1]  # so that all features are there after some steps
    frozen = {
        "napari-fcn, features kept": Loop(*one, transfer="frozen"),
        "napari-fcn, features computed anew": Loop(*one, transfer="frozen", feature_memory=0.0),
        "napari-fcn, features kept, decoder as wide as the plain script's": Loop(*one, transfer="frozen", width=16),
        "plain script": plain(*one, frozen=True),
    }
    for name in frozen:
        for _ in range(16 if "kept" in name else 0):
            frozen[name]()
    layouts = {
        (precision, name): alone(images, labels, precision, layout)
        for precision in ("float32", "bfloat16")
        for name, layout in (("contiguous", torch.contiguous_format), ("channels last", torch.channels_last))
        if precision == engine.precision or precision == "float32" or arguments.bfloat16
    }
    steps: dict[Any, Callable[[], Any]] = {"loop": loop, "plain script": plain(images, labels, frozen=False)}
    everything = {**steps, **{("frozen", name): step for name, step in frozen.items()}, **layouts}
    seconds: dict[Any, list[float]] = {name: [] for name in everything}
    for step in everything.values():
        for _ in range(3):
            step()
    loop.inner.clear()
    for _ in range(arguments.repeats):
        for name, step in everything.items():
            seconds[name].append(timed(step))

    whole, inner = median(seconds["loop"]), median(loop.inner)
    print("| | s a step |\n|---|---|")
    print(f"| napari-fcn, the whole loop | {whole:.3f} |")
    print(f"| of it forward, loss, backward, optimizer | {inner:.3f} |")
    print(f"| the loop's own | {whole - inner:.3f} ({(whole - inner) / whole:.1%}) |")
    print(f"| plain script | {median(seconds['plain script']):.3f} |\n")
    reference = median(seconds["frozen", "plain script"])
    print("| frozen encoder | s a step | plain script / this |\n|---|---|---|")
    for name in frozen:
        found = median(seconds["frozen", name])
        print(f"| {name} | {found:.3f} | {reference / found:.1f} |")
    print("\n| the network alone | s a step |\n|---|---|")
    for name in layouts:
        print(f"| {name[0]}, {name[1]} | {median(seconds[name]):.3f} |")


if __name__ == "__main__":
    main()
