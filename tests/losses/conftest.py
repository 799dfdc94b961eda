"""Random batches."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

Batch = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture
def batch() -> Callable[..., Batch]:
    """Make logits `(2, K, 6, 5)` float64 and class indices `(2, 6, 5)`, all of them labelled."""

    def make(classes: int = 3, seed: int = 0) -> Batch:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn((2, classes, 6, 5), generator=generator, dtype=torch.float64)
        return logits, torch.randint(0, classes, (2, 6, 5), generator=generator)

    return make
