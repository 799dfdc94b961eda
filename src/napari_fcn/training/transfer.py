"""Transfer: which parameters learn, how fast, and how the rate changes over the training."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..config import TrainingConfig
from ..errors import InputError

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from ..models.base import Network

__all__ = ["make_optimizer", "rate_factor", "starting_weights", "suited_to"]

WEIGHT_DECAY = 0.01
WARM_UP = 0.05
"""Part of the training in which the rate rises to its highest value."""
LAST = 0.01
"""The rate at the end, as a fraction of the highest."""


def starting_weights(weights: str, transfer: str) -> str:
    """Which weights the encoder starts from: learning from scratch forgets the pretrained ones."""
    return "none" if transfer == "scratch" else weights


def suited_to(weights: str, config: TrainingConfig) -> TrainingConfig:
    """The settings, where an encoder without pretrained weights is learnt like everything else.

    Raises
    ------
    InputError
        Such an encoder shall be frozen.
    """
    if weights != "none":
        return config
    if config.transfer == "frozen":
        raise InputError(
            "Transfer 'frozen' keeps pretrained features, and this encoder starts from random ones (weights 'none'); "
            "use 'scratch', or an encoder with pretrained weights."
        )
    return dataclasses.replace(config, transfer="scratch")


def make_optimizer(network: Network, config: TrainingConfig) -> Optimizer:
    """AdamW (Loshchilov and Hutter 2019) over the parameters that learn, in groups by their rate.

    `frozen` leaves the encoder out and freezes it; `finetune` gives it `encoder_rate` times the decoder's rate;
    `scratch` treats all alike. Weights decay, biases and normalisation parameters do not. Each group carries its
    highest rate as `highest`.
    """
    import torch

    groups = _groups(network.new_parameters(), config.rate)
    if config.transfer == "frozen":
        network.freeze_encoder()
    else:
        factor = config.encoder_rate if config.transfer == "finetune" else 1.0
        groups += _groups(network.encoder.parameters(), config.rate * factor)
    return torch.optim.AdamW(groups, lr=config.rate, fused=True)


def _groups(parameters: Iterable[nn.Parameter], rate: float) -> list[dict[str, Any]]:
    kept = list(parameters)
    kinds = ([p for p in kept if p.ndim > 1], WEIGHT_DECAY), ([p for p in kept if p.ndim <= 1], 0.0)
    return [{"params": part, "weight_decay": decay, "highest": rate, "lr": rate} for part, decay in kinds if part]


def rate_factor(progress: float) -> float:
    """The learning rate at `progress` in [0, 1] as a fraction of the highest: linear warm-up, then half a cosine.

    Examples
    --------
    >>> [round(rate_factor(p), 3) for p in (0.0, 0.025, 0.05, 0.525, 1.0)]
    [0.0, 0.5, 1.0, 0.505, 0.01]
    """
    if progress < WARM_UP:
        return progress / WARM_UP
    position = min(1.0, (progress - WARM_UP) / (1 - WARM_UP))
    return LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * position))
