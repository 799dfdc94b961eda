"""How an image of any size is segmented: tiles, blending, and the fastest safe way to compute on this machine."""

from __future__ import annotations

from .tiles import TileGrid

__all__ = ["TileGrid"]
