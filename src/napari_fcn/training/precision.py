"""In which precision to learn: prediction measures what is fastest, training decides once and stays with it.

A training must give the same numbers again, so its precision follows from the device alone and is not timed.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
from pathlib import Path

from ..inference.engine import Engine, choose_engine

__all__ = ["learning_engine"]


def learning_engine(device: str = "auto") -> Engine:
    """The engine to learn with; `device` and errors as for `choose_engine`.

    On a CPU bfloat16 is taken where it is multiplied faster than float32: by AMX, and by AMD's AVX512. Intel's AVX512
    has instructions for bfloat16 that do no more multiplications a cycle than those for float32, and gradients take
    longer with them (benchmarks/RESULTS.md, "A training step").
    """
    engine = choose_engine(device)
    if engine.device == "cpu" and engine.precision == "bfloat16" and not _multiplies_bfloat16_faster():
        return dataclasses.replace(engine, precision="float32")
    return engine


@functools.cache
def _multiplies_bfloat16_faster() -> bool:
    """Whether this processor, which knows bfloat16, gains by it."""
    if platform.system() != "Linux":
        return False
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return "amx_bf16" in words or "AuthenticAMD" in words
