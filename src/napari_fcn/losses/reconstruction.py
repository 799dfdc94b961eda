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

__all__ = ["kl", "l1", "mean_over", "mse"]


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
