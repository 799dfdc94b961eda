"""Losses for semantic segmentation.

Each registered loss is a function of the labelled pixels alone, to a scalar that is zero for a perfect prediction;
`combined` makes of them what training minimises. Classes that no pixel of the batch has are left out of means over
classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from ..errors import InputError
from ..registry import losses
from .pixels import PIXELS, LabelledPixels, labelled_pixels

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["combined", "cross_entropy", "dice", "focal", "lovasz", "tversky"]


def combined(names: str, label_smoothing: float = 0.0) -> Callable[[Tensor, Tensor, Tensor | None], Tensor]:
    """The sum of the losses named in `names`, joined by '+', over the labelled pixels.

    Parameters
    ----------
    names : such as "cross_entropy" or "cross_entropy+dice".
    label_smoothing : the part of each label, in [0, 1), that is given to all classes alike (Szegedy et al. 2016,
        Rethinking the Inception architecture, section 7). It goes to cross-entropy alone, whose minimum is then the
        entropy of the smoothed labels.

    Returns
    -------
    A function of logits `(N, K, H, W)`, class indices `(N, H, W)` int64 with `UNLABELLED` where nobody has judged, and
    class weights `(K,)` or None, which apply to every loss. A batch in which no labelled pixel counts, because there is
    none or because their classes weigh nothing, gives a zero that has a gradient.

    Raises
    ------
    UnknownNameError
        A loss is not registered.
    InputError
        `label_smoothing` is out of its range, or no named loss can use it.

    Examples
    --------
    >>> import torch
    >>> loss = combined("cross_entropy+dice")
    >>> float(loss(torch.tensor([[[[50.0]], [[-50.0]]]]), torch.tensor([[[0]]]), None))
    0.0
    """
    import torch

    entries = [losses[name] for name in names.split("+")]
    if not 0 <= label_smoothing < 1:
        raise InputError(f"`label_smoothing` must be at least 0 and below 1. Got {label_smoothing:g}.")
    if label_smoothing and not any("label_smoothing" in entry.details for entry in entries):
        able = " or ".join(entry.name for entry in losses.values() if "label_smoothing" in entry.details)
        raise InputError(
            f"`label_smoothing` belongs to the loss {able}. Got {label_smoothing:g} with {names!r}; leave it out."
        )
    parts: list[Callable[[LabelledPixels], Tensor]] = [
        partial(entry.target, label_smoothing=label_smoothing) if "label_smoothing" in entry.details else entry.target
        for entry in entries
    ]

    def loss(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
        pixels = labelled_pixels(logits, target, class_weights)
        if not pixels.weight:
            return pixels.log_probabilities[..., :0].sum()
        return torch.stack([part(pixels) for part in parts]).sum()

    return loss


@losses.register(
    "cross_entropy",
    summary="each pixel by itself",
    paper="negative log-likelihood of the softmax",
    label_smoothing=True,
)
def cross_entropy(pixels: LabelledPixels, label_smoothing: float = 0.0) -> Tensor:
    """Mean over the pixels of -log p of the true class, weighted by class when weights are given.

    With label smoothing a pixel's label is 1 - label_smoothing at its class, plus label_smoothing / K at every class
    (Szegedy et al. 2016, section 7); class weights then apply to each class of that label, as in PyTorch.
    """
    right = pixels.mean(pixels.log_likelihood)
    if not label_smoothing:
        return -right
    of_classes = pixels.log_probabilities.sum(dim=PIXELS)
    if pixels.class_weights is not None:
        of_classes = of_classes * pixels.class_weights
    return -(1 - label_smoothing) * right - label_smoothing * of_classes.mean() / pixels.weight


@losses.register(
    "dice", summary="overlap of each class; rare classes count as much as common ones", paper="Milletari et al. 2016"
)
def dice(pixels: LabelledPixels) -> Tensor:
    """Soft Dice loss with squared denominator, 1 - 2 sum(y p) / (sum(y^2) + sum(p^2)), mean over the classes.

    y is one-hot, p the softmax; the sums run over all labelled pixels of the batch (Milletari, Navab, Ahmadi 2016,
    V-Net, section 3).
    """
    size = pixels.counts + pixels.probabilities.square().sum(dim=PIXELS)
    return pixels.mean_of_present(1 - 2 * pixels.hits / size.clamp_min(1e-7))


@losses.register(
    "focal", summary="cross-entropy that looks past what is certain already", paper="Lin et al. 2017, Focal loss"
)
def focal(pixels: LabelledPixels) -> Tensor:
    """Focal loss, -(1 - p)^2 log(p) of the true class's probability p, mean over the pixels.

    Lin et al. 2017, Focal loss for dense object detection, equation 4 with gamma = 2. Class weights weigh the mean as
    they do in cross-entropy.
    """
    logarithm = pixels.log_likelihood
    # 1 - p without the rounding that makes its square's gradient wrong near p = 1
    return pixels.mean(-logarithm * logarithm.expm1().square())


@losses.register(
    "tversky",
    summary="overlap of each class that counts what is missed more than what is too much",
    paper="Salehi, Erdogmus, Gholipour 2017, Tversky loss",
)
def tversky(pixels: LabelledPixels) -> Tensor:
    """Tversky loss, 1 - TP / (TP + 0.3 FP + 0.7 FN) with soft counts, mean over the classes of the batch.

    Salehi, Erdogmus, Gholipour 2017, equation 3, with the weights that they found best.
    """
    right = pixels.hits
    false = pixels.probabilities.sum(dim=PIXELS) - right
    missed = pixels.counts - right
    return pixels.mean_of_present(1 - right / (right + 0.3 * false + 0.7 * missed).clamp_min(1e-7))


@losses.register(
    "lovasz",
    summary="the intersection over union itself, made smooth; for the end of a training",
    paper="Berman, Triki, Blaschko 2018, Lovász-Softmax",
)
def lovasz(pixels: LabelledPixels) -> Tensor:
    """Lovász-Softmax: the Lovász extension of 1 - IoU, mean over the classes of the batch.

    Berman, Triki, Blaschko 2018, equations 9 and 11: the errors of a class, from the largest down, weighted by how much
    1 - IoU grows when their pixels become wrong too.
    """
    probabilities, truth = (values.transpose(0, 1).flatten(1) for values in (pixels.probabilities, pixels.truth))
    errors, order = (truth - probabilities).abs().sort(dim=1, descending=True)
    truth = truth.bool().gather(1, order)
    # Counted as integers, and the growth written out: differences of 1 - IoU would be rounding, with many pixels.
    intersection = (pixels.counts.unsqueeze(1) - truth.cumsum(dim=1)).to(errors.dtype)
    union = (pixels.counts.unsqueeze(1) + truth.logical_not().cumsum(dim=1)).to(errors.dtype)
    growth = (1 / union).where(truth, intersection / (union * (union - 1)).clamp_min(1))
    return pixels.mean_of_present((errors * growth).sum(dim=1))
