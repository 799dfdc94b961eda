"""How a network learns. Importing this package does not import torch; running a training does."""

from __future__ import annotations

from .events import Event, Finished, Noted, Started, Step, Validated
from .fit import Training
from .rate_finder import RateCurve, find_rate
from .run_folder import RunFolder
from .start import model_options, value_range

__all__ = [
    "Event",
    "Finished",
    "Noted",
    "RateCurve",
    "RunFolder",
    "Started",
    "Step",
    "Training",
    "Validated",
    "find_rate",
    "model_options",
    "value_range",
]
