"""From names to a network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..config import ModelConfig, options
from ..errors import InputError
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
        A setting is chosen that the architecture does not have, or its encoder cannot be had.
    """
    entry = architectures[spec.model.architecture]
    usual = options(ModelConfig)["upsampling"][0]
    if spec.model.upsampling != usual and not entry.details.get("upsampling"):
        having = ", ".join(name for name, other in architectures.items() if other.details.get("upsampling"))
        raise InputError(
            f"`upsampling` can be chosen for {having}, not for {entry.name!r}, which has its own. "
            f"Got {spec.model.upsampling!r}; leave it at {usual!r}."
        )
    weights_name = spec.model.weights if pretrained else "none"
    network: Network = entry.target(spec, weights_name)
    return network
