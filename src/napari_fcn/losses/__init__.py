"""What training minimises."""

from __future__ import annotations

from . import segmentation
from .pixels import UNLABELLED
from .segmentation import combined

__all__ = ["UNLABELLED", "combined", "segmentation"]
