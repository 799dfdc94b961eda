"""What holds for every loss: blind to unlabelled pixels and to how classes and logits are written down."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch.nn import functional

from napari_fcn import registry
from napari_fcn.errors import InputError, UnknownNameError
from napari_fcn.losses import UNLABELLED, combined

NAMES = [*registry.losses, "cross_entropy+dice"]
WEIGHTS = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64)
every_loss = pytest.mark.parametrize("name", NAMES)
with_and_without_weights = pytest.mark.parametrize("weights", [None, WEIGHTS])


def value_and_gradient(loss, logits: torch.Tensor, target: torch.Tensor, weights=None) -> tuple[float, torch.Tensor]:
    leaf = logits.detach().clone().requires_grad_()
    value = loss(leaf, target, weights)
    return float(value.detach()), torch.autograd.grad(value, leaf)[0]


@with_and_without_weights
@every_loss
def test_unlabelled_pixels_take_no_part(name: str, weights, batch) -> None:
    """The loss of the others alone, whatever is there, and no gradient there."""
    logits, target = batch()
    loss = combined(name)
    rows = [0, 1, 4, 5]
    expected, gradient = value_and_gradient(loss, logits[:, :, rows], target[:, rows], weights)
    target[:, 2:4] = UNLABELLED
    for extreme in (0.0, 1e30, -1e30, torch.inf, torch.nan):
        logits[:, 1, 2:4] = extreme
        value, found = value_and_gradient(loss, logits, target, weights)
        assert value == pytest.approx(expected)
        torch.testing.assert_close(found[:, :, rows], gradient)
        assert (found[:, :, 2:4] == 0).all()


@every_loss
def test_scattered_strokes_are_enough(name: str, batch) -> None:
    """A few pixels of one image, as if they were an image of their own."""
    logits, target = batch()
    strokes = torch.zeros_like(target, dtype=torch.bool)
    strokes[0, [0, 2, 5, 3], [1, 4, 0, 3]] = True
    loss = combined(name)
    alone = loss(logits.movedim(1, -1)[strokes].T[None, :, None], target[strokes][None, None], WEIGHTS)
    found = loss(logits, target.where(strokes, UNLABELLED), WEIGHTS)
    assert float(found) == pytest.approx(float(alone))


@with_and_without_weights
@every_loss
def test_without_labels_it_is_zero_and_has_a_gradient(name: str, weights, batch) -> None:
    logits, target = batch()
    logits[0, 0, 0, 0] = torch.inf
    value, gradient = value_and_gradient(combined(name), logits, torch.full_like(target, UNLABELLED), weights)
    assert value == 0
    assert (gradient == 0).all()


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(("name", "smoothing"), [*((name, 0.0) for name in NAMES), ("cross_entropy+dice", 0.1)])
def test_pixels_of_classes_without_weight_give_zero(name: str, smoothing: float, complete: bool, batch) -> None:
    logits, target = batch()
    target = torch.zeros_like(target)
    if not complete:
        target[:, 2:4] = UNLABELLED
    weights = torch.tensor([0.0, 1.0, 1.0])
    value, gradient = value_and_gradient(combined(name, smoothing), logits, target, weights)
    assert value == 0
    assert (gradient == 0).all()


@every_loss
def test_the_order_of_classes_does_not_matter(name: str, batch) -> None:
    logits, target = batch()
    target[0, :2] = UNLABELLED
    loss = combined(name)
    expected = float(loss(logits, target, WEIGHTS))
    for order in itertools.permutations(range(3)):
        renamed = torch.tensor(order).argsort()[target].where(target >= 0, UNLABELLED)
        assert float(loss(logits[:, order], renamed, WEIGHTS[list(order)])) == pytest.approx(expected)


@with_and_without_weights
@every_loss
def test_the_order_of_pixels_and_images_does_not_matter(name: str, weights, batch) -> None:
    logits, target = batch()
    loss = combined(name)
    expected = float(loss(logits, target, weights))
    turned = loss(logits.transpose(2, 3).flip(0, 3), target.transpose(1, 2).flip(0, 2), weights)
    assert float(turned) == pytest.approx(expected)
    whole = loss(torch.cat([*logits], dim=1)[None], torch.cat([*target])[None], weights)
    assert float(whole) == pytest.approx(expected)


@with_and_without_weights
@every_loss
def test_a_constant_added_to_a_pixels_logits_changes_nothing(name: str, weights, batch) -> None:
    logits, target = batch()
    loss = combined(name)
    shift = torch.linspace(-300, 300, target.numel(), dtype=torch.float64).reshape(2, 1, 6, 5)
    assert float(loss(logits + shift, target, weights)) == pytest.approx(float(loss(logits, target, weights)))


@every_loss
def test_only_the_proportion_of_class_weights_matters(name: str, batch) -> None:
    logits, target = batch()
    loss = combined(name)
    assert float(loss(logits, target, 1e-6 * WEIGHTS)) == pytest.approx(float(loss(logits, target, WEIGHTS)))
    alike = float(loss(logits, target, torch.full((3,), 5.0)))
    assert alike == pytest.approx(float(loss(logits, target, None)))
    assert alike != pytest.approx(float(loss(logits, target, WEIGHTS)), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@every_loss
def test_precision_and_memory_layout_of_the_logits_do_not_matter(name: str, dtype, batch) -> None:
    """Computed in float32 at least; half precision has 3 digits."""
    logits, target = batch()
    expected, gradient = value_and_gradient(combined(name), logits, target, WEIGHTS)
    laid_out = logits.to(dtype, memory_format=torch.channels_last)
    value, found = value_and_gradient(combined(name), laid_out, target, WEIGHTS)
    assert combined(name)(laid_out, target, WEIGHTS).dtype == torch.float32
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    assert value == pytest.approx(expected, rel=tolerance)
    assert float((found - gradient).norm() / gradient.norm()) < (tolerance if name != "lovasz" else 0.1)


def test_losses_are_added_and_smoothing_goes_to_cross_entropy_alone(batch) -> None:
    logits, target = batch()
    parts = [float(combined(name)(logits, target, WEIGHTS)) for name in ("dice", "focal", "lovasz")]
    found = combined("dice+cross_entropy+focal+lovasz", label_smoothing=0.2)(logits, target, WEIGHTS)
    smoothed = functional.cross_entropy(logits, target, WEIGHTS, label_smoothing=0.2)
    assert float(found) == pytest.approx(sum(parts) + float(smoothed))


@pytest.mark.parametrize("names", ["dice", "focal+lovasz"])
def test_smoothing_without_cross_entropy_is_refused(names: str) -> None:
    combined(names, label_smoothing=0.0)
    with pytest.raises(InputError, match=rf"belongs to the loss cross_entropy\. Got 0\.1 with '{names[:5]}"):
        combined(names, label_smoothing=0.1)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, float("nan")])
def test_smoothing_out_of_range_is_refused(smoothing: float) -> None:
    with pytest.raises(InputError, match="must be at least 0 and below 1"):
        combined("cross_entropy", label_smoothing=smoothing)


def test_an_unknown_loss_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no loss 'dise'; the nearest is 'dice'"):
        combined("cross_entropy+dise")
