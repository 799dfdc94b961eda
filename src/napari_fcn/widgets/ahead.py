"""Loading what training needs while somebody is still painting: some seconds less until the first answer."""

from __future__ import annotations

import contextlib
import sys
import threading

__all__ = ["load_ahead"]

LAST = "segmentation_models_pytorch"
"""What is loaded last; where it is there, everything is."""
_loading = threading.Lock()


def load_ahead() -> None:
    """Load torch, the encoders' package and what learns, in a thread, once; nothing if they are there already.

    Whoever needs them meanwhile waits for the rest only. What cannot be loaded is said where it is needed.
    """
    if LAST not in sys.modules and _loading.acquire(blocking=False):
        threading.Thread(target=_load, name="napari-fcn loads ahead").start()


def _load() -> None:
    with contextlib.suppress(Exception):
        import napari_fcn.models.smp_encoder
        import napari_fcn.training.live  # noqa: F401
    _loading.release()
