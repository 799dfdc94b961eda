"""Losses of autoencoders against numbers worked out by hand and by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.special import expit
from scipy.stats import entropy
from skimage.metrics import structural_similarity

from napari_fcn.losses.reconstruction import mean_over
from napari_fcn.registry import reconstruction_losses

MADE = torch.tensor([[[[1.0, -2.0, 0.5]]]])
IMAGE = torch.tensor([[[[0.0, 1.0, 0.5]]]])


def loss(name: str) -> list[float]:
    return reconstruction_losses[name].target(MADE, IMAGE)[0, 0, 0].tolist()


def test_squared_and_absolute_differences() -> None:
    assert loss("mse") == [1, 9, 0]
    assert loss("l1") == [1, 3, 0]


def test_divergence_is_that_of_scipy_and_of_the_hand() -> None:
    """For image 0 and reconstruction 1: P = (1/2, 1/2), Q = (0.7310586, 0.2689414), sum(P log P - P log Q) = 0.1201."""
    expected = []
    for made, image in zip(MADE.flatten().numpy(), IMAGE.flatten().numpy(), strict=True):
        p, q = expit(image), expit(made)
        expected.append(entropy([p, 1 - p], [q, 1 - q]))
    assert loss("kl") == pytest.approx(expected, abs=1e-6)
    assert loss("kl")[0] == pytest.approx(0.5 * np.log(0.5 / 0.7310586) + 0.5 * np.log(0.5 / 0.2689414), abs=1e-6)


def test_structural_similarity_is_that_of_scikit_image() -> None:
    """Of values 3 above the standardised ones, with their range of 6, where scikit-image does not pad otherwise."""
    random = np.random.default_rng(0)
    image = gaussian_filter(random.normal(0, 3, (2, 40, 33)), (0, 1, 1))
    made = image + random.normal(0, 0.3, image.shape)
    found = reconstruction_losses["ssim"].target(torch.from_numpy(made)[None], torch.from_numpy(image)[None])
    for channel in range(2):
        _, expected = structural_similarity(
            made[channel] + 3, image[channel] + 3, data_range=6, full=True,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )  # fmt: skip
        inside = (slice(5, -5),) * 2
        np.testing.assert_allclose(1 - found[0, channel][inside].numpy(), expected[inside], atol=1e-6)
    assert 0.05 < float(found.mean()) < 0.9


@pytest.mark.parametrize("name", list(reconstruction_losses))
def test_each_is_zero_only_where_both_agree_and_its_gradient_points_there(name: str) -> None:
    image = torch.linspace(-30, 30, 61).expand(1, 1, 3, 61)
    found = reconstruction_losses[name].target(image, image)
    assert torch.allclose(found, torch.zeros(3, 61), atol=1e-5)
    made = torch.zeros(1, 1, 16, 32)
    made[..., :16], made[..., 16:] = 0.5, -0.5
    made.requires_grad_()
    reconstruction_losses[name].target(made, torch.zeros(1, 1, 16, 32)).sum().backward()
    assert made.grad is not None
    assert made.grad[..., :8].min() > 0 > made.grad[..., 24:].max()


def test_only_pixels_that_count_are_in_the_mean() -> None:
    values = torch.tensor([[[[1.0, 100.0]], [[3.0, 100.0]]]])
    counted = torch.tensor([[[True, False]]])
    assert float(mean_over(values, counted)) == 2
    assert float(mean_over(values, torch.zeros_like(counted))) == 0
