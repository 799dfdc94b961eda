"""A chain of filters on whole images and labels, plane by plane."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .data import Planes, spatial_axes
from .errors import InputError
from .imaging import Chain

__all__ = ["process_image", "process_labels"]


def process_image(
    image: Any, chain: Chain, axes: str, *, nodata: float | None = None
) -> Generator[float, None, npt.NDArray[Any]]:
    """Filter an image.

    Parameters
    ----------
    image : array of any integer or float dtype or bool, also dask or zarr; one plane is read at a time.
    chain : filters of images.
    axes : of the image, such as "YX" or "TZCYX"; planes are filtered one by one.
    nodata : the value of missing pixels, which stay as they are.

    Yields
    ------
    The finished part, between 0 and 1.

    Returns
    -------
    An array of the same shape and, where the filtered values allow it, dtype (`Chain.image_dtype`).

    Raises
    ------
    InputError
        Axes do not fit, or the chain works on labels.
    """
    chain.require("before", "filters")
    planes = Planes(image, axes)
    result = np.empty(tuple(image.shape), chain.image_dtype(image.dtype))
    targets = Planes(result, axes)
    for plane in range(len(planes)):
        targets.read(plane)[...] = chain.like(planes.read(plane), nodata)
        yield (plane + 1) / len(planes)
    return result


def process_labels(
    labels: Any,
    chain: Chain,
    axes: str,
    *,
    image: Any = None,
    image_axes: str | None = None,
    probabilities: Any = None,
    values: Sequence[int] = (),
    ignore: Sequence[int] = (),
    nodata: float | None = None,
) -> Generator[float, None, npt.NDArray[Any]]:
    """Filter labels.

    Parameters
    ----------
    labels : integers; one plane is read at a time.
    chain : filters of labels.
    axes : of the labels, such as "YX" or "TZYX"; planes are filtered one by one.
    image, image_axes, nodata : what the labels belong to, where a filter needs it, its axes, and its value of missing
        pixels.
    probabilities, values : `(K, *labels.shape)` and the value of each class, where a filter needs them; without
        values, the classes are 0 to K - 1.
    ignore : label values of pixels that stay as they are.

    Yields
    ------
    The finished part, between 0 and 1.

    Returns
    -------
    Labels of the same shape; int32 and numbered on from plane to plane where the chain numbers objects.

    Raises
    ------
    InputError
        Shapes or axes do not fit, labels are no integers, the chain works on images, or what it needs is missing.
    """
    chain.require("after", "filters")
    if np.dtype(labels.dtype).kind not in "biu":
        raise InputError(f"Labels must be whole numbers to be filtered. Got {labels.dtype}.")
    planes = Planes(labels, axes)
    guide = chances = None
    if chain.needs_image and image is not None:
        guide = Planes(image, image_axes or axes)
        _same_shape("image", guide.spatial_shape, planes)
    if chain.needs_probabilities and probabilities is not None:
        chances = Planes(probabilities, f"C{spatial_axes(axes)}")
        _same_shape("probabilities", chances.spatial_shape, planes)
        values = tuple(values) or tuple(range(chances.channels))
        if len(values) != chances.channels:
            raise InputError(
                f"Probabilities must have one channel for each class, {len(values)}. Got {chances.channels}."
            )
    result = np.empty(planes.spatial_shape, chain.labels_dtype(np.uint8 if labels.dtype == bool else labels.dtype))
    targets = Planes(result, axes)
    first = 1
    for plane in range(len(planes)):
        made = chain.labels(
            planes.read(plane)[0],
            image=None if guide is None else guide.read(plane),
            probabilities=None if chances is None else chances.read(plane).astype(np.float32),
            values=values,
            ignore=ignore,
            nodata=nodata,
            first=first,
        )
        targets.read(plane)[0] = made
        if chain.numbers:
            first = max(first, int(made.max()) + 1)
        yield (plane + 1) / len(planes)
    return result


def _same_shape(word: str, shape: tuple[int, ...], planes: Planes) -> None:
    if shape != planes.spatial_shape:
        raise InputError(f"The {word} must have the labels' shape {planes.spatial_shape}. Got {shape}.")
