"""Looking at codes: their principal components as colours, and their clusters as draft labels.

Both are linear in an encoder's features (of squared distances to cluster centres only the linear part differs between
centres), and a linear map commutes with interpolation; so each level is mapped at its own resolution, and few channels
are enlarged instead of many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..data.axes import Planes
from ..data.normalization import Normalization, Statistics
from ..errors import InputError, MissingExtraError
from .engine import Engine

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LinearMap", "cluster_map", "color_map", "sample_features"]

WINDOWS, SIDE, VECTORS = 24, 256, 20_000
"""How many windows of which side are looked at, and how many places of them in all."""
COMPONENTS = 16
"""Principal components that are clustered."""

Floats = npt.NDArray[np.float64]
Levels = Callable[["Tensor"], list[tuple[int, "Tensor"]]]
"""Images to feature maps, each with its stride in pixels."""


@dataclass(frozen=True)
class LinearMap:
    """A linear map from features to K numbers at each pixel.

    Attributes
    ----------
    weights : `(K, D)`, the levels' channels one after the other.
    bias : `(K,)`.
    """

    weights: Floats
    bias: Floats

    def of_images(self, images: Tensor, levels: Levels) -> Tensor:
        """Images `(N, C, h, w)` to `(N, K, h, w)`, each level enlarged bilinearly."""
        import torch

        height, width = images.shape[-2:]
        total = images.new_zeros(len(images), len(self.bias), height, width, dtype=torch.float32)
        used = 0
        for stride, level in levels(images):
            count = level.shape[1]
            part = torch.from_numpy(self.weights[:, used : used + count]).to(level)
            used += count
            mapped = torch.einsum("kd,ndhw->nkhw", part, level).float()
            total += _enlarged(mapped, stride)[..., :height, :width]
        return total + torch.from_numpy(self.bias).to(total)[:, None, None]

    def after(self, vectors: Floats) -> Floats:
        """Feature vectors `(M, D)` to `(M, K)`."""
        return vectors @ self.weights.T + self.bias


def sample_features(
    levels: Levels, image: Planes, *, normalization: Normalization, channel_statistics: Statistics, engine: Engine
) -> Floats:
    """Feature vectors `(M, D)` at places that are spread evenly over an image, levels one after the other.

    Raises
    ------
    InputError
        The image has no data where it was looked at.
    """
    import torch

    found: list[npt.NDArray[np.float32]] = []
    windows = list(_windows(image))
    random = np.random.default_rng(0)
    for plane, rows, columns in windows:
        values, missing = normalization.apply(image.read(plane, rows, columns), channel_statistics)
        height, width = values.shape[-2:]
        with torch.inference_mode(), engine.autocast():
            maps = [
                _enlarged(level, stride).float() for stride, level in levels(engine.put(torch.from_numpy(values[None])))
            ]
            vectors = torch.cat([m[0, :, :height, :width] for m in maps]).flatten(1)
        there = np.arange(height * width) if missing is None else np.flatnonzero(~missing.ravel())
        count = min(len(there), VECTORS // len(windows))
        chosen = torch.from_numpy(random.choice(there, count, replace=False) if count else there[:0])
        found.append(vectors[:, chosen.to(vectors.device)].T.cpu().numpy())
    gathered = np.concatenate(found).astype(np.float64)
    if not len(gathered):
        raise InputError("The image holds no data: every pixel is NaN, infinite or the nodata value.")
    return gathered


def color_map(vectors: Floats) -> LinearMap:
    """The first three principal components of feature vectors `(M, D)`, brought to [0, 1] but for 1 % at each end.

    Features are standardised, so that none counts more for being large.
    """
    components = _components(vectors, 3)
    low, high = np.percentile(components.after(vectors), [1, 99], axis=0)
    span = np.where(high > low, high - low, 1.0)
    return LinearMap(components.weights / span[:, None], (components.bias - low) / span)


def cluster_map(vectors: Floats, clusters: int, seed: int = 0) -> LinearMap:
    """Scores of clusters of feature vectors `(M, D)`; the highest is the nearest centre's.

    The largest cluster is first. k-means (Lloyd 1982; scikit-learn) on the first principal components of the
    standardised features.

    Raises
    ------
    MissingExtraError
        scikit-learn is not installed.
    InputError
        The image has fewer different places than clusters.
    """
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingExtraError(
            "Draft labels need scikit-learn; install it with pip install 'napari-fcn[drafts]'."
        ) from error
    components = _components(vectors, COMPONENTS)
    points = components.after(vectors)
    if len(np.unique(points.round(6), axis=0)) < clusters:
        raise InputError(f"The image has fewer than {clusters} different places; ask for fewer classes.")
    fitted = KMeans(clusters, n_init=4, random_state=seed).fit(points)
    order = np.argsort(-np.bincount(fitted.labels_, minlength=clusters), kind="stable")
    centres: Floats = fitted.cluster_centers_[order]
    # Of |x - c|² the part that depends on c, negative: 2 c x - |c|².
    weights = 2 * centres @ components.weights
    return LinearMap(weights, 2 * centres @ components.bias - (centres**2).sum(axis=1))


def _components(vectors: Floats, count: int) -> LinearMap:
    """Principal components of standardised features; missing ones, where there are fewer features, are zero."""
    mean, std = vectors.mean(axis=0), vectors.std(axis=0)
    scale = np.where(std > 1e-9 * (np.abs(mean) + 1e-12), 1 / np.maximum(std, 1e-300), 0.0)
    standardised = (vectors - mean) * scale
    _, axes = np.linalg.eigh(standardised.T @ standardised)
    chosen = axes[:, ::-1][:, :count].T
    # An axis has no sign of its own; this one repeats itself.
    chosen = chosen * np.sign(chosen[np.arange(len(chosen)), np.abs(chosen).argmax(axis=1)])[:, None]
    weights = np.zeros((count, vectors.shape[1]))
    weights[: len(chosen)] = chosen * scale
    return LinearMap(weights, -weights @ mean)


def _enlarged(level: Tensor, stride: int) -> Tensor:
    from torch.nn import functional

    if stride == 1:
        return level
    return functional.interpolate(level, scale_factor=stride, mode="bilinear", align_corners=False)


def _windows(image: Planes) -> Iterator[tuple[int, slice, slice]]:
    """Plane, rows and columns of windows, spread evenly over planes and places."""
    places = [
        (plane, top, left)
        for plane in np.unique(np.linspace(0, len(image) - 1, WINDOWS).round().astype(int)).tolist()
        for top in range(0, image.height, SIDE)
        for left in range(0, image.width, SIDE)
    ]
    for number in np.unique(np.linspace(0, len(places) - 1, WINDOWS).round().astype(int)).tolist():
        plane, top, left = places[number]
        yield plane, slice(top, top + SIDE), slice(left, left + SIDE)
