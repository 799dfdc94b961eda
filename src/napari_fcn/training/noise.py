"""Noise that a denoising autoencoder learns to remove.

Each registered function takes standardised images `(N, C, H, W)` (mean 0, deviation 1 of each channel) and a strength,
and returns noisy ones. Random numbers are torch's own, which the training loop seeds anew for every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..registry import noises

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["gaussian", "masking", "poisson", "salt_pepper"]


@noises.register("gaussian", summary="the same everywhere, as an amplifier makes it", strength=0.5)
def gaussian(images: Tensor, strength: Tensor | float) -> Tensor:
    """Gaussian noise of deviation `strength`."""
    import torch

    return images + torch.randn_like(images) * strength


@noises.register("poisson", summary="more where it is bright, as few photons make it", strength=0.5)
def poisson(images: Tensor, strength: Tensor | float) -> Tensor:
    """Shot noise: photons are counted, as many as give a channel's mean brightness the deviation `strength`.

    Brightness is above each image's and channel's darkest pixel. With m its mean and n photons there, the deviation at
    the mean is m / sqrt(n), so n = (m / strength)².
    """
    import torch

    dark = images.amin(dim=(2, 3), keepdim=True)
    brightness = images - dark
    mean = brightness.mean(dim=(2, 3), keepdim=True).clamp_min(1e-6)
    photons = (mean / torch.as_tensor(strength, device=images.device).clamp_min(1e-3)).square()
    return dark + torch.poisson(brightness / mean * photons) * mean / photons


@noises.register("salt_pepper", summary="single pixels all dark or all bright, as dead ones are", strength=0.1)
def salt_pepper(images: Tensor, strength: Tensor | float) -> Tensor:
    """The part `strength` of the pixels gets its channel's darkest or brightest value in the image, by a coin."""
    import torch

    chance = torch.rand_like(images[:, :1])
    pepper = torch.where(chance < strength / 2, images.amin(dim=(2, 3), keepdim=True), images)
    return torch.where(chance > 1 - strength / 2, images.amax(dim=(2, 3), keepdim=True), pepper)


@noises.register(
    "masking",
    summary="single pixels that are missing",
    paper="Vincent et al. 2010, Stacked denoising autoencoders",
    strength=0.25,
)
def masking(images: Tensor, strength: Tensor | float) -> Tensor:
    """The part `strength` of the pixels is set to the mean."""
    import torch

    return images * (torch.rand_like(images[:, :1]) >= strength).to(images.dtype)
