"""What computing atrous depthwise convolutions by phases is worth: training steps with and without it, in turn.

    python benchmarks/atrous.py

A step is forward and backward of 4 images of 192 x 192 pixels, in the engine's precision; the best of five.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from napari_fcn.config import ModelConfig
from napari_fcn.inference.engine import choose_engine
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.phases import PhasedConvolution


def without_phases(module: nn.Module) -> None:
    """Let every atrous convolution compute as PyTorch does."""
    for child in module.modules():
        if isinstance(child, PhasedConvolution):
            child.__class__ = nn.Conv2d  # type: ignore[assignment]


def step(network: nn.Module, images: torch.Tensor) -> float:
    begin = time.perf_counter()
    with choose_engine("cpu").autocast():
        logits = network(images)
    logits.float().square().mean().backward()
    return time.perf_counter() - begin


def main() -> None:
    """Print seconds a step."""
    engine = choose_engine("cpu")
    print(f"{engine.precision}\n\n| | as PyTorch, s | by phases, s | ratio |\n|---|---|---|---|")
    cases = ("pspnet", {}), ("deeplabv2", {}), ("deeplabv3plus", {}), ("deeplabv3plus", {"output_stride": 8})
    for name, settings in cases:
        model = ModelConfig(name, weights="none", **settings)
        phased, plain = (engine.place(build(NetworkSpec(model, 3, 2))).train() for _ in range(2))
        without_phases(plain)
        images = engine.put(torch.rand(4, 3, 192, 192))
        seconds = [(step(plain, images), step(phased, images)) for _ in range(5)]
        slow, fast = (min(column) for column in zip(*seconds, strict=True))
        title = ", ".join([name, *(f"{key.replace('_', ' ')} {value}" for key, value in settings.items())])
        print(f"| {title} | {slow:.2f} | {fast:.2f} | {slow / fast:.1f} |", flush=True)


if __name__ == "__main__":
    main()
