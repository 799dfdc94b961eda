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

__all__ = ["freeze", "make_optimizer", "rate_factor", "starting_weights", "suited_to"]

LAST = 0.01
"""The cosine's rate at the end, as a fraction of the highest."""
POWER = 0.9
"""Of the polynomial schedule: Chen et al. 2017, DeepLab, section 4.1."""


def starting_weights(weights: str, transfer: str) -> str:
    """Which weights the encoder starts from: learning from scratch forgets the pretrained ones."""
    return "none" if transfer == "scratch" else weights


def suited_to(config: TrainingConfig, *, encoder: bool, decoder: bool, stages: int) -> TrainingConfig:
    """The settings, where an encoder without pretrained weights is learnt like everything else.

    Parameters
    ----------
    config : as given.
    encoder, decoder : whether these parts of the network know something already.
    stages : how many stages the encoder has.

    Raises
    ------
    InputError
        Something that knows nothing shall be kept, or more stages than there are.
    """
    if config.transfer == "head" and not decoder:
        raise InputError(
            "Transfer 'head' keeps encoder and decoder, and this decoder starts from random values; give a segmenter "
            "to start from (init), or use 'frozen'."
        )
    if config.freeze_stages > stages:
        raise InputError(f"`freeze_stages` must be at most {stages} for this encoder. Got {config.freeze_stages}.")
    if encoder:
        return config
    if config.transfer == "frozen" or config.freeze_stages or config.unfreeze:
        what = "Transfer 'frozen'" if config.transfer == "frozen" else "A kept stage"
        raise InputError(
            f"{what} keeps pretrained features, and this encoder starts from random ones (weights 'none'); "
            f"use 'scratch', or an encoder with pretrained weights."
        )
    if config.transfer == "finetune":
        return dataclasses.replace(config, transfer="scratch", stage_decay=1.0, feature_memory=None)
    return config


def freeze(network: Network, config: TrainingConfig, progress: float) -> None:
    """Set what learns at `progress` in [0, 1], and what is kept: no gradients, and evaluation mode.

    `head` keeps everything but the last layer and `frozen` the encoder; `finetune` keeps the encoder's first
    `freeze_stages` stages, and all of it until `unfreeze`.
    """
    if config.transfer == "head":
        network.freeze_all_but_head()
    elif config.transfer == "frozen" or progress < config.unfreeze:
        network.freeze_encoder()
    else:
        network.freeze_encoder(config.freeze_stages)


def make_optimizer(network: Network, config: TrainingConfig) -> Optimizer:
    """The optimizer over the parameters that ever learn, in groups by their rate.

    Decoder and head have the full rate. With `finetune` the encoder's coarsest stage has `encoder_rate` times as much,
    and each finer stage `stage_decay` times its neighbour's (Howard and Ruder 2018, ULMFiT, section 3.2); with
    `scratch` all are treated alike. Weights decay, biases and normalisation parameters do not. Each group carries its
    highest rate as `highest`. AdamW is Loshchilov and Hutter 2019, SGD has Nesterov's momentum.
    """
    import torch

    rates: list[tuple[list[nn.Parameter], float]] = [(list(network.head.parameters()), config.rate)]
    if config.transfer != "head":
        rates.append((list(network.decoder.parameters()), config.rate))
    if config.transfer == "scratch":
        rates.append((list(network.encoder.parameters()), config.rate))
    elif config.transfer == "finetune":
        rates += _by_stage(network, config)
    groups = [group for parameters, rate in rates for group in _groups(parameters, rate, config.weight_decay)]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.rate, momentum=0.9, nesterov=True, fused=True)
    return torch.optim.AdamW(groups, lr=config.rate, fused=True)


def _by_stage(network: Network, config: TrainingConfig) -> list[tuple[list[nn.Parameter], float]]:
    """The encoder's parameters that learn, with their rates, from the coarsest stage to the finest."""
    named = dict(network.encoder.named_parameters())
    if config.stage_decay == 1 and not config.freeze_stages:
        return [(list(named.values()), config.rate * config.encoder_rate)]
    stages = network.stages()
    grouped = {name for stage in stages for name in stage}
    stages[-1] = stages[-1] + [name for name in named if name not in grouped]
    return [
        (
            [named[name] for name in stage],
            config.rate * config.encoder_rate * config.stage_decay ** (len(stages) - 1 - n),
        )
        for n, stage in enumerate(stages)
        if n >= config.freeze_stages
    ]


def _groups(parameters: Iterable[nn.Parameter], rate: float, weight_decay: float) -> list[dict[str, Any]]:
    kept = list(parameters)
    kinds = ([p for p in kept if p.ndim > 1], weight_decay), ([p for p in kept if p.ndim <= 1], 0.0)
    return [{"params": part, "weight_decay": decay, "highest": rate, "lr": rate} for part, decay in kinds if part]


def rate_factor(progress: float, schedule: str = "cosine", warm_up: float = 0.05) -> float:
    """The learning rate at `progress` in [0, 1] as a fraction of the highest.

    Linear over the part `warm_up`, then half a cosine down to 1/100 (Loshchilov and Hutter 2017), or
    (1 - position)^0.9 (Chen et al. 2017), or constant.

    Examples
    --------
    >>> [round(rate_factor(p), 3) for p in (0.0, 0.025, 0.05, 0.525, 1.0)]
    [0.0, 0.5, 1.0, 0.505, 0.01]
    >>> [round(rate_factor(p, "poly", warm_up=0), 3) for p in (0.0, 0.5, 1.0)]
    [1.0, 0.536, 0.0]
    """
    if progress < warm_up:
        return progress / warm_up
    position = min(1.0, (progress - warm_up) / (1 - warm_up))
    if schedule == "constant":
        return 1.0
    if schedule == "poly":
        return float((1 - position) ** POWER)
    return LAST + (1 - LAST) * 0.5 * (1 + math.cos(math.pi * position))
