"""What all pictures are drawn with: images and labels as colours, names as plain text, files that are whole."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..data import ClassTable
from ..io import atomic

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["RATE", "bounds_of", "colored", "display", "finite", "plain_text", "save", "stretched"]

UNKNOWN = "#00000000"
RATE = "#4292c6"
"""The colour of learning rates."""


def display(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """An image `(C, Y, X)` of any dtype as RGB `(Y, X, 3)` in [0, 1].

    One channel becomes grey; of more than three the first three are shown. 8-bit RGB keeps its colours, everything else
    is stretched between the 1st and 99th percentile of each channel.
    """
    if image.dtype == np.uint8 and image.shape[0] in (3, 4):
        return (np.moveaxis(image[:3], 0, -1) / np.float32(255)).astype(np.float32)
    return stretched(image, bounds_of(image))


def bounds_of(image: npt.NDArray[Any], slack: float = 0.0) -> npt.NDArray[np.float32]:
    """The 1st and 99th percentile of the channels that are shown, `(2, 3, 1, 1)`, and some part of their range more."""
    low, high = np.nanpercentile(_visible(image), [1, 99], axis=(1, 2), keepdims=True)
    more = slack * (high - low)
    return np.stack([low - more, high + more])


def stretched(image: npt.NDArray[Any], bounds: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """An image `(C, Y, X)` as RGB `(Y, X, 3)`, with the lower bounds as 0 and the upper ones as 1."""
    low, high = bounds
    stretched = (_visible(image) - low) / np.maximum(high - low, 1e-6)
    picture: npt.NDArray[np.float32] = np.moveaxis(np.nan_to_num(stretched).clip(0, 1), 0, -1).astype(np.float32)
    return picture


def _visible(image: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Three channels `(3, Y, X)`, NaN where a value is not finite."""
    shown = image[[0, 0, 0]] if image.shape[0] < 3 else image[:3]
    return np.where(np.isfinite(shown), shown, np.nan).astype(np.float32)


def colored(labels: npt.NDArray[Any], classes: ClassTable) -> npt.NDArray[np.float64]:
    """Label values `(Y, X)` as RGBA; what is no class is transparent."""
    from matplotlib.colors import to_rgba_array

    palette = to_rgba_array([*(entry.color for entry in classes), UNKNOWN])
    return np.asarray(palette[classes.to_indices(labels)])


def finite(values: Iterable[float]) -> npt.NDArray[np.float64]:
    """The values, with NaN for infinities too: lines have a gap there."""
    array = np.array(list(values), dtype=np.float64)
    return np.where(np.isfinite(array), array, np.nan)


def plain_text(text: str, longest: int = 1000) -> str:
    """A user's text in one line, shortened; what is between dollars is no formula."""
    line = " ".join(text.split())
    return (line if len(line) <= longest else line[: longest - 1] + "…").replace("$", r"\$")


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure to a PNG file, complete or not at all; an existing one is replaced."""
    with atomic(path) as temporary:
        figure.savefig(temporary, format="png")
