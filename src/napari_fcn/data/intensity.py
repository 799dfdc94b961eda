"""Variations of a patch's values: focus, tone curve, exposure, noise and missing channels, in a camera's order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .augmentation import Augmentation

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["bend_tones", "blurred", "vary_intensity"]

SHARPEST = 0.3
"""The smallest blur as a part of the largest."""


def vary_intensity(
    values: Tensor, preset: Augmentation, random: np.random.Generator, *, deviation: float = 1.0, mean: float = 0.0
) -> Tensor:
    """A patch with random focus, tones, exposure and noise, and perhaps without some of its channels.

    Parameters
    ----------
    values : `(C, h, w)` float32, any number of channels; it is left as it is.
    preset : how strong.
    random : where all random numbers come from.
    deviation, mean : what one standard deviation of a channel, and its mean, are in `values`
        (`Normalization.gain` and `Normalization.offset`).

    Returns
    -------
    Tensor
        `(C, h, w)` float32.
    """
    import torch

    channels = values.shape[0]
    if random.random() < preset.blur:
        values = blurred(values, preset.blur_radius * random.uniform(SHARPEST, 1))
    if random.random() < preset.gamma:
        values = bend_tones(values, preset.exponent ** random.uniform(-1, 1))
    if preset.gain or preset.offset or preset.common_gain or preset.common_offset:
        normal = random.standard_normal((channels + 1, 2))
        each, common = normal[:-1], normal[-1]
        factor = np.exp(preset.gain * each[:, 0] + preset.common_gain * common[0])
        shift = deviation * (preset.offset * each[:, 1] + preset.common_offset * common[1])
        # Contrast is about the channel's mean, not about 0.
        shift += mean * (1 - factor)
        factor_and_shift = np.stack([factor, shift])[..., None, None].astype(np.float32)
        values = values.mul(torch.from_numpy(factor_and_shift[0])).add_(torch.from_numpy(factor_and_shift[1]))
    if preset.noise:
        strength = preset.noise * deviation * random.random()
        # torch draws these thrice as fast as numpy.
        generator = torch.Generator().manual_seed(int(random.integers(2**63)))
        values = torch.randn(values.shape, generator=generator).mul_(strength).add_(values)
    if preset.dropout and channels > 1:
        dropped = random.random(channels) < preset.dropout
        survivor = random.integers(channels)
        if dropped.all():
            dropped[survivor] = False
        if dropped.any():
            values = values.masked_fill(torch.from_numpy(dropped)[:, None, None], mean)
    return values


def blurred(values: Tensor, radius: float) -> Tensor:
    """`(C, h, w)` float32 convolved with a Gaussian of deviation `radius` in pixels, cut off at 3 deviations.

    Beyond its edge the patch goes on with the outermost values.
    """
    from torch.nn import functional

    reach = max(1, int(3 * radius + 0.5))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / radius) ** 2)
    weights /= weights.sum()
    values = functional.pad(values, (reach, reach, reach, reach), mode="replicate")
    # Sums of shifted patches: few weights, where a convolution's preparations would take longer than itself.
    for axis in (1, 2):
        size = values.shape[axis] - 2 * reach
        total = values.narrow(axis, reach, size) * float(weights[reach])
        for shift in range(reach):
            total.add_(values.narrow(axis, shift, size), alpha=float(weights[shift]))
            total.add_(values.narrow(axis, 2 * reach - shift, size), alpha=float(weights[shift]))
        values = total
    return values


def bend_tones(values: Tensor, exponent: float) -> Tensor:
    """`(C, h, w)` float32 with gamma correction: u = (v - low) / (high - low) becomes u to the power of `exponent`.

    Low and high are each channel's own smallest and largest value, which stay. This is how nnU-Net applies gamma to
    values that may be negative (Isensee et al. 2021, supplementary note on augmentation).
    """
    low = values.amin(dim=(1, 2), keepdim=True)
    span = values.amax(dim=(1, 2), keepdim=True) - low
    part = (values - low).div_(span.clamp_min(1e-12))
    # The power as exp(exponent * log(part)), which takes half as long; log(0) comes back as 0.
    return part.log_().mul_(exponent).exp_().mul_(span).add_(low)
