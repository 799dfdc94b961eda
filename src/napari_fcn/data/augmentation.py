"""How patches are varied, so that a few labels teach what does not matter: position, direction, size, exposure.

A preset is a frozen description; `draw_transform` turns it into one random map of the plane, `vary_intensity` into
random exposures. Values are standardised when they come here, so strengths are in deviations of the channel.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..registry import augmentations

if TYPE_CHECKING:
    from torch import Generator, Tensor

__all__ = ["Augmentation", "draw_transform", "vary_intensity"]


@dataclass(frozen=True)
class Augmentation:
    """Strengths of the variations; 0 (or 1 for `scale`) switches one off.

    Attributes
    ----------
    flips : mirror and turn by right angles, all eight ways.
    oblique : probability of turning by any angle and scaling.
    scale : largest factor by which things are enlarged or shrunk.
    gain, offset : spread of the contrast and of the brightness, per channel.
    noise : largest deviation of added Gaussian noise.
    """

    flips: bool = False
    oblique: float = 0.0
    scale: float = 1.0
    gain: float = 0.0
    offset: float = 0.0
    noise: float = 0.0


@augmentations.register("none", summary="patches as they are")
def none() -> Augmentation:
    """No variation."""
    return Augmentation()


@augmentations.register("flips", summary="mirrored and turned by right angles; colours and sizes as they are")
def flips() -> Augmentation:
    """The eight symmetries of the square."""
    return Augmentation(flips=True)


@augmentations.register("default", summary="turned by any angle, scaled, with varied contrast, brightness and noise")
def default() -> Augmentation:
    """What helps on most images from microscopes and satellites, where no direction is special."""
    return Augmentation(flips=True, oblique=0.5, scale=1.3, gain=0.2, offset=0.2, noise=0.15)


def draw_transform(preset: Augmentation, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """A random linear map `(2, 2)` from patch coordinates (y, x) to image coordinates, about the patch's centre.

    Examples
    --------
    >>> draw_transform(none(), np.random.default_rng(0))
    array([[1., 0.],
           [0., 1.]])
    """
    matrix = np.eye(2)
    if preset.flips:
        if random.random() < 0.5:
            matrix = matrix[::-1]
        matrix = matrix * random.choice([-1.0, 1.0], size=(2, 1))
    if random.random() < preset.oblique:
        angle = random.uniform(-math.pi / 4, math.pi / 4)
        factor = math.exp(random.uniform(-1, 1) * math.log(preset.scale))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = factor * turn @ matrix
    return matrix


def vary_intensity(patches: Tensor, preset: Augmentation, deviation: float, random: Generator) -> Tensor:
    """Patches `(N, C, h, w)` float32 with random contrast, brightness and noise, each patch and channel its own.

    `deviation` is what one standard deviation of a channel is in the patches' values.
    """
    import torch

    shape = (patches.shape[0], patches.shape[1], 1, 1)
    if preset.gain:
        patches = patches * torch.exp(preset.gain * torch.randn(shape, generator=random))
    if preset.offset:
        patches = patches + preset.offset * deviation * torch.randn(shape, generator=random)
    if preset.noise:
        strength = preset.noise * deviation * torch.rand((patches.shape[0], 1, 1, 1), generator=random)
        patches = patches + strength * torch.randn(patches.shape, generator=random)
    return patches
