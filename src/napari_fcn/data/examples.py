"""Labelled images made ready for learning: planes with labels, classes as indices, held-out blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..config import DataConfig
from ..errors import InputError
from .axes import Planes, guess_axes
from .classes import ClassTable, check_labels
from .normalization import Normalization, Statistics, missing, statistics
from .normalization_choice import PRESUMED, choose_normalization

__all__ = ["Examples", "LabelledPlane", "hold_out", "prepare"]

Preprocess = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]

MOST_REFLECTANCE = 3.0
"""Of a band's mean; clouds and snow are about 1."""
BLOCK = 96
"""Side of the blocks that are held out, in pixels."""


@dataclass(frozen=True)
class LabelledPlane:
    """One plane to learn from.

    Attributes
    ----------
    image : number of the image that it belongs to.
    values : `(C, H, W)` in the image's dtype.
    statistics : what it is standardised with.
    target : `(H, W)` int16 class indices, -1 where nobody has judged or there is no data.
    """

    image: int
    values: npt.NDArray[Any]
    statistics: Statistics
    target: npt.NDArray[np.int16]


@dataclass(frozen=True)
class Examples:
    """Everything that training learns from, and sentences that the user should know about it."""

    planes: tuple[LabelledPlane, ...]
    classes: ClassTable
    normalization: Normalization
    channels: int
    notes: tuple[str, ...] = ()


def prepare(
    images: Sequence[Any],
    labels: Sequence[Any],
    config: DataConfig,
    *,
    encoder_range: tuple[float, float],
    names: Mapping[int, str] | None = None,
    colors: Mapping[int, str] | None = None,
    like: Examples | None = None,
    preprocess: Preprocess | None = None,
    of_weights: Callable[[int], Statistics] | None = None,
) -> Examples:
    """Check images and labels and make them ready.

    Parameters
    ----------
    images, labels : as many of each; labels have the image's shape without C.
    config : axes, channels, meaning of 0, ignored values, nodata, normalisation.
    encoder_range : gain and offset, from `models.encoders.encoder_range`.
    names, colors : by label value.
    like : examples whose classes and normalisation are to be used: for validation images.
    preprocess : what each plane `(C, H, W)` goes through first.
    of_weights : gives the statistics of what the encoder learnt from, for a number of channels, when the normalisation
        is "weights".

    Raises
    ------
    InputError
        Shapes, dtypes, axes, channels or labels cannot be learnt from; the message says which image.
    """
    if not images or len(images) != len(labels):
        raise InputError(f"As many labels as images are needed, at least one. Got {len(images)} and {len(labels)}.")
    arrays = [_as_array(label) for label in labels]
    pairs = enumerate(zip(images, arrays, strict=True))
    views = [_view(n, image, label, config, preprocess) for n, (image, label) in pairs]
    channels = {planes.channels for planes in views}
    if len(channels) > 1:
        raise InputError(f"All images must have the same number of channels. Got {sorted(channels)}.")
    if config.bands is not None and config.bands.count(",") + 1 not in channels:
        raise InputError(
            f"`bands` names the channels of arrays, one name for each of {channels.pop()}; choosing and computing "
            f"channels by name is for files, whose bands have names. Got {config.bands!r}."
        )
    if like is not None and channels != {like.channels}:
        raise InputError(f"Validation images must have {like.channels} channels. Got {channels.pop()}.")
    gone = [[missing(planes.read(p), config.nodata) for p in range(len(planes))] for planes in views]
    chosen = [
        _learnt_planes(planes, label, "all" if like else config.slices)
        for planes, label in zip(views, arrays, strict=True)
    ]
    if like is None:
        judged = [
            _judged(planes, label, masks, learnt)
            for planes, label, masks, learnt in zip(views, arrays, gone, chosen, strict=True)
        ]
        classes = ClassTable.from_labels(judged, zero=config.zero, ignore=config.ignore, names=names, colors=colors)
    else:
        classes = like.classes
    targets = [_targets(*entry, classes) for entry in zip(views, arrays, gone, chosen, strict=True)]
    if like is None:
        normalization, notes = _normalization(views, targets, len(classes), config, encoder_range, of_weights)
    else:
        normalization, notes = like.normalization, ()
    ready = []
    for number, (planes, planes_targets) in enumerate(zip(views, targets, strict=True)):
        channel_statistics: Statistics | None = None
        for plane, target in enumerate(planes_targets):
            if (target >= 0).any():
                channel_statistics = channel_statistics or normalization.fit(planes)
                ready.append(LabelledPlane(number, planes.read(plane), channel_statistics, target))
    if not ready:
        raise InputError("None of the validation labels is a class that is trained.")
    return Examples(tuple(ready), classes, normalization, channels.pop(), notes)


def _targets(
    planes: Planes,
    label: npt.NDArray[Any],
    masks: Sequence[npt.NDArray[np.bool_] | None],
    learnt: Sequence[int],
    classes: ClassTable,
) -> list[npt.NDArray[np.int16]]:
    """Class indices of each plane, -1 where nobody has judged, there is no data, or nothing is to be learnt."""
    targets = [np.full((planes.height, planes.width), -1, np.int16) for _ in masks]
    for plane in learnt:
        target, mask = classes.to_indices(planes.plane_of(label, plane)), masks[plane]
        if mask is not None:
            target[mask] = -1
        targets[plane] = target
    return targets


