"""napari-fcn: teach a fully convolutional network to segment your images.

The public names are loaded when they are used; importing the package loads neither torch nor Qt.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from . import llvm_clash

if TYPE_CHECKING:
    from .api import evaluate, find_rate, prepare_pretraining, prepare_training, pretrain, process, train
    from .autoencoder import Autoencoder
    from .errors import FcnError, InputError
    from .metrics import Scores
    from .segmenter import Segmenter

__all__ = [
    "Autoencoder",
    "FcnError",
    "InputError",
    "Scores",
    "Segmenter",
    "evaluate",
    "find_rate",
    "prepare_pretraining",
    "prepare_training",
    "pretrain",
    "process",
    "train",
]

# Read by torch's libraries when they are loaded. Large pages make its large buffers quicker. OpenMP's threads that wait
# for each other spin for a while; beside other busy programs they then burn what the others need. Seconds a training
# step on 2 cores, usual wait and this one: alone 0.30 and 0.30, beside one busy program 1.0 and 0.67, two trainings at
# once 1.8 and 0.70. Not to wait at all (OMP_WAIT_POLICY=PASSIVE) is as good there, but takes 0.36 alone.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_HOMES = {
    "Autoencoder": ".autoencoder",
    "FcnError": ".errors",
    "InputError": ".errors",
    "Scores": ".metrics",
    "Segmenter": ".segmenter",
    "evaluate": ".api",
    "find_rate": ".api",
    "prepare_pretraining": ".api",
    "prepare_training": ".api",
    "pretrain": ".api",
    "process": ".api",
    "train": ".api",
}

# Before anything can import torch, and in napari that is after its window was drawn.
llvm_clash.prevent()


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return version("napari-fcn")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
