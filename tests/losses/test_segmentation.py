"""Losses: as their papers write them, blind to unlabelled pixels, zero when everything is right."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_fcn import registry
from napari_fcn.losses import UNLABELLED, combined
from napari_fcn.losses.segmentation import dice, focal, lovasz, tversky

NAMES = [*registry.losses, "cross_entropy+dice"]


def batch(classes: int = 3, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((2, classes, 6, 5), generator=generator, dtype=torch.float64)
    target = torch.randint(0, classes, (2, 6, 5), generator=generator)
    return logits, target


@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_prediction_costs_nothing(name: str) -> None:
    _, target = batch()
    logits = 100.0 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    assert float(combined(name)(logits, target, None)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_unlabelled_pixels_take_no_part(name: str) -> None:
    logits, target = batch()
    target[:, 2:4] = UNLABELLED
    other = logits.clone()
    other[:, :, 2:4] = 1000 * torch.randn_like(other[:, :, 2:4])
    loss = combined(name)
    assert float(loss(logits, target, None)) == float(loss(other, target, None))
    assert float(loss(logits, torch.full_like(target, UNLABELLED), None)) == 0


@pytest.mark.parametrize("name", list(registry.losses))
@pytest.mark.parametrize("weights", [None, torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)])
def test_gradients_are_right(name: str, weights) -> None:
    logits, target = batch()
    pixels = logits.movedim(1, -1).reshape(-1, 3)[:20].requires_grad_()
    loss = registry.losses[name].target
    assert torch.autograd.gradcheck(lambda x: loss(x, target.reshape(-1)[:20], weights), pixels)


def test_dice_is_the_formula_of_its_paper() -> None:
    """1 - 2 sum(y p) / (sum(y^2) + sum(p^2)) per class, then the mean, written out with loops."""
    logits, target = batch()
    p = logits.softmax(1).movedim(1, -1).reshape(-1, 3).numpy()
    y = np.eye(3)[target.reshape(-1).numpy()]
    expected = np.mean(
        [1 - 2 * (y[:, k] * p[:, k]).sum() / ((y[:, k] ** 2).sum() + (p[:, k] ** 2).sum()) for k in range(3)]
    )
    assert float(dice(logits.movedim(1, -1).reshape(-1, 3), target.reshape(-1))) == pytest.approx(expected)


def flat(logits: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return logits.movedim(1, -1).reshape(-1, logits.shape[1]), target.reshape(-1)


def test_focal_is_torchvisions_for_two_classes() -> None:
    """A softmax of two classes is a sigmoid of the difference of their logits."""
    from torchvision.ops import sigmoid_focal_loss

    logits, target = batch(classes=2)
    pixels, classes = flat(logits, target)
    expected = sigmoid_focal_loss(pixels[:, 1] - pixels[:, 0], classes.double(), alpha=-1, gamma=2, reduction="mean")
    assert float(focal(pixels, classes)) == pytest.approx(float(expected))


@pytest.mark.parametrize("present", [3, 2])
def test_tversky_and_lovasz_are_smps(present: int) -> None:
    """Also where a class is nowhere."""
    from segmentation_models_pytorch.losses import LovaszLoss, TverskyLoss

    logits, target = batch()
    target = target.clamp(max=present - 1)
    pixels, classes = flat(logits, target)
    # smp divides the sum over the present classes by the number of all of them.
    expected = TverskyLoss("multiclass", alpha=0.3, beta=0.7)(logits, target) * 3 / present
    assert float(tversky(pixels, classes)) == pytest.approx(float(expected), rel=1e-5)
    expected = LovaszLoss("multiclass", from_logits=True)(logits.float(), target)
    assert float(lovasz(pixels, classes)) == pytest.approx(float(expected), rel=1e-5)


def test_lovasz_of_hard_predictions_is_one_minus_the_iou() -> None:
    from sklearn.metrics import jaccard_score

    logits, target = batch()
    predicted = logits.argmax(dim=1)
    hard = 200.0 * torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1)
    expected = 1 - jaccard_score(target.flatten(), predicted.flatten(), average="macro")
    assert float(lovasz(*flat(hard, target))) == pytest.approx(expected)


def test_dice_leaves_out_classes_that_are_nowhere() -> None:
    pixels = torch.tensor([[60.0, 0.0, -60.0], [0.0, 60.0, -60.0]])
    assert float(dice(pixels, torch.tensor([0, 1]))) == pytest.approx(0, abs=1e-6)
