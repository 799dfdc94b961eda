"""Segmenters for other programs, and those of other programs for this one."""

from __future__ import annotations

__all__: list[str] = []