def _normalization(
    views: Sequence[Planes],
    targets: Sequence[Sequence[npt.NDArray[np.int16]]],
    classes: int,
    config: DataConfig,
    encoder_range: tuple[float, float],
    of_weights: Callable[[int], Statistics] | None,
) -> tuple[Normalization, tuple[str, ...]]:
    """The normalisation, chosen where the settings leave it open, and what is to be said about that."""
    mode, why = config.normalization, ""
    if mode in PRESUMED:
        mode, why = choose_normalization(views, targets, classes, config.nodata, PRESUMED[mode])
    if mode == "weights":
        if of_weights is None:
            raise InputError("`normalization` 'weights' is for satellite weights; choose another.")
        published = of_weights(views[0].channels)
        mean = float(statistics(views, config.nodata).mean.max())
        if mean > MOST_REFLECTANCE:
            raise InputError(
                f"`normalization` 'weights' takes reflectance, mostly 0 to 1. Got a band with mean {mean:g}; say what "
                f"makes reflectance of it with `reflectance`, such as 0.0001 for Sentinel-2."
            )
        return Normalization("dataset", *encoder_range, nodata=config.nodata, dataset=published), ()
    # Kept with either mode: a program that cannot measure an image first, such as QGIS's, takes these.
    typical = statistics(views, config.nodata)
    return Normalization(mode, *encoder_range, nodata=config.nodata, dataset=typical), (why,) if why else ()


def _as_array(label: Any) -> npt.NDArray[Any]:
    if not hasattr(label, "dtype"):
        label = np.asarray(label)
    check_labels(label)
    return np.asarray(label)


def _view(
    number: int, image: Any, label: npt.NDArray[Any], config: DataConfig, preprocess: Preprocess | None
) -> Planes:
    if not hasattr(image, "dtype"):
        image = np.asarray(image)
    axes = config.axes or guess_axes(image.shape, labels_shape=label.shape)
    planes = Planes(image, axes, config.channels, preprocess)
    if planes.spatial_shape != label.shape:
        raise InputError(
            f"Labels must have the image's shape without its channels: image {number + 1} with axes {planes.axes} "
            f"needs labels of shape {planes.spatial_shape}. Got {label.shape}."
        )
    return planes


def _learnt_planes(planes: Planes, label: npt.NDArray[Any], slices: str) -> Sequence[int]:
    """The planes of a stack that are learnt from: with `slices` "painted" those with a label other than 0, if any."""
    if slices == "all" or len(planes) == 1:
        return range(len(planes))
    return [plane for plane in range(len(planes)) if planes.plane_of(label, plane).any()] or range(len(planes))


def _judged(
    planes: Planes,
    label: npt.NDArray[Any],
    masks: Sequence[npt.NDArray[np.bool_] | None],
    learnt: Sequence[int],
) -> npt.NDArray[Any]:
    """The label values on pixels that have data, as one row."""
    if len(learnt) == len(masks) and all(mask is None for mask in masks):
        return label
    rows = []
    for plane in learnt:
        mask = masks[plane]
        window = planes.plane_of(label, plane)
        rows.append(window.ravel() if mask is None else window[~mask])
    values = np.concatenate(rows)
    if values.size == 0:
        raise InputError("The image holds no data: every pixel is NaN, infinite or the nodata value.")
    return values


def hold_out(
    examples: Examples, fraction: float, random: np.random.Generator
) -> tuple[list[npt.NDArray[np.int16]], list[npt.NDArray[np.int16]], tuple[str, ...]]:
    """Divide the labels into blocks to learn from and blocks to validate on.

    Whole blocks of 96 x 96 pixels are held out (through all planes of an image, since neighbouring slices show the same
    things), rare classes first, about `fraction` of each class's pixels, and never more than half of a class.

    Returns
    -------
    training, validation : a target `(H, W)` for each plane; -1 outside its share.
    notes : a sentence for each class that could not be held out.
    """
    classes = len(examples.classes)
    blocks = _count_blocks(examples)
    keys = sorted(blocks)
    counts = np.array([blocks[key] for key in keys], dtype=np.int64).reshape(len(keys), classes)
    total = counts.sum(axis=0)
    held = np.zeros(len(keys), dtype=bool)
    taken = np.zeros(classes, dtype=np.int64)
    for index in np.argsort(total):
        for candidate in random.permutation(len(keys)):
            if taken[index] >= fraction * total[index]:
                break
            after = taken + counts[candidate]
            if not held[candidate] and counts[candidate, index] and (2 * after <= total).all():
                held[candidate], taken = True, after
    chosen = {key for key, is_held in zip(keys, held, strict=True) if is_held}
    training, validation = [], []
    for plane in examples.planes:
        mask = np.zeros(plane.target.shape, dtype=bool)
        for image, row, column in chosen:
            if image == plane.image:
                mask[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK] = True
        training.append(np.where(mask, np.int16(-1), plane.target))
        validation.append(np.where(mask, plane.target, np.int16(-1)))
    unseen = [entry.name for entry, count in zip(examples.classes, taken, strict=True) if not count]
    notes: tuple[str, ...] = ()
    if fraction and unseen:
        notes = (f"Too few labelled places to hold some back of: {', '.join(unseen)}; the score leaves these out.",)
    return training, validation, notes


def _count_blocks(examples: Examples) -> dict[tuple[int, int, int], npt.NDArray[np.int64]]:
    """Labelled pixels of each class `(K,)` in each block (image, row, column) that has any."""
    classes = len(examples.classes)
    blocks: dict[tuple[int, int, int], npt.NDArray[np.int64]] = {}
    for plane in examples.planes:
        height, width = plane.target.shape
        for row in range(-(-height // BLOCK)):
            for column in range(-(-width // BLOCK)):
                block = plane.target[row * BLOCK : (row + 1) * BLOCK, column * BLOCK : (column + 1) * BLOCK]
                count = np.bincount(block[block >= 0], minlength=classes)
                if count.any():
                    key = (plane.image, row, column)
                    blocks[key] = blocks.get(key, 0) + count
    return blocks
