"""What a network sees: axes, classes, normalisation, patches and how they are varied. Does not import torch."""

from __future__ import annotations

from . import augmentation
from .axes import Planes, check_axes, guess_axes, spatial_axes
from .classes import ClassTable, LabelClass
from .normalization import Normalization

__all__ = [
    "ClassTable",
    "LabelClass",
    "Normalization",
    "Planes",
    "augmentation",
    "check_axes",
    "guess_axes",
    "spatial_axes",
]
