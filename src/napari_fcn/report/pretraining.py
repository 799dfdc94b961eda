"""The report of learning without labels: what goes in, what comes back, what is left, and the loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..autoencoder import Autoencoder
from ..data import Planes
from ..training.events import Finished, Measured, Started, Step
from .drawing import bounds_of, display, finite, plain_text, save, stretched

__all__ = ["pretraining_report"]

SIDE = 512
"""Pixels of an example that are shown, about its middle."""


def pretraining_report(
    path: str | Path, events: Sequence[Any], autoencoder: Autoencoder, images: Mapping[str, Any], axes: str
) -> None:
    """Draw a training without labels to a PNG file; an existing one is replaced.

    Parameters
    ----------
    path : where to.
    events : those of the training.
    autoencoder : what it made.
    images, axes : examples by title, one row each: image, reconstruction, residual, and the code as colours.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.5, 2.7 * len(images) + 2.7), layout="constrained", dpi=120)
    examples, curve = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.7 * max(len(images), 0.1), 2.7])[:, 0]
    if images:
        grid = examples.subplots(len(images), 4, squeeze=False)
        for row, (title, image) in zip(grid, images.items(), strict=True):
            _example(row, title, image, axes, autoencoder)
    _curve(curve.subplots(), events)
    save(figure, path)


def _example(places: Any, title: str, image: Any, axes: str, autoencoder: Autoencoder) -> None:
    chosen = autoencoder.training.get("channels")
    planes = Planes(image, axes, tuple(chosen) if chosen else None)
    rows, columns = (
        slice(max(0, (n - SIDE) // 2), max(0, (n - SIDE) // 2) + SIDE) for n in (planes.height, planes.width)
    )
    window = np.asarray(planes.read(len(planes) // 2, rows, columns))
    every = tuple(range(window.shape[0]))
    made = autoencoder.reconstruct(window, "CYX", channels=every)
    residual = np.abs(window.astype(np.float64) - made).mean(axis=0)
    bounds = bounds_of(window)
    exact = window.dtype == np.uint8 and window.shape[0] in (3, 4)
    back = display(made.round().clip(0, 255).astype(np.uint8)) if exact else stretched(made, bounds)
    pictures = (display(window), back, residual, autoencoder.code_image(window, "CYX", channels=every))
    titles = (plain_text(title, 40), "comes back", "residual (absolute)", "code, principal components")
    for place, picture, text in zip(places, pictures, titles, strict=True):
        place.imshow(np.nan_to_num(picture), interpolation="nearest", cmap="magma")
        place.set_title(text, fontsize=9)
        place.set_axis_off()


def _curve(place: Any, events: Sequence[Any]) -> None:
    steps = [event for event in events if isinstance(event, Step)]
    measured = [event for event in events if isinstance(event, Measured)]
    place.plot([e.seconds for e in steps], finite(e.loss for e in steps), color="0.75", lw=1, label="loss of a step")
    place.plot([e.seconds for e in measured], finite(e.loss for e in measured), "o-", ms=4, label="on held-out pixels")
    for event in events:
        if isinstance(event, Started | Finished) and event.mean_loss is not None:
            place.axhline(event.mean_loss, color="0.4", ls=":", lw=1, label="mean of each channel")
            break
    place.set_xlabel("seconds", fontsize=9)
    place.set_ylabel("loss", fontsize=9)
    place.set_ylim(bottom=0)
    place.tick_params(labelsize=8)
    place.spines[["top", "right"]].set_visible(False)
    place.legend(fontsize=8, frameon=False)
