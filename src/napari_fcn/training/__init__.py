"""How a network learns. Importing this package does not import torch; running a training does."""

from __future__ import annotations

from . import kinds, noise
from .behind import BehindTraining, is_behind
from .events import Event, Finished, Measured, Noted, Started, Step, Validated
from .fit import Training
from .pixel_training import PixelTraining, is_fitted
from .pretrain import Pretraining
from .rate_finder import RateCurve, find_rate
from .run_folder import RunFolder
from .start import model_options, value_range

__all__ = [
    "BehindTraining",
    "Event",
    "Finished",
    "Measured",
    "Noted",
    "PixelTraining",
    "Pretraining",
    "RateCurve",
    "RunFolder",
    "Started",
    "Step",
    "Training",
    "Validated",
    "find_rate",
    "is_behind",
    "is_fitted",
    "kinds",
    "model_options",
    "noise",
    "value_range",
]
