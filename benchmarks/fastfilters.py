"""The five functions of fastfilters that ilastik's filters call, by SciPy.

fastfilters itself comes as a conda package alone. Here it is imported in its stead by `ilastik.napari.filters`, which
gives napari-convpaint its ilastik features: the same kernels, sampled Gaussians and their derivatives that reach
`(3 + order / 2) * sigma` pixels and go on with mirrored pixels beyond the border, in double the time or more.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import ndimage

Array = np.ndarray[Any, Any]


# Names of functions and arguments are fastfilters' own.
def gaussianSmoothing(image: Array, sigma: float) -> Array:  # noqa: N802
    """The image `(H, W)`, smoothed."""
    return _derivative(image, sigma, 0, 0)


def gaussianGradientMagnitude(image: Array, sigma: float) -> Array:  # noqa: N802
    """Length of the gradient, `(H, W)`."""
    return np.hypot(_derivative(image, sigma, 1, 0), _derivative(image, sigma, 0, 1))


def laplacianOfGaussian(image: Array, scale: float) -> Array:  # noqa: N802
    """Sum of the second derivatives, `(H, W)`."""
    return _derivative(image, scale, 2, 0) + _derivative(image, scale, 0, 2)


def hessianOfGaussianEigenvalues(image: Array, scale: float) -> Array:  # noqa: N802
    """Eigenvalues `(H, W, 2)` of the second derivatives, the larger first."""
    return _eigenvalues(
        _derivative(image, scale, 2, 0), _derivative(image, scale, 1, 1), _derivative(image, scale, 0, 2)
    )


def structureTensorEigenvalues(image: Array, innerScale: float, outerScale: float) -> Array:  # noqa: N802
    """Eigenvalues `(H, W, 2)` of averaged products of the first derivatives, the larger first."""
    down, right = _derivative(image, innerScale, 1, 0), _derivative(image, innerScale, 0, 1)
    return _eigenvalues(*(gaussianSmoothing(product, outerScale) for product in (down**2, down * right, right**2)))


def _derivative(image: Array, sigma: float, down: int, right: int) -> Array:
    found = np.asarray(image, np.float32)
    for axis, order in enumerate((down, right)):
        radius = math.ceil((3 + order / 2) * sigma)
        found = ndimage.gaussian_filter1d(found, sigma, axis, order, mode="mirror", radius=radius)
    return found


def _eigenvalues(a: Array, b: Array, c: Array) -> Array:
    middle, half = (a + c) / 2, np.hypot((a - c) / 2, b)
    return np.stack([middle + half, middle - half], -1)
