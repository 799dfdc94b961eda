"""From names to a network."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..config import ModelConfig
from ..registry import architectures

if TYPE_CHECKING:
    from .base import Network

__all__ = ["NetworkSpec", "build", "build_with", "head_model"]

BESIDE = "beside."
"""What names of tensors of a pixel head beside a network begin with."""


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


def head_model(model: ModelConfig) -> ModelConfig:
    """The pixel head on the encoder of another network."""
    return ModelConfig("pixel", encoder=model.encoder, weights=model.weights)


def build_with(spec: NetworkSpec, tensors: Iterable[str]) -> Network:
    """The network that has tensors of these names, without pretrained values: with a pixel head beside it or without.

    Raises
    ------
    InputError
        As for `build`.
    """
    network = build(spec, pretrained=False)
    if not any(name.startswith(BESIDE) for name in tensors):
        return network
    from .beside import BesideNetwork

    return BesideNetwork(network, build(replace(spec, model=head_model(spec.model)), pretrained=False))
