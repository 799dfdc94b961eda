"""The network of an exported package, built anew from its settings: what a PyTorch state dict belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import ModelConfig
from ..models import NetworkSpec
from ..models.build import BESIDE, build_with
from .traceable import Exported

__all__ = ["exported_network"]


def exported_network(
    model: Mapping[str, Any], channels: int, classes: int, gain: float, offset: float, beside: bool = False
) -> Exported:
    """Standardised images `(N, C, H, W)` to probabilities `(N, K, H, W)`, with random weights.

    Parameters
    ----------
    model : settings, as `ModelConfig.to_json` gives them.
    channels, classes : C and K.
    gain, offset : of the encoder's range.
    beside : whether a pixel head is beside the network.
    """
    spec = NetworkSpec(ModelConfig.from_json(model), channels, classes)
    network = build_with(spec, [BESIDE] if beside else [])
    return Exported(network, gain, offset)
