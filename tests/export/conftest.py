"""A segmenter with awkward label values, two channels of 16 bits, and statistics far from 0."""

import numpy as np
import pytest
import torch

from napari_fcn import Segmenter
from napari_fcn.config import ModelConfig
from napari_fcn.data import ClassTable, Normalization, Planes
from napari_fcn.data.classes import LabelClass
from napari_fcn.data.normalization import statistics
from napari_fcn.models import NetworkSpec, build


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    random = np.random.default_rng(0)
    blocks = np.add.outer(np.arange(96) // 24, np.arange(96) // 24) % 3
    first = blocks * 300 + random.integers(0, 400, blocks.shape)
    second = blocks[::-1] * 20 + random.integers(0, 200, blocks.shape)
    return np.stack([first, second]).astype(np.uint16)


@pytest.fixture(scope="session")
def segmenter(image: np.ndarray) -> Segmenter:
    """What it says is arbitrary, but not constant."""
    torch.manual_seed(3)
    classes = ClassTable(
        (LabelClass(3, "forest", "#31a354"), LabelClass(5, "town", "#d6616b"), LabelClass(40, "water", "#3182bd"))
    )
    model = ModelConfig("unet-classic", "classic", "none", width=8, depth=2)
    network = build(NetworkSpec(model, 2, 3)).eval()
    torch.nn.init.normal_(network.get_parameter("head.weight"), std=2)
    return Segmenter(
        network=network.requires_grad_(False),
        model=model,
        channels=2,
        classes=classes,
        normalization=Normalization("dataset", 0.5, 0.1, dataset=statistics([Planes(image, "CYX")], None)),
        training={"axes": "CYX", "channels": None},
        pixel_size=10.0,
    )
