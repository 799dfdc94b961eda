"""Losses for learning without labels: how far a reconstruction is from the image.

Each registered loss is a function of the reconstruction and the image, two tensors of the same shape in standardised
values (mean 0, deviation 1 of each channel), to a tensor of that shape that is zero where they agree; who uses it takes
the mean over the pixels that count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..registry import reconstruction_losses

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["kl", "l1", "mean_over", "mse", "ssim"]

DEVIATIONS = 6
"""The range of values that structural similarity expects, from three deviations below the mean to three above."""
WINDOW, SIGMA = 11, 1.5
"""Side and deviation of the Gaussian windows that structures are compared in: Wang et al. 2004, section III.C."""


@reconstruction_losses.register("mse", summary="squared difference; large errors count most")
def mse(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Squared difference."""
    return (reconstruction - image).square()


@reconstruction_losses.register("l1", summary="absolute difference; sharper edges, outliers count less")
def l1(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Absolute difference."""
    return (reconstruction - image).abs()


@reconstruction_losses.register(
    "kl",
    summary="Kullback-Leibler divergence of values seen as probabilities; the middle of the range counts most",
    paper="Kullback and Leibler 1951, On information and sufficiency",
)
def kl(reconstruction: Tensor, image: Tensor) -> Tensor:
    """Kullback-Leibler divergence sum(P log P - P log Q), each value taken as the odds of light against dark.

    P and Q are the distributions over the two outcomes with probabilities sigmoid(v) and 1 - sigmoid(v), of the image
    and of the reconstruction. It is zero only where both are equal. Values far from the mean saturate: what is very
    bright counts as bright.
    """
    from torch.nn import functional

    light = image.sigmoid()
    outcomes = ((light, image, reconstruction), (1 - light, -image, -reconstruction))
    parts = [p * (functional.logsigmoid(a) - functional.logsigmoid(b)) for p, a, b in outcomes]
    return parts[0] + parts[1]


@reconstruction_losses.register(
    "ssim",
    summary="structural dissimilarity of small windows; edges and textures count, contrast and brightness less",
    paper="Wang, Bovik, Sheikh, Simoncelli 2004, Image quality assessment",
)
def ssim(reconstruction: Tensor, image: Tensor) -> Tensor:
    """One minus the structural similarity around each pixel (Wang et al. 2004, equation 13): 0 to 2.

    Windows are Gaussian, and mirrored at the image's edge. The measure is for values that are not negative: here they
    count from three deviations below the mean.
    """
    light, dark = (0.01 * DEVIATIONS) ** 2, (0.03 * DEVIATIONS) ** 2
    x, y = reconstruction + DEVIATIONS / 2, image + DEVIATIONS / 2
    mean_x, mean_y = _blurred(x), _blurred(y)
    variance_x = (_blurred(x.square()) - mean_x.square()).clamp_min(0)
    variance_y = (_blurred(y.square()) - mean_y.square()).clamp_min(0)
    covariance = _blurred(x * y) - mean_x * mean_y
    brightness = (2 * mean_x * mean_y + light) / (mean_x.square() + mean_y.square() + light)
    return 1 - brightness * (2 * covariance + dark) / (variance_x + variance_y + dark)


def _blurred(images: Tensor) -> Tensor:
    """Images `(N, C, H, W)` under a Gaussian window, each channel by itself."""
    import torch
    from torch.nn import functional

    places = torch.arange(WINDOW, device=images.device, dtype=images.dtype) - WINDOW // 2
    line = torch.exp(-places.square() / (2 * SIGMA**2))
    line = line / line.sum()
    batch, channels, height, width = images.shape
    reach = WINDOW // 2
    mode = "reflect" if min(height, width) > reach else "replicate"
    padded = functional.pad(images.reshape(batch * channels, 1, height, width), (reach,) * 4, mode=mode)
    rows = functional.conv2d(padded, line.reshape(1, 1, -1, 1))
    return functional.conv2d(rows, line.reshape(1, 1, 1, -1)).reshape(images.shape)


def mean_over(values: Tensor, counted: Tensor) -> Tensor:
    """The mean of values `(N, C, H, W)` over the pixels that count, `(N, H, W)` bool; zero when none does.

    Examples
    --------
    >>> import torch
    >>> float(mean_over(torch.tensor([[[[1.0, 2.0, 9.0]]]]), torch.tensor([[[True, True, False]]])))
    1.5
    """
    weights = counted.unsqueeze(1).to(values.dtype)
    return (values * weights).sum() / (weights.sum() * values.shape[1]).clamp_min(1)
