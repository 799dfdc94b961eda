"""The network of an exported package, built anew from its settings: what a PyTorch state dict belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import ModelConfig
from ..models import NetworkSpec, build
from .traceable import Exported

__all__ = ["exported_network"]


def exported_network(model: Mapping[str, Any], channels: int, classes: int, gain: float, offset: float) -> Exported:
    """Standardised images `(N, C, H, W)` to probabilities `(N, K, H, W)`, with random weights.

    Parameters
    ----------
    model : settings, as `ModelConfig.to_json` gives them.
    channels, classes : C and K.
    gain, offset : of the encoder's range.
    """
    network = build(NetworkSpec(ModelConfig.from_json(model), channels, classes), pretrained=False)
    return Exported(network, gain, offset)
