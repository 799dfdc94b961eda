"""What napari shows: the only package that knows napari, magicgui and Qt.

The widgets are loaded when they are asked for, and none loads torch: that is left to the thread which computes.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .autoencoder import Autoencoder
    from .classes import Classes
    from .evaluate import Evaluate
    from .process import Process
    from .segment import Segment
    from .train import Train

__all__ = ["Autoencoder", "Classes", "Evaluate", "Process", "Segment", "Train"]

_MODULES = {
    "Autoencoder": "autoencoder",
    "Classes": "classes",
    "Evaluate": "evaluate",
    "Process": "process",
    "Segment": "segment",
    "Train": "train",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
