"""The fastest way to compute a network on this machine, measured once for each of them and remembered."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import OutputError
from ..io.atomic import atomic
from .engine import Engine
from .memory import give_back
from .ways import make_forward, possible_ways

if TYPE_CHECKING:
    from torch import nn

__all__ = ["AGREEMENT", "choose_way", "fingerprint", "memory_file"]

AGREEMENT = 0.999
"""Part of the pixels whose label must be that of single precision, or the way is not taken."""
KEPT = 200
"""Measurements that are remembered."""


def choose_way(network: nn.Module, channels: int, engine: Engine, sample: Callable[[], npt.NDArray[np.float32]]) -> str:
    """The name of the fastest way on this machine.

    Parameters
    ----------
    network, channels : what is to be computed.
    engine : device and the precision that its flags allow.
    sample : gives a window `(C, h, w)` of the image, standardised; called when something has to be measured.
    """
    ways = possible_ways(engine)
    if len(ways) == 1:
        return ways[0]
    key = f"{_machine(engine)}:{fingerprint(network)}"
    known = _read().get(key, {})
    if known.get("ways") == ways and known.get("way") in ways:
        return str(known["way"])
    window = np.ascontiguousarray(sample()[None])
    seconds: dict[str, float] = {}
    agreement: dict[str, float] = {}
    expected: Any = None
    for way in ways:
        forward = make_forward(network, channels, way, engine)
        labels = forward(window).argmax(dim=1)
        expected = labels if expected is None else expected
        agreement[way] = float((labels == expected).float().mean())
        seconds[way] = min(_timed(lambda forward=forward: forward(window)) for _ in range(2))  # type: ignore[misc]
        del forward  # two networks at once would take twice the memory
        give_back()
    best = min((way for way in ways if agreement[way] >= AGREEMENT), key=seconds.__getitem__)
    _remember(key, {"way": best, "ways": ways, "seconds": seconds, "agreement": agreement})
    return best


def memory_file() -> Path:
    """Where measurements are remembered: in the user's folder for what can be computed again."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "napari-fcn" / "engines.json"


def _timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def _machine(engine: Engine) -> str:
    """The processor, the threads and the versions: what a speed depends on."""
    import torch

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next((line for line in lines if line.startswith("model name")), "")
    except OSError:
        model = platform.processor()
    try:
        openvino = version("openvino")
    except PackageNotFoundError:
        openvino = ""
    facts = [platform.node(), model, engine.device, torch.get_num_threads(), torch.__version__, openvino]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def fingerprint(network: nn.Module) -> str:
    """A number for structure and weights."""
    digest = hashlib.sha256(str(network).encode())
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _read() -> dict[str, Any]:
    try:
        document = json.loads(memory_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _remember(key: str, entry: dict[str, Any]) -> None:
    """Add an entry; where nothing can be written, it is measured again the next time."""
    document = {**{name: value for name, value in _read().items() if name != key}, key: entry}
    try:
        with atomic(memory_file()) as temporary:
            temporary.write_text(json.dumps(dict(list(document.items())[-KEPT:])), encoding="utf-8")
    except OutputError:
        return
