"""Ways to compute a network for prediction, each a function from windows to class probabilities."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .engine import Engine
from .tta import averaged

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["WAYS", "make_forward", "possible_ways", "streams_of"]

WAYS = {
    "auto": "the fastest one that gives the same labels, measured once",
    "float32": "PyTorch in single precision",
    "contiguous": "PyTorch in single precision, channel by channel in memory",
    "bfloat16": "PyTorch with convolutions in bfloat16, for processors that compute it",
    "openvino": "OpenVINO in single precision (extra 'openvino')",
    "openvino-bfloat16": "OpenVINO in bfloat16, for processors that compute it (extra 'openvino')",
}

Logits = Callable[["Tensor"], "Tensor"]
"""Standardised images `(N, C, h, w)` on the CPU to logits `(N, K, h, w)` on the CPU or another device."""


def possible_ways(engine: Engine) -> list[str]:
    """The ways that this machine has, plain single precision first."""
    if engine.device != "cpu":
        return ["float32", engine.precision] if engine.precision == "bfloat16" else ["float32"]
    ways = ["float32", "contiguous"]
    short = engine.precision == "bfloat16"
    if short:
        ways.append("bfloat16")
    if importlib.util.find_spec("openvino") is not None:
        ways.append("openvino")
        if short:
            ways.append("openvino-bfloat16")
    return ways


def streams_of(way: str) -> int:
    """How many windows are best computed at the same time, each in a thread of its own.

    With OpenVINO two that share the threads take 0.57 of the time of one after the other (2 threads, tiles of 768): of
    the threads that compute a layer together, each waits for the slowest.
    """
    import torch

    return min(2, torch.get_num_threads()) if way.startswith("openvino") else 1


def make_forward(
    network: nn.Module, channels: int, way: str, engine: Engine, tta: str = "none"
) -> Callable[[npt.NDArray[np.float32]], Tensor]:
    """A function from windows `(N, C, h, w)` to probabilities `(N, K, h, w)` on the CPU, float32.

    It may be called by as many threads at once as `streams_of` says.

    Parameters
    ----------
    network : fp32, on the CPU, of `channels` channels; it is not changed.
    way : a name in `WAYS`, not "auto".
    engine : the device, and its precision where it is no CPU.
    tta : a name in `tta.VARIANTS`.

    Raises
    ------
    MissingExtraError
        OpenVINO is asked for and not there.
    InputError
        The way does not exist, or not on this device.
    """
    import torch

    logits = _logits(network, channels, way, engine)
    pin = engine.device.startswith("cuda")

    def forward(windows: npt.NDArray[np.float32]) -> Tensor:
        with torch.inference_mode():
            images = torch.from_numpy(windows)
            images = images.pin_memory() if pin else images
            result: Tensor = averaged(lambda x: torch.softmax(logits(x).float(), dim=1), images, tta)
            return result.cpu()

    return forward


def _logits(network: nn.Module, channels: int, way: str, engine: Engine) -> Logits:
    from .fold import folded

    if way not in WAYS or way == "auto":
        raise InputError(f"`engine` must be one of {', '.join(WAYS)}. Got {way!r}.")
    if way.startswith("openvino"):
        if engine.device != "cpu":
            raise InputError(f"`engine` {way!r} computes on the CPU. Got device {engine.device!r}; use device 'cpu'.")
        from .openvino_graph import OpenvinoLogits

        return OpenvinoLogits(network, channels, "bf16" if way.endswith("bfloat16") else "f32")
    import torch

    quick: Any = folded(network, channels)
    if way == "contiguous":
        quick = quick.to(memory_format=torch.contiguous_format)
        return lambda images: quick(images.contiguous())
    if engine.device == "cpu" or way == "float32":
        engine = Engine(engine.device, way if engine.device == "cpu" else engine.precision)
    quick = engine.place(quick)

    def compute(images: Tensor) -> Tensor:
        with engine.autocast():
            result: Tensor = quick(engine.put(images))
            return result

    return compute
