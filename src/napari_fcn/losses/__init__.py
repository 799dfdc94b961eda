"""What training minimises."""

from __future__ import annotations

from . import class_weights, reconstruction, segmentation
from .pixels import UNLABELLED
from .segmentation import combined

__all__ = ["UNLABELLED", "class_weights", "combined", "reconstruction", "segmentation"]
