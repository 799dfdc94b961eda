"""Memory that was freed, given back to the system."""

from __future__ import annotations

import ctypes
import functools
import gc
import sys
from collections.abc import Callable

__all__ = ["give_back", "trim"]


def give_back() -> None:
    """Return what was freed to the system, after something large was let go; does nothing where that is not possible.

    The C library keeps freed memory for what comes next; between steps that need much at once, it would be counted
    twice.
    """
    gc.collect()
    trim()


@functools.cache
def _trimmer() -> Callable[[int], int] | None:
    """`malloc_trim` of the GNU C library."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        found: Callable[[int], int] = ctypes.CDLL("libc.so.6").malloc_trim
    except (OSError, AttributeError):
        return None
    return found


def trim() -> None:
    """Return what was freed, without looking for what could be."""
    found = _trimmer()
    if found is not None:
        found(0)
