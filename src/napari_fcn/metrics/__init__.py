"""One confusion matrix, and scores that are functions of it."""

from __future__ import annotations

from .confusion import confusion_matrix, present_values
from .functions import dice, iou, mean, pixel_accuracy, precision, recall
from .scores import ClassScores, Scores, score_pairs

__all__ = [
    "ClassScores",
    "Scores",
    "confusion_matrix",
    "dice",
    "iou",
    "mean",
    "pixel_accuracy",
    "precision",
    "present_values",
    "recall",
    "score_pairs",
]
