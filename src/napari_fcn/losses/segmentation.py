"""Losses for semantic segmentation; unlabelled pixels are taken out in one place, `combined`.

Each registered loss is a function of the labelled pixels alone: logits `(M, K)`, class indices `(M,)` int64 and class
weights `(K,)` or None, to a scalar that is zero for a perfect prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..registry import losses

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["UNLABELLED", "combined", "cross_entropy", "dice"]

UNLABELLED = -1
"""The class index of a pixel that nobody has judged."""


@losses.register("cross_entropy", summary="each pixel by itself", paper="negative log-likelihood of the softmax")
def cross_entropy(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean over the pixels of -log softmax(logits)[target], weighted by class when weights are given."""
    from torch.nn import functional

    return functional.cross_entropy(logits, target, weight=class_weights)


@losses.register(
    "dice", summary="overlap of each class; rare classes count as much as common ones", paper="Milletari et al. 2016"
)
def dice(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Soft Dice loss with squared denominator, 1 - 2 sum(y p) / (sum(y^2) + sum(p^2)), mean over the classes.

    y is one-hot, p the softmax; the sums run over all labelled pixels of the batch (Milletari, Navab, Ahmadi 2016,
    V-Net, section 3). Classes that no pixel of the batch has are left out of the mean.
    """
    from torch.nn import functional

    probabilities = logits.softmax(dim=1)
    truth = functional.one_hot(target, logits.shape[1]).to(probabilities.dtype)
    overlap = 2 * (truth * probabilities).sum(dim=0)
    size = truth.sum(dim=0) + probabilities.square().sum(dim=0)
    losses_of_classes = 1 - overlap / size.clamp_min(1e-7)
    importance = (truth.sum(dim=0) > 0).to(probabilities.dtype)
    if class_weights is not None:
        importance = importance * class_weights
    return (losses_of_classes * importance).sum() / importance.sum().clamp_min(1e-7)


def combined(names: str) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The sum of the losses named in `names`, joined by '+', over the labelled pixels.

    Returns
    -------
    A function of logits `(N, K, H, W)`, class indices `(N, H, W)` int64 with `UNLABELLED` where nobody has judged, and
    class weights `(K,)` or None. A batch without any labelled pixel gives a zero that has a gradient.

    Raises
    ------
    UnknownNameError
        A loss is not registered.

    Examples
    --------
    >>> import torch
    >>> loss = combined("cross_entropy+dice")
    >>> float(loss(torch.tensor([[[[50.0]], [[-50.0]]]]), torch.tensor([[[0]]]), None))
    0.0
    """
    parts = [losses[name].target for name in names.split("+")]

    def loss(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        labelled = target != UNLABELLED
        if not labelled.any():
            return logits.sum() * 0
        pixels = logits.movedim(1, -1)[labelled].float()
        classes = target[labelled]
        total: Tensor = sum(part(pixels, classes, class_weights) for part in parts)
        return total

    return loss
