"""One confusion matrix and scores that are functions of it; distances of boundaries; matches of objects."""

from __future__ import annotations

from .boundaries import BoundaryScores, boundary_scores, surface_distances
from .comparison import OBJECTS, ClassObjects, Comparison, compare
from .confusion import confusion_matrix, present_values
from .functions import dice, iou, mean, pixel_accuracy, precision, recall
from .objects import THRESHOLDS, ObjectScores, match_objects, object_scores, regions_of
from .scores import ClassScores, Scores, score_pairs

__all__ = [
    "OBJECTS",
    "THRESHOLDS",
    "BoundaryScores",
    "ClassObjects",
    "ClassScores",
    "Comparison",
    "ObjectScores",
    "Scores",
    "boundary_scores",
    "compare",
    "confusion_matrix",
    "dice",
    "iou",
    "match_objects",
    "mean",
    "object_scores",
    "pixel_accuracy",
    "precision",
    "present_values",
    "recall",
    "regions_of",
    "score_pairs",
    "surface_distances",
]
