"""Test-time augmentation: the mean of what a network says about an image and about its mirror images and rotations."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["VARIANTS", "averaged"]

VARIANTS = {
    "none": "the image as it is",
    "flips": "the image and its three mirror images, 4 times the time",
    "all": "all eight, turned by quarters and mirrored, 8 times the time",
}

_TURNS: dict[str, list[tuple[int, bool]]] = {
    "none": [(0, False)],
    "flips": [(0, False), (0, True), (2, False), (2, True)],
    "all": [(turn, mirror) for turn in range(4) for mirror in (False, True)],
}


def averaged(predict: Callable[[Tensor], Tensor], images: Tensor, variants: str) -> Tensor:
    """Mean of `predict` over the variants of `images`, `(N, C, h, w)` to `(N, K, h, w)`, each turned back.

    Parameters
    ----------
    predict : images to probabilities of the same height and width.
    variants : a name in `VARIANTS`.
    """
    import torch

    total: Tensor | None = None
    for turn, mirror in _TURNS[variants]:
        varied = torch.rot90(images, turn, (2, 3)) if turn else images  # it copies, also by nothing
        found = predict(varied.flip(3) if mirror else varied)
        back = found.flip(3) if mirror else found
        back = torch.rot90(back, -turn, (2, 3)) if turn else back
        total = back if total is None else total + back
    if total is None:
        raise ValueError(f"There is no variant in {variants!r}.")
    return total / len(_TURNS[variants]) if len(_TURNS[variants]) > 1 else total.contiguous()
