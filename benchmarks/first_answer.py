"""How long the first answer to strokes takes, and an update after a further one: wall seconds on an idle machine.

    python benchmarks/first_answer.py DATA/vnc_em_multiclass

One image of the set is painted as in `strokes.py`. Counted is from the labels being there until the head is fitted,
features included, and until the whole image is segmented by it as live mode does; the first time in a process, when
libraries are loaded and kernels made, and then the median of three. Updates follow five further strokes, one each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from stroke_hand import Data, Strokes

from napari_fcn.api import prepare_training
from napari_fcn.config import DataConfig, ModelConfig, TrainingConfig
from napari_fcn.training import Step
from napari_fcn.training.live import LivePixels
from napari_fcn.training.preview import Window

REPEATS, FURTHER = 3, 5


def main() -> None:
    """A line for each way of asking."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    data = Data(parser.parse_args().data)
    image, truth = data.train[0]
    hand = Strokes(truth, 0)
    hand.all_classes()
    print(f"{truth.shape[0]} x {truth.shape[1]} pixels, {image.shape[2]} channels, {(hand.painted > 0).sum()} painted")
    whole = Window(0, (), slice(0, truth.shape[0]), slice(0, truth.shape[1]))

    def trained(**options: object) -> None:
        settings = {"transfer": "head", "time_budget": 60.0, "device": "cpu", **options}
        training = prepare_training([image], [hand.painted], axes="YXC", zero="unlabelled", **settings)
        next(event for event in training.run() if isinstance(event, Step))

    def lived() -> LivePixels:
        live = LivePixels(
            [image],
            "YXC",
            model=ModelConfig("pixel"),
            data=DataConfig(zero="unlabelled"),
            config=TrainingConfig(transfer="head", device="cpu"),
        )
        live.update([hand.painted])
        live.see(whole)
        return live

    ways: dict[str, Callable[[], object]] = {
        "head alone, fitted": lambda: trained(validation=0.0),
        "head before a network, fitted": lambda: trained(architecture="unet"),
        "live mode, fitted and the image segmented": lived,
    }
    for name, way in ways.items():
        seconds = [_seconds(way) for _ in range(1 + REPEATS)]
        print(f"{name}: {seconds[0]:.2f} s at first, then {np.median(seconds[1:]):.2f} s", flush=True)
    live, updates, views = lived(), [], []
    random = np.random.default_rng(0)
    for _ in range(FURTHER):
        hand.stroke((int(random.integers(truth.shape[0])), int(random.integers(truth.shape[1]))))
        updates.append(_seconds(lambda: live.update([hand.painted])))
        views.append(_seconds(lambda: live.see(whole)))
    print(
        f"live mode, a further stroke: fitted after {np.median(updates):.2f} s, at most {max(updates):.2f} s; ", end=""
    )
    print(f"segmenting the image {np.median(views):.2f} s more")


def _seconds(way: Callable[[], object]) -> float:
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
