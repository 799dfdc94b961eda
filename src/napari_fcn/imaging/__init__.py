"""Filters for images before a network sees them, and for labels after it; they fill `napari_fcn.registry.filters`."""

from __future__ import annotations

from . import images, labels, objects, walker  # noqa: F401 (they fill the registry)
from .chain import Chain
from .filter import Filter, ImageFilter, LabelFilter, Scene

__all__ = ["Chain", "Filter", "ImageFilter", "LabelFilter", "Scene"]
