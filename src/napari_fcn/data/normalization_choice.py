"""Whether images are better standardised each by itself or all alike, as their labels tell.

Stain, exposure and dose vary from image to image, and an image's own statistics take that out. Where values mean the
same in every image, as in calibrated satellite bands, the same statistics would take out what classes are known by: a
scene of nothing but forest looks like any other. So classes are told apart by their values alone, in images that were
left out, after either standardisation, and the one that does better is taken.

Few images hardly can tell how others vary. So something is presumed: that stain, exposure or dose vary; or, for several
images with a place on Earth, that values mean the same everywhere, as a sensor's do. Labels have to speak clearly
against it. A single image tells nothing, and is standardised by itself, on Earth too: the next one may be of another
date, with haze or clouds. Cutting it into pieces, as if each of them were an image, tells how much depends on which
classes an image shows, and nothing of stain or exposure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from .axes import Planes
from .normalization import Normalization, Statistics, statistics

__all__ = ["PRESUMED", "choose_normalization"]

PRESUMED = {"auto": "image", "auto-dataset": "dataset"}
"""For the settings that leave the mode open, the one that is presumed."""
SAID = {
    "image": "Brightness and contrast of each image are evened out.",
    "dataset": "Brightness and contrast are taken as they are.",
}
OTHER = {"image": "dataset", "dataset": "image"}
MARGIN = 0.75
"""By how much of balanced accuracy, over the number of images, the other mode must be better than the presumed one."""
IMAGES = 12
"""Images that are looked at, spread evenly over all of them."""
PIXELS = 4000
"""Pixels of each."""
FOLDS = 5
SMOOTHING = 5
"""Side of the square over which values are averaged first: single pixels are mostly noise."""
FEWEST = 10
"""Pixels that a class needs to be known by."""
RIDGE = 0.01
"""Added to the variances, which are about 1."""

Pixels = tuple[npt.NDArray[np.float64], npt.NDArray[np.int16]]


def choose_normalization(
    images: Sequence[Planes],
    targets: Sequence[Sequence[npt.NDArray[np.int16]]],
    classes: int,
    nodata: float | None,
    presumed: str = "image",
) -> tuple[str, str]:
    """The better mode for some labelled images, and a sentence that says why.

    Parameters
    ----------
    images : as planes.
    targets : for each image, for each of its planes, class indices `(H, W)`, -1 where nobody has judged.
    classes : how many there are.
    nodata : the value that marks missing pixels.
    presumed : the mode that is taken for several images when labels do not speak clearly against it.

    Returns
    -------
    mode : "image" or "dataset", see `Normalization`.
    why : empty for a single image; its first sentence tells what is done, the second why.
    """
    labelled = [n for n, planes in enumerate(targets) if any((target >= 0).any() for target in planes)]
    if len(labelled) < 2:
        return "image", ""
    chosen = [labelled[i] for i in np.unique(np.linspace(0, len(labelled) - 1, IMAGES).round().astype(int))]
    common = statistics(images, nodata)
    alone: list[Pixels] = []
    together: list[Pixels] = []
    for number in chosen:
        own = statistics([images[number]], nodata)
        values, indices = _labelled_pixels(images[number], targets[number], own, nodata)
        alone.append((values, indices))
        together.append(((values * own.std + own.mean - common.mean) / common.std, indices))
    scores = {"image": _told_apart(alone, classes), "dataset": _told_apart(together, classes)}
    against = OTHER[presumed]
    mode = against if scores[against] >= scores[presumed] + MARGIN / len(chosen) else presumed
    why = (
        f"{SAID[mode]} In images that were left out, classes are then told apart with {scores[mode]:.0%} balanced "
        f"accuracy, otherwise with {scores[OTHER[mode]]:.0%}"
    )
    presumably = f", which {len(chosen)} images are too few to go by" if scores[mode] < scores[OTHER[mode]] else ""
    return mode, f"{why}{presumably} (normalization {mode!r})."


def _labelled_pixels(
    image: Planes, targets: Sequence[npt.NDArray[np.int16]], own: Statistics, nodata: float | None
) -> Pixels:
    """Standardised, averaged values `(M, C)` and class indices `(M,)` of the plane that has most labelled pixels."""
    plane = int(np.argmax([(target >= 0).sum() for target in targets]))
    window, gone = Normalization("image", nodata=nodata).apply(image.read(plane), own)
    values = ndimage.uniform_filter(window, (0, SMOOTHING, SMOOTHING), mode="nearest")
    judged = targets[plane] >= 0 if gone is None else (targets[plane] >= 0) & ~gone
    places = np.flatnonzero(judged)
    if len(places) > PIXELS:
        places = np.random.default_rng(plane).choice(places, PIXELS, replace=False)
    pixels: npt.NDArray[np.float64] = values.reshape(len(values), -1)[:, places].T.astype(np.float64)
    return pixels, targets[plane].ravel()[places]


def _told_apart(pixels: Sequence[Pixels], classes: int) -> float:
    """Balanced accuracy of normal distributions, one a class, in images that they were not fitted to.

    Quadratic discriminant analysis with equal priors (Hastie, Tibshirani and Friedman 2009, section 4.3).
    """
    folds = np.arange(len(pixels)) % min(FOLDS, len(pixels))
    right, total = np.zeros(classes), np.zeros(classes)
    for fold in range(folds.max() + 1):
        known = [entry for entry, where in zip(pixels, folds, strict=True) if where != fold]
        values = np.concatenate([entry[0] for entry in known])
        indices = np.concatenate([entry[1] for entry in known])
        tested = [entry for entry, where in zip(pixels, folds, strict=True) if where == fold]
        unseen = np.concatenate([entry[0] for entry in tested])
        truth = np.concatenate([entry[1] for entry in tested])
        scores = np.full((len(unseen), classes), -np.inf)
        for index in range(classes):
            own = values[indices == index]
            if len(own) >= FEWEST:
                scores[:, index] = _log_density(unseen, own)
        found = scores.argmax(axis=1)
        right += np.bincount(truth[found == truth], minlength=classes)
        total += np.bincount(truth, minlength=classes)
    return float((right[total > 0] / total[total > 0]).mean())


def _log_density(values: npt.NDArray[np.float64], own: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log density `(M,)` of values `(M, C)` by a normal distribution fitted to others `(N, C)`, but for a constant."""
    channels = own.shape[1]
    covariance = np.cov(own.T).reshape(channels, channels) + RIDGE * np.eye(channels)
    difference = values - own.mean(axis=0)
    distance = np.einsum("mi,mi->m", difference @ np.linalg.inv(covariance), difference)
    density: npt.NDArray[np.float64] = -0.5 * (distance + np.linalg.slogdet(covariance)[1])
    return density
