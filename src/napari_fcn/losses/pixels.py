"""What a loss looks at: the labelled pixels of a batch, and what several losses need of them, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["UNLABELLED", "LabelledPixels", "labelled_pixels"]

UNLABELLED = -1
"""The class index of a pixel that nobody has judged."""

PIXELS = (0, 2)
"""The axes of `LabelledPixels` that are pixels."""


@dataclass(frozen=True, eq=False)
class LabelledPixels:
    """The labelled pixels of a batch, in G groups of P; how they are grouped means nothing.

    Attributes
    ----------
    log_probabilities : log softmax of the logits, `(G, K, P)`.
    target : class indices `(G, P)` int64, none of them `UNLABELLED`.
    class_weights : how much each class counts, `(K,)` of the same dtype; None when all count alike.
    """

    log_probabilities: Tensor
    target: Tensor
    class_weights: Tensor | None = None

    @cached_property
    def probabilities(self) -> Tensor:
        """Softmax of the logits, `(G, K, P)`."""
        return self.log_probabilities.exp()

    @cached_property
    def truth(self) -> Tensor:
        """1 where a pixel is of a class, else 0, `(G, K, P)`, in the probabilities' dtype: quicker than a mask."""
        import torch

        classes = torch.arange(self.log_probabilities.shape[1], device=self.target.device)
        return (self.target.unsqueeze(1) == classes.unsqueeze(1)).to(self.log_probabilities.dtype)

    @cached_property
    def counts(self) -> Tensor:
        """Pixels of each class, `(K,)` int64."""
        return self.target.flatten().bincount(minlength=self.log_probabilities.shape[1])

    @cached_property
    def hits(self) -> Tensor:
        """Probability of the true class, summed over the pixels of each class, `(K,)`."""
        return (self.probabilities * self.truth).sum(dim=PIXELS)

    @cached_property
    def log_likelihood(self) -> Tensor:
        """Log probability of each pixel's true class, `(G, P)`."""
        return self.log_probabilities.gather(1, self.target.unsqueeze(1)).squeeze(1)

    @cached_property
    def weight(self) -> Tensor | int:
        """What all pixels count together: the sum of their classes' weights, or how many they are."""
        return self.target.numel() if self._weights is None else self._weights.sum()

    @cached_property
    def _weights(self) -> Tensor | None:
        """Weight of each pixel's true class, `(G, P)`; None when all count alike."""
        return None if self.class_weights is None else self.class_weights[self.target]

    def mean(self, of_pixels: Tensor) -> Tensor:
        """The mean of values `(G, P)` over the pixels, each weighted by its true class."""
        if self._weights is not None:
            of_pixels = of_pixels * self._weights
        return of_pixels.sum() / self.weight

    def mean_of_present(self, of_classes: Tensor) -> Tensor:
        """The weighted mean of values `(K,)` over those classes that some pixel has; the others' must be finite."""
        importance = (self.counts > 0).to(of_classes.dtype)
        if self.class_weights is not None:
            importance = importance * self.class_weights
        return (of_classes * importance).sum() / importance.sum()


def labelled_pixels(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> LabelledPixels:
    """Take the unlabelled pixels out of a batch; this is the one place where that is done.

    Parameters
    ----------
    logits : `(N, K, H, W)`, any floating dtype; half precision is brought to float32.
    target : class indices `(N, H, W)` int64, `UNLABELLED` where nobody has judged.
    class_weights : `(K,)`, or None.
    """
    import torch

    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    labelled = target != UNLABELLED
    if labelled.all():
        logits, target = logits.flatten(2), target.flatten(1)
    else:
        places = labelled.flatten().nonzero().squeeze(1)
        # One row a pixel: quicker than a mask, and without a copy where channels are last in memory.
        logits = logits.movedim(1, -1).flatten(0, 2).index_select(0, places).T.unsqueeze(0)
        target = target.flatten()[places].unsqueeze(0)
    weights = None if class_weights is None else class_weights.to(logits)
    return LabelledPixels(logits.log_softmax(dim=1), target, weights)
