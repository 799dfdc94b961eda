"""What Process does in its threads: filter planes and whole layers; and how the layers that come of it look."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.notifications import show_info

from ..imaging import Chain
from . import layers
from .visible import VisiblePlane
from .worker import Progress

__all__ = ["Look", "preview_image", "preview_labels", "run", "save_copy", "saved"]


class Look:
    """How the layer that comes of another one looks."""

    def __init__(self, source: Image | Labels, chain: Chain) -> None:
        self.source, self.chain = source, chain
        self.rgb = bool(getattr(source, "rgb", False))
        known = {"axes"} if isinstance(source, Image) else {"classes"}
        self.noted = {key: value for key, value in layers.facts(source).items() if key in known}

    def style(self, data: np.ndarray[Any, Any]) -> dict[str, Any]:
        """Colours and names, as keyword arguments or attributes of the new layer."""
        source = self.source
        if isinstance(source, Image):
            if self.rgb:
                return {}
            same = data.dtype == layers.array(source).dtype and self.chain.image_dtype(np.int16) == np.int16
            low, high = source.contrast_limits if same else (float(np.nanmin(data)), float(np.nanmax(data)))
            if any(step.name == "background" for step in self.chain):
                low, high = float(np.nanmin(data)), float(np.nanmax(data))
            limits = (low, high) if high > low else (low, low + 1)
            return {"colormap": source.colormap, "contrast_limits": limits}
        if self.chain.numbers:
            return {}
        return {"colormap": source.colormap, "features": source.features}

    def layer(self, data: np.ndarray[Any, Any], name: str, place: dict[str, Any]) -> Image | Labels:
        """The new layer, in no viewer yet."""
        style = self.style(data)
        if isinstance(self.source, Image):
            return Image(data, name=name, rgb=self.rgb, blending=self.source.blending, **style, **place)
        return Labels(data, name=name, opacity=self.source.opacity, **style, **place)


def run(steps: Any, stop: threading.Event) -> Generator[Progress, None, Any]:
    """Filter, in the worker's thread; None when it was told to stop."""
    yield Progress(None, "Filtering…")
    running = steps()
    try:
        while not stop.is_set():
            fraction = next(running)
            yield Progress(fraction, f"{fraction:.0%} filtered")
    except StopIteration as end:
        return end.value
    finally:
        running.close()
    return None


def preview_image(
    plane: VisiblePlane, chain: Chain, rgb: bool, nodata: float | None, look: Look
) -> tuple[np.ndarray[Any, Any], Look]:
    """The filtered plane of an image, and how its layer looks."""
    return plane.shown(chain.like(plane.read(), nodata), rgb), look


def preview_labels(
    labels: np.ndarray[Any, Any],
    guide: VisiblePlane | None,
    chain: Chain,
    ignore: tuple[int, ...],
    nodata: float | None,
    look: Look,
) -> tuple[np.ndarray[Any, Any], Look]:
    """The filtered plane of labels, and how its layer looks."""
    image = None if guide is None else guide.read()
    return chain.labels(labels, image=image, ignore=ignore, nodata=nodata), look


def save_copy(
    chain: Chain, segmenter: Path, output: Path, overwrite: bool, stop: threading.Event
) -> Generator[Progress, None, Path | None]:
    """Write the copy, in the worker's thread; only here torch is loaded."""
    yield Progress(None, f"Loading {segmenter.name}…")
    from ..segmenter import Segmenter

    trained = dataclasses.replace(Segmenter.load(segmenter), postprocess=chain)
    return None if stop.is_set() else trained.save(output, overwrite=overwrite)


def saved(chain: Chain, path: Path | None) -> tuple[Any, str]:
    """What came of it, and a sentence about it."""
    if path is None:
        return None, "Cancelled; nothing was written."
    show_info(f"Saved {path.name}.")
    return path, f"Saved {path.name}; its labels go through {chain}."
