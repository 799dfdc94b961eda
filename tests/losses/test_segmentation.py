"""Losses: as their papers write them, calculated by hand, and as other libraries have them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from napari_fcn import registry
from napari_fcn.losses import combined

NAMES = [*registry.losses, "cross_entropy+dice"]
WEIGHTS = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)


def value(name: str, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor | None = None, **more) -> float:
    return float(combined(name, **more)(logits, target, weights))


def certain(target: torch.Tensor, classes: int = 3, logit: float = 100.0) -> torch.Tensor:
    """Logits of a prediction that is sure of `target`."""
    return logit * functional.one_hot(target, classes).movedim(-1, 1).double()


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("name", NAMES)
def test_a_perfect_prediction_costs_nothing(name: str, weights, batch) -> None:
    _, target = batch()
    assert value(name, certain(target), target, weights) == pytest.approx(0, abs=1e-6)


def test_smoothed_cross_entropy_is_least_at_the_smoothed_labels(batch) -> None:
    """There it is their entropy: 0.3 of each label goes to all three classes, so 0.8 stays and the others have 0.1."""
    _, target = batch()
    logits = certain(target, logit=math.log(0.8 / 0.1)).requires_grad_()
    loss = combined("cross_entropy", label_smoothing=0.3)(logits, target, None)
    assert float(loss.detach()) == pytest.approx(-0.8 * math.log(0.8) - 2 * 0.1 * math.log(0.1))
    (gradient,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-12)


@pytest.mark.parametrize("weights", [None, WEIGHTS, torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)])
@pytest.mark.parametrize(("name", "smoothing"), [*((name, 0.0) for name in registry.losses), ("cross_entropy", 0.2)])
@pytest.mark.parametrize("complete", [True, False])
def test_gradients_are_right(name: str, smoothing: float, weights, complete: bool, batch) -> None:
    """Random logits are far from ties, where the Lovász extension has corners."""
    logits, target = batch()
    if not complete:
        target[:, 1:3] = -1
    loss = combined(name, label_smoothing=smoothing)
    assert torch.autograd.gradcheck(lambda x: loss(x, target, weights), logits.requires_grad_())


BY_HAND = {
    "cross_entropy": (math.log(4 / 3), math.log(2)),
    "focal": (math.log(4 / 3) / 16, math.log(2) / 4),
    "dice": (1 - 1.5 / (1 + 13 / 16), 1 - 1 / (1 + 5 / 16)),
    "tversky": (1 - 0.75 / (0.75 + 0.3 * 0.5 + 0.7 * 0.25), 1 - 0.5 / (0.5 + 0.3 * 0.25 + 0.7 * 0.5)),
    "lovasz": (0.5 * 0.5 + 0.25 * 0.5, 0.5),
}


@pytest.mark.parametrize("name", list(registry.losses))
def test_two_pixels_by_hand(name: str) -> None:
    """A pixel of class 0 with probabilities 3/4 and 1/4, one of class 1 with 1/2 each.

    Each pixel, or class, has its term; class weights weigh their mean. Lovász, class 0: the errors are 1/2 (wrong: the
    IoU falls from 1 to 1/2) and 1/4 (missed: to 0); class 1: 1/2 (missed: to 0) and 1/4 (nothing more to lose).
    """
    logits = torch.tensor([[3.0, 1.0], [1.0, 1.0]], dtype=torch.float64).log().reshape(1, 2, 1, 2)
    target = torch.tensor([[[0, 1]]])
    first, second = BY_HAND[name]
    assert value(name, logits, target) == pytest.approx((first + second) / 2)
    assert value(name, logits, target, torch.tensor([1.0, 3.0])) == pytest.approx((first + 3 * second) / 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weights", [None, WEIGHTS, torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64)])
@pytest.mark.parametrize("complete", [True, False])
def test_cross_entropy_is_torchs(smoothing: float, weights, complete: bool, batch) -> None:
    logits, target = batch()
    if not complete:
        target[:, 1:3] = -1
    expected = functional.cross_entropy(logits, target, weights, ignore_index=-1, label_smoothing=smoothing)
    assert value("cross_entropy", logits, target, weights, label_smoothing=smoothing) == pytest.approx(float(expected))


def test_two_classes_are_a_binary_cross_entropy_of_the_logits_difference(batch) -> None:
    logits, target = batch(classes=2)
    expected = functional.binary_cross_entropy_with_logits(logits[:, 1] - logits[:, 0], target.double())
    assert value("cross_entropy", logits, target) == pytest.approx(float(expected))


def test_dice_is_the_formula_of_its_paper(batch) -> None:
    """1 - 2 sum(y p) / (sum(y^2) + sum(p^2)) per class, then the mean, written out in numpy."""
    logits, target = batch()
    p = logits.softmax(1).movedim(1, -1).reshape(-1, 3).numpy()
    y = np.eye(3)[target.reshape(-1).numpy()]
    each = [1 - 2 * (y[:, k] * p[:, k]).sum() / ((y[:, k] ** 2).sum() + (p[:, k] ** 2).sum()) for k in range(3)]
    assert value("dice", logits, target) == pytest.approx(np.mean(each))
    assert value("dice", logits, target, WEIGHTS) == pytest.approx(np.average(each, weights=WEIGHTS.numpy()))


def test_focal_is_torchvisions_for_two_classes(batch) -> None:
    """A softmax of two classes is a sigmoid of the difference of their logits."""
    from torchvision.ops import sigmoid_focal_loss

    logits, target = batch(classes=2)
    expected = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], target.double(), alpha=-1, gamma=2, reduction="mean")
    assert value("focal", logits, target) == pytest.approx(float(expected))


def test_focal_is_smps_for_more_classes(batch) -> None:
    from segmentation_models_pytorch.losses._functional import softmax_focal_loss_with_logits

    logits, target = batch()
    assert value("focal", logits, target) == pytest.approx(float(softmax_focal_loss_with_logits(logits, target)))


@pytest.mark.parametrize("present", [3, 2])
def test_tversky_and_lovasz_are_smps(present: int, batch) -> None:
    """Also where a class is nowhere."""
    from segmentation_models_pytorch.losses import LovaszLoss, TverskyLoss

    logits, target = batch()
    target = target.clamp(max=present - 1)
    # smp divides the sum over the present classes by the number of all of them.
    expected = TverskyLoss("multiclass", alpha=0.3, beta=0.7)(logits, target) * 3 / present
    assert value("tversky", logits, target) == pytest.approx(float(expected))
    expected = LovaszLoss("multiclass", from_logits=True)(logits.float(), target)
    assert value("lovasz", logits, target) == pytest.approx(float(expected), rel=1e-5)


def test_tversky_is_smps_with_class_weights(batch) -> None:
    from segmentation_models_pytorch.losses import TverskyLoss

    logits, target = batch()
    expected = TverskyLoss("multiclass", alpha=0.3, beta=0.7, class_weights=WEIGHTS.tolist())(logits, target)
    assert value("tversky", logits, target, WEIGHTS) == pytest.approx(float(expected))


def test_lovasz_of_hard_predictions_is_one_minus_the_iou(batch) -> None:
    from sklearn.metrics import jaccard_score

    logits, target = batch()
    predicted = logits.argmax(dim=1)
    expected = 1 - jaccard_score(target.flatten(), predicted.flatten(), average="macro")
    assert value("lovasz", certain(predicted, logit=200.0), target) == pytest.approx(expected)


def test_lovasz_gradients_are_right_where_there_are_many_pixels() -> None:
    """In float32 as in float64: how much each of 300,000 pixels changes the IoU must not drown in rounding."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn((1, 2, 500, 600), generator=generator)
    target = torch.randint(0, 2, (1, 500, 600), generator=generator)
    gradients = []
    for dtype in (torch.float32, torch.float64):
        leaf = logits.to(dtype).requires_grad_()
        gradients += torch.autograd.grad(combined("lovasz")(leaf, target, None), leaf)
    single, double = gradients
    assert float((single - double).norm() / double.norm()) < 1e-4


@pytest.mark.parametrize("name", list(registry.losses))
def test_classes_that_are_nowhere_are_left_out(name: str, batch) -> None:
    """A fourth class that nobody painted and the network does not see changes nothing, with any weight."""
    logits, target = batch()
    more = torch.cat([logits, torch.full_like(logits[:, :1], -200.0)], dim=1)
    assert value(name, more, target) == pytest.approx(value(name, logits, target))
    weights = torch.cat([WEIGHTS, torch.tensor([7.0])])
    assert value(name, more, target, weights) == pytest.approx(value(name, logits, target, WEIGHTS))
