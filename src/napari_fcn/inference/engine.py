"""Where and in which precision to compute: the fastest way that is safe on this machine."""

from __future__ import annotations

import contextlib
import functools
import platform
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

__all__ = ["Engine", "choose_engine"]


@dataclass(frozen=True)
class Engine:
    """A device and how to compute on it.

    Attributes
    ----------
    device : "cpu", "cuda", "cuda:1" or "mps".
    precision : "float32", "bfloat16" or "float16": of convolutions; weights and sums stay in float32.
    """

    device: str
    precision: str

    def put(self, values: Tensor) -> Tensor:
        """The tensor on the device; images `(N, C, H, W)` with channels last in memory, as convolutions like it."""
        import torch

        layout = torch.channels_last if values.ndim == 4 else torch.preserve_format
        return values.to(self.device, memory_format=layout, non_blocking=True)

    def place(self, network: nn.Module) -> Any:
        """The network on the device, channels last."""
        import torch

        return network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def autocast(self) -> AbstractContextManager[Any]:
        """While this is open, convolutions compute in the engine's precision."""
        import torch

        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.split(":")[0], dtype=getattr(torch, self.precision))


def choose_engine(device: str = "auto") -> Engine:
    """The engine for a device name; "auto" takes CUDA or Apple's MPS when there is one, else the CPU.

    On a CPU bfloat16 is taken where the processor gains by it; without instructions for it, it would be many times
    slower than float32. That follows from the device alone, so that a training gives the same numbers again.

    Raises
    ------
    InputError
        The device does not exist on this machine.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, number = device.partition(":")
    available = {
        "cpu": 1,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }
    if kind not in available or (number and not number.isdigit()) or int(number or 0) >= available[kind]:
        present = ", ".join(name for name, count in available.items() if count)
        raise InputError(f"There is no device {device!r} on this machine; it has {present}.")
    return Engine(device, _precision(kind, torch))


def _precision(kind: str, torch_module: Any) -> str:
    if kind == "cuda":
        return "bfloat16" if torch_module.cuda.is_bf16_supported(including_emulation=False) else "float16"
    if kind == "cpu" and _cpu_gains_by_bfloat16():
        return "bfloat16"
    return "float32"


@functools.cache
def _cpu_gains_by_bfloat16() -> bool:
    """Whether this processor computes bfloat16 convolutions faster than those in single precision.

    By AMX, and by AMD's AVX512-BF16. Intel's AVX512-BF16 multiplies no more numbers a cycle than in single precision;
    there PyTorch and OpenVINO took 1.4 and 1.8 times as long in bfloat16 (benchmarks/RESULTS.md, "Prediction").
    """
    if platform.system() != "Linux":
        return False
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return "amx_bf16" in words or {"AuthenticAMD", "avx512_bf16"} <= words


@contextlib.contextmanager
def evaluating(network: torch.nn.Module) -> Iterator[None]:
    """While this is open the network is in evaluation mode and remembers no gradients."""
    import torch

    before = network.training
    network.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        network.train(before)
