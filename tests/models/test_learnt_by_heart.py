"""Every architecture can learn: four real patches, by heart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_fcn as fcn
from napari_fcn import registry, samples
from napari_fcn.config import ModelConfig
from napari_fcn.inference.engine import choose_engine
from napari_fcn.losses import combined
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.encoders import encoder_range


@pytest.fixture(scope="module")
def patches() -> tuple[torch.Tensor, torch.Tensor]:
    """Four patches of stained tissue with a large nucleus in each, standardised, and their labels."""
    sample = samples.load("nuclei")
    windows = [(2, 48, 80), (2, 96, 160), (3, 96, 256), (2, 144, 0)]
    cut = [(number, slice(y, y + 64), slice(x, x + 64)) for number, y, x in windows]
    images = np.stack([sample.train_images[n][rows, columns] for n, rows, columns in cut]).astype(np.float32)
    labels = np.stack([sample.train_labels[n][rows, columns] for n, rows, columns in cut]).astype(np.int64)
    images = (images - images.mean((1, 2), keepdims=True)) / images.std((1, 2), keepdims=True)
    return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(registry.architectures))
def test_four_real_patches_are_learnt_by_heart(name: str, patches: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Mean IoU of 0.95 in at most 160 steps, from what is usual for the architecture."""
    torch.manual_seed(0)
    images, labels = patches
    model, engine = ModelConfig(name), choose_engine("cpu")
    gain, offset = encoder_range(model.encoder, model.weights)
    network = engine.place(build(NetworkSpec(model, 3, 2)))
    images = engine.put(images * gain + offset)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.002, fused=True)
    loss_of = combined("cross_entropy+dice")
    for step in range(160):
        optimizer.param_groups[0]["lr"] = 0.002 * min(1.0, (step + 1) / 10)
        network.train()
        with engine.autocast():
            logits = network(images)
        optimizer.zero_grad()
        loss_of(logits.float(), labels, None).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        if step % 5 == 4:
            with torch.inference_mode():
                predicted = network.eval()(images).argmax(dim=1)
            score = fcn.evaluate(predicted.numpy(), labels.numpy()).mean_iou
            if score >= 0.95:
                return
    pytest.fail(f"mean IoU is {score:.3f} after 160 steps")
