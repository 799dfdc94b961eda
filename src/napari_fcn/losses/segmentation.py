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

__all__ = ["UNLABELLED", "combined", "cross_entropy", "dice", "focal", "lovasz", "tversky"]

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
    probabilities, truth = _probabilities_and_truth(logits, target)
    overlap = 2 * (truth * probabilities).sum(dim=0)
    size = truth.sum(dim=0) + probabilities.square().sum(dim=0)
    return _mean_of_present(1 - overlap / size.clamp_min(1e-7), truth, class_weights)


@losses.register(
    "focal", summary="cross-entropy that looks past what is certain already", paper="Lin et al. 2017, Focal loss"
)
def focal(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Focal loss, -(1 - p)^2 log(p) of the true class's probability p, mean over the pixels.

    Lin et al. 2017, Focal loss for dense object detection, equation 4 with gamma = 2. Class weights weigh the mean as
    they do in cross-entropy.
    """
    from torch.nn import functional

    logarithm = -functional.cross_entropy(logits, target, reduction="none")
    # 1 - p without the rounding that makes its square's gradient wrong near p = 1
    each = -logarithm * logarithm.expm1().square()
    if class_weights is None:
        return each.mean()
    weights = class_weights[target]
    return (each * weights).sum() / weights.sum().clamp_min(1e-7)


@losses.register(
    "tversky",
    summary="overlap of each class that counts what is missed more than what is too much",
    paper="Salehi, Erdogmus, Gholipour 2017, Tversky loss",
)
def tversky(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Tversky loss, 1 - TP / (TP + 0.3 FP + 0.7 FN) with soft counts, mean over the classes of the batch.

    Salehi, Erdogmus, Gholipour 2017, equation 3, with the weights that they found best.
    """
    probabilities, truth = _probabilities_and_truth(logits, target)
    right = (truth * probabilities).sum(dim=0)
    false = probabilities.sum(dim=0) - right
    missed = truth.sum(dim=0) - right
    index = right / (right + 0.3 * false + 0.7 * missed).clamp_min(1e-7)
    return _mean_of_present(1 - index, truth, class_weights)


@losses.register(
    "lovasz",
    summary="the intersection over union itself, made smooth; for the end of a training",
    paper="Berman, Triki, Blaschko 2018, Lovász-Softmax",
)
def lovasz(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Lovász-Softmax: the Lovász extension of 1 - IoU, mean over the classes of the batch.

    Berman, Triki, Blaschko 2018, equations 9 and 11: the errors of a class, from the largest down, weighted by how much
    1 - IoU grows when their pixels become wrong too.
    """
    import torch

    probabilities, truth = _probabilities_and_truth(logits, target)
    errors, order = (truth - probabilities).abs().sort(dim=0, descending=True)
    sorted_truth = truth.gather(0, order)
    size = sorted_truth.sum(dim=0, keepdim=True)
    intersection = size - sorted_truth.cumsum(dim=0)
    union = size + (1 - sorted_truth).cumsum(dim=0)
    jaccard = 1 - intersection / union
    growth = torch.diff(jaccard, dim=0, prepend=torch.zeros_like(jaccard[:1]))
    return _mean_of_present((errors * growth).sum(dim=0), truth, class_weights)


def _probabilities_and_truth(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Softmax and one-hot, both `(M, K)`."""
    from torch.nn import functional

    probabilities = logits.softmax(dim=1)
    return probabilities, functional.one_hot(target, logits.shape[1]).to(probabilities.dtype)


def _mean_of_present(losses_of_classes: Tensor, truth: Tensor, class_weights: Tensor | None) -> Tensor:
    """The mean over those classes that some pixel of the batch has, weighted by class when weights are given."""
    importance = (truth.sum(dim=0) > 0).to(truth.dtype)
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
