"""The fastest way to compute a network on this machine, measured once for each of them and remembered."""

from __future__ import annotations

import hashlib
import json
import platform
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import OutputError
from ..io.atomic import atomic
from .engine import Engine
from .memory import give_back
from .remembered import cache_folder
from .ways import make_forward, possible_ways, streams_of

if TYPE_CHECKING:
    from torch import nn

__all__ = ["AGREEMENT", "choose_way", "fingerprint", "memory_file"]

AGREEMENT = 0.999
"""Part of the pixels whose label must be that of single precision, or the way is not taken."""
KEPT = 200
"""Measurements that are remembered."""
REPEATS, STEADY, HOPELESS = 6, 1.1, 2.0
"""A way is timed until its two shortest times, which other programs delayed least, differ by less than a tenth; at most
six times, and no more than twice where it takes twice the time of the fastest so far."""


def choose_way(
    network: nn.Module,
    channels: int,
    engine: Engine,
    sample: Callable[[], npt.NDArray[np.float32]],
    ways: Sequence[str] | None = None,
) -> str:
    """The name of the fastest way on this machine.

    Parameters
    ----------
    network, channels : what is to be computed.
    engine : device and the precision that its flags allow.
    sample : gives a window `(C, h, w)` of the image, standardised; called when something has to be measured.
    ways : to choose from, single precision first; all that this machine has when None.
    """
    ways = possible_ways(engine) if ways is None else list(ways)
    if len(ways) == 1:
        return ways[0]
    key = f"{_machine(engine, ways)}:{fingerprint(network)}"
    known = _read().get(key, {}).get("way")
    if known in ways:
        return str(known)
    window = np.ascontiguousarray(sample()[None])
    seconds: dict[str, float] = {}
    agreement: dict[str, float] = {}
    expected: Any = None
    for way in ways:
        forward = make_forward(network, channels, way, engine)
        labels = forward(window).argmax(dim=1)
        expected = labels if expected is None else expected
        agreement[way] = float((labels == expected).float().mean())
        seconds[way] = _seconds(partial(_at_once, forward, window, streams_of(way)), min(seconds.values(), default=inf))
        del forward  # two networks at once would take twice the memory
        give_back()
    best = min((way for way in ways if agreement[way] >= AGREEMENT), key=seconds.__getitem__)
    _remember(key, {"way": best, "seconds": seconds, "agreement": agreement})
    return best


def memory_file() -> Path:
    """Where measurements are remembered."""
    return cache_folder() / "engines.json"


def _at_once(forward: Callable[[Any], Any], window: Any, streams: int) -> float:
    """Seconds for each of the windows that are computed at the same time."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(forward, [window] * streams))
    return (time.perf_counter() - begin) / streams


def _seconds(measure: Callable[[], float], fastest: float) -> float:
    """The shortest of some times, on a machine that may be busy; `fastest` is that of other ways."""
    found = sorted(measure() for _ in range(2))
    while found[1] > STEADY * found[0] and found[0] < HOPELESS * fastest and len(found) < REPEATS:
        found = sorted([*found, measure()])
    return found[0]


def _machine(engine: Engine, ways: Sequence[str]) -> str:
    """The processor, the threads, the versions, and the ways that there are: what the choice depends on."""
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
    facts = [platform.node(), model, engine.device, torch.get_num_threads(), torch.__version__, openvino, *ways]
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
