"""What napari shows: the only package that knows napari, magicgui and Qt.

`Train` and `Segment` are loaded when they are asked for, and neither loads torch: that is left to the thread which
computes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .segment import Segment
    from .train import Train

__all__ = ["Segment", "Train"]


def __getattr__(name: str) -> Any:
    if name == "Train":
        from .train import Train

        return Train
    if name == "Segment":
        from .segment import Segment

        return Segment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
