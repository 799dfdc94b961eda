"""Small trainings that several tests share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_fcn.api import prepare_training

QUICK = {"batch_size": 2, "patch_size": 64, "device": "cpu"}


def picture(size: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """Bright discs on a dark noisy ground, and where they are."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:size, :size]
    labels = ((rows % 40 - 20) ** 2 + (columns % 40 - 20) ** 2 < 120).astype(np.uint8)
    return (labels * 80 + random.integers(0, 60, labels.shape)).astype(np.uint8), labels


@pytest.fixture
def discs() -> tuple[np.ndarray, np.ndarray]:
    """An image and its labels."""
    return picture()


@pytest.fixture
def prepared():
    """Makes a short training on the discs, or on another `image` and `labels`."""

    def prepare(image: Any = None, labels: Any = None, **options: Any):
        if image is None:
            image, labels = picture()
        known = {"steps", "epochs", "time_budget", "resume"} & set(options)
        return prepare_training(image, labels, **{**QUICK, **({} if known else {"steps": 4}), **options})

    return prepare
