"""Images without labels, made ready for learning: every pixel that has data is one to learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import DataConfig
from ..errors import InputError
from .axes import Planes, guess_axes
from .classes import ClassTable, LabelClass
from .examples import Examples, LabelledPlane
from .normalization import Normalization, missing, statistics
from .normalization_choice import PRESUMED
from .patches import REMEMBERED, PatchSampler

__all__ = ["UnlabelledPatches", "prepare_unlabelled"]

EVERYTHING = ClassTable((LabelClass(1, "everything", "#808080"),))
"""The one class that all pixels have."""


def prepare_unlabelled(
    images: Sequence[Any], config: DataConfig, *, encoder_range: tuple[float, float], like: Examples | None = None
) -> Examples:
    """Check images and make them ready.

    Parameters
    ----------
    images : arrays of any integer or float dtype; sizes may differ, channels may not.
    config : axes, channels, nodata, normalisation.
    encoder_range : gain and offset, from `models.encoders.encoder_range`.
    like : examples whose normalisation is to be used: for validation images.

    Returns
    -------
    examples : with a single class, index 0, wherever there is data.

    Raises
    ------
    InputError
        There are no images, or shapes, dtypes, axes or channels cannot be learnt from; the message says which image.
    """
    if not images:
        raise InputError("An autoencoder learns from images, one at least. Got none.")
    if config.normalization == "weights" or config.reflectance is not None:
        raise InputError(
            "`normalization` 'weights' and `reflectance` are for training with labels; here, choose another "
            "normalisation and give images whose values are made reflectance already."
        )
    views = [_view(number, image, config) for number, image in enumerate(images)]
    channels = {planes.channels for planes in views} | ({like.channels} if like else set())
    if len(channels) > 1:
        raise InputError(f"All images must have the same number of channels. Got {sorted(channels)}.")
    if like is not None:
        normalization = like.normalization
    else:
        whole = statistics(views, config.nodata) if config.normalization == "dataset" else None
        mode = PRESUMED.get(config.normalization, config.normalization)  # no labels could tell
        normalization = Normalization(mode, *encoder_range, nodata=config.nodata, dataset=whole)
    ready = []
    for number, planes in enumerate(views):
        fitted = normalization.fit(planes)
        for plane in range(len(planes)):
            values = planes.read(plane)
            gone = missing(values, config.nodata)
            if gone is None or not gone.all():
                ready.append(LabelledPlane(number, values, fitted, _target(values.shape[1:], gone)))
    return Examples(tuple(ready), EVERYTHING, normalization, channels.pop())


def _view(number: int, image: Any, config: DataConfig) -> Planes:
    if not hasattr(image, "dtype"):
        image = np.asarray(image)
    try:
        return Planes(image, config.axes or guess_axes(image.shape), config.channels)
    except InputError as error:
        raise InputError(f"Image {number + 1}: {error}") from None


def _target(shape: tuple[int, ...], gone: npt.NDArray[np.bool_] | None) -> npt.NDArray[np.int16]:
    """0 where there is data, -1 elsewhere; it takes no memory where all is there."""
    if gone is None:
        return np.broadcast_to(np.int16(0), shape)
    return np.where(gone, np.int16(-1), np.int16(0))


class UnlabelledPatches(PatchSampler):
    """Patches from anywhere that has data; as `PatchSampler`, without a list of every pixel."""

    def _find(self, index: int) -> npt.NDArray[np.int32]:
        """Places `(M, 3)` of plane, row, column by lot, as many of each plane as it is large."""
        random = np.random.default_rng([self.seed, index])
        total = sum(target.size for target in self.targets)
        found = []
        for plane, target in enumerate(self.targets):
            count = max(64, round(REMEMBERED * target.size / total))
            rows, columns = (random.integers(0, size, count) for size in target.shape)
            there = target[rows, columns] == index
            found.append(np.stack([np.full(there.sum(), plane), rows[there], columns[there]], axis=1))
        places = np.concatenate(found).astype(np.int32)
        if not len(places):
            raise InputError("Nothing is left to learn from: hold back less (validation), or use larger images.")
        return places
