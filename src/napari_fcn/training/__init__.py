"""How a network learns. Importing this package does not import torch; running a training does."""

from __future__ import annotations

from .events import Event, Finished, Started, Step, Validated
from .fit import Training

__all__ = ["Event", "Finished", "Started", "Step", "Training", "Validated"]
