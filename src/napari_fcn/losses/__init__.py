"""What training minimises."""

from __future__ import annotations

from . import segmentation
from .segmentation import UNLABELLED, combined

__all__ = ["UNLABELLED", "combined", "segmentation"]
