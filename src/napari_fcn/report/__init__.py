"""Pictures that tell how it went: learning curve, examples, scores. Drawn without a screen and without global state."""

from __future__ import annotations

from .augmentation import augmentation_picture
from .evaluation import evaluation_report
from .rates import rate_picture
from .training import Panel, training_report

__all__ = ["Panel", "augmentation_picture", "evaluation_report", "rate_picture", "training_report"]
