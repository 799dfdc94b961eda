"""How patches are varied, so that a few labels teach what does not matter: position, direction, size, exposure.

A preset is a frozen description. `draw_transform` and `draw_bend` turn its geometry into one random map of the plane,
`intensity.vary_intensity` its exposures into random values. Every variation takes any number of channels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..registry import augmentations

__all__ = ["Augmentation", "draw_bend", "draw_transform", "usual_augmentation"]

NODES = 5
"""Nodes along each side of the grid that an elastic deformation is drawn on."""


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Which variations, how often and how strong; without arguments nothing is varied.

    Values are standardised when they are varied, so their strengths are in deviations of a channel. Probabilities are
    for each patch; what has none is drawn for every patch. 0 (1 for `scale`) switches a variation off.

    Attributes
    ----------
    flips : mirror and turn by right angles, all eight ways.
    oblique : probability of turning by any `angle` and scaling by any factor up to `scale`.
    angle : largest angle in degrees, either way; with `flips`, 45 reaches every direction.
    scale : largest factor by which things are enlarged or shrunk.
    elastic : probability of a smooth deformation (Simard et al. 2003; Ronneberger et al. 2015).
    bend : deviation of its displacements, as a part of the patch's side.
    blur : probability of a Gaussian blur.
    blur_radius : largest deviation of the Gaussian in pixels; the smallest is 0.3 of it.
    gamma : probability of a bent tone curve: each channel, brought from its range in the patch to [0, 1], to a power.
    exponent : largest power; the smallest is 1 divided by it.
    gain, offset : spread of the contrast and of the brightness, each channel its own.
    common_gain, common_offset : the same for all channels alike, as illumination and haze are.
    noise : largest deviation of added Gaussian noise.
    dropout : probability, for each channel, of being replaced by its mean; one channel always stays.

    Raises
    ------
    InputError
        A probability is outside [0, 1], or a strength is negative or less than 1 where it is a factor.

    Examples
    --------
    >>> Augmentation(flips=True, noise=0.1).noise
    0.1
    """

    flips: bool = False
    oblique: float = 0.0
    angle: float = 45.0
    scale: float = 1.0
    elastic: float = 0.0
    bend: float = 0.02
    blur: float = 0.0
    blur_radius: float = 1.0
    gamma: float = 0.0
    exponent: float = 1.5
    gain: float = 0.0
    offset: float = 0.0
    common_gain: float = 0.0
    common_offset: float = 0.0
    noise: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            low, high = _LIMITS.get(entry.name, (0.0, math.inf))
            value = getattr(self, entry.name)
            if not (low <= value <= high and math.isfinite(value)):
                rule = f"at least {low:g}" if high == math.inf else f"from {low:g} to {high:g}"
                raise InputError(f"`{entry.name}` of an augmentation must be {rule}. Got {value!r}.")


_LIMITS = {
    **dict.fromkeys(("oblique", "elastic", "blur", "gamma", "dropout"), (0.0, 1.0)),
    **dict.fromkeys(("scale", "exponent"), (1.0, math.inf)),
    "angle": (0.0, 180.0),
}


@augmentations.register("none", summary="patches as they are")
def none() -> Augmentation:
    """No variation."""
    return Augmentation()


@augmentations.register("flips", summary="mirrored and turned by right angles; colours and sizes as they are")
def flips() -> Augmentation:
    """The eight symmetries of the square."""
    return Augmentation(flips=True)


@augmentations.register("light", summary="mirrored and turned by right angles, with slightly varied contrast")
def light() -> Augmentation:
    """For images that are all taken alike, where size and colour mean something."""
    return Augmentation(flips=True, gain=0.1, offset=0.1)


@augmentations.register(
    "microscopy",
    summary="turned by any angle, scaled, with varied contrast, brightness and noise; some bent, blurred or retoned",
)
def microscopy() -> Augmentation:
    """What helps where no direction is special, tissue is soft, and focus and exposure differ.

    Elastic deformations are what Ronneberger et al. 2015 found to be key with few labelled cells; blur and gamma, in
    about these ranges, are among the variations of nnU-Net (Isensee et al. 2021, supplementary note on augmentation).
    """
    return Augmentation(
        flips=True,
        oblique=0.5,
        scale=1.3,
        elastic=0.15,
        bend=0.02,
        blur=0.15,
        blur_radius=1.2,
        gamma=0.2,
        exponent=1.5,
        gain=0.2,
        offset=0.2,
        noise=0.15,
    )


@augmentations.register(
    "satellite",
    summary="mirrored and turned by right angles, slightly scaled; all bands brighter or hazier together, with noise",
)
def satellite() -> Augmentation:
    """For calibrated bands of a known pixel size, seen from above.

    Bands differ little from each other from day to day, so most of the contrast and brightness is common to all of
    them, as illumination and haze are. Shapes are rigid and sizes nearly known.
    """
    return Augmentation(
        flips=True,
        oblique=0.5,
        angle=0.0,
        scale=1.15,
        gain=0.05,
        offset=0.05,
        common_gain=0.15,
        common_offset=0.15,
        noise=0.1,
    )


@augmentations.register(
    "strong", summary="everything, stronger, and channels left out; for very few labels and long trainings"
)
def strong() -> Augmentation:
    """All variations, for networks that would learn the few labels by heart."""
    return Augmentation(
        flips=True,
        oblique=0.7,
        scale=1.6,
        elastic=0.3,
        bend=0.035,
        blur=0.3,
        blur_radius=2.0,
        gamma=0.3,
        exponent=2.0,
        gain=0.3,
        offset=0.3,
        common_gain=0.2,
        common_offset=0.2,
        noise=0.3,
        dropout=0.1,
    )


def usual_augmentation(normalization: str) -> str:
    """The preset that goes with a mode of `Normalization`.

    Where each image is standardised by itself, brightness, contrast and colour tell nothing, and may vary. Where all
    are standardised alike, because classes are known by their values, a preset that varies each channel by itself
    would make a network forget just these.
    """
    return "microscopy" if normalization == "image" else "satellite"


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
        angle = math.radians(random.uniform(-preset.angle, preset.angle))
        factor = preset.scale ** random.uniform(-1, 1)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        matrix = factor * turn @ matrix
    return matrix


def draw_bend(preset: Augmentation, size: int, random: np.random.Generator) -> npt.NDArray[np.float32] | None:
    """A random smooth displacement `(2, size, size)` in image pixels (y, x) of each patch pixel, or None.

    Displacements are drawn from a Gaussian on a coarse grid and interpolated bicubically, as Ronneberger et al. 2015
    do (U-Net, section 3.1); the idea is from Simard et al. 2003 (section 2). The grid has 5 x 5 nodes, and draws are
    cut off at two deviations, so that nothing folds over.
    """
    if random.random() >= preset.elastic:
        return None
    import torch
    from torch.nn import functional

    nodes = (random.standard_normal((2, NODES, NODES)).clip(-2, 2) * preset.bend * size).astype(np.float32)
    # Interpolation is linear and separable: what it makes of each node's one gives the weights along a side.
    ones = torch.eye(NODES)[None, :, :, None]
    weights = functional.interpolate(ones, size=(size, 1), mode="bicubic", align_corners=True)[0, :, :, 0].numpy()
    displacement: npt.NDArray[np.float32] = weights.T @ nodes @ weights
    return displacement
