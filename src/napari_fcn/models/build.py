"""From names to a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config import ModelConfig
from ..registry import architectures

if TYPE_CHECKING:
    from .base import Network

__all__ = ["NetworkSpec", "build"]


@dataclass(frozen=True)
class NetworkSpec:
    """All that it takes to build a network's shape.

    Attributes
    ----------
    model : the names that the user chose.
    in_channels : channels of its images.
    classes : number of classes K, 2 or more.
    """

    model: ModelConfig
    in_channels: int
    classes: int


def build(spec: NetworkSpec, *, pretrained: bool = True) -> Network:
    """The network that `spec` describes, in fp32 on the CPU.

    With `pretrained` false the encoder gets random values whatever the settings say: for loading a saved one, without
    a network and without reading the published weights.

    Raises
    ------
    InputError
        The architecture's encoder or its weights cannot be had.
    """
    from .phases import use_phases

    network: Network = architectures[spec.model.architecture].target(spec, spec.model.weights if pretrained else "none")
    use_phases(network)
    return network
