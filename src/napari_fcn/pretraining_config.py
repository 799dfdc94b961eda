"""The settings of learning without labels; those that training has too are training's own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from .config import DataConfig, ModelConfig, TrainingConfig
from .errors import InputError
from .options import Config, option, refuse_unknown, split
from .registry import autoencoder_kinds, noises, reconstruction_losses

__all__ = [
    "KIND_SETTINGS",
    "MODEL_SETTINGS",
    "PRETRAINING_DEPTH",
    "PretrainingConfig",
    "kind_settings",
    "split_pretraining",
]


def _as_training(name: str, default: Any = None, help: str | None = None) -> Any:
    """A field that is described as training's; with another default or explanation where one is given."""
    entry = next(entry for entry in fields(TrainingConfig) if entry.name == name)
    value = entry.default if default is None else default
    described = entry.metadata["option"]
    if help is not None:
        described = dataclasses.replace(described, help=help)
    return dataclasses.field(default=value, metadata={"option": described})


@dataclass(frozen=True)
class PretrainingConfig(Config):
    """How an autoencoder learns from images without labels.

    Settings of the kind that are not given take the kind's usual values, so an object of this class is complete; one
    that the kind does not have is None, and giving it is an error.
    """

    kind: str = option("denoising", "what the autoencoder has to do", choices=autoencoder_kinds)
    loss: str = option("mse", "how a reconstruction is compared with its image", choices=reconstruction_losses)
    noise: str | None = option(None, "what a denoising autoencoder has to remove", choices=noises)
    strength: float | None = option(
        None,
        "of the noise: its deviation in deviations of a channel, or the part of the pixels that it hits",
        kind="number",
        minimum=0,
        maximum=10,
    )
    beta: float | None = option(
        None,
        "weight of a variational autoencoder's divergence, twice the variance of what may stay unexplained",
        kind="number",
        minimum=0,
        maximum=1000,
    )
    ratio: float | None = option(
        None, "part of the image that a masked autoencoder does not see", kind="number", minimum=0.01, maximum=0.95
    )
    mask_size: int | None = option(
        None, "side of the squares that are hidden, in pixels", kind="integer", minimum=1, maximum=256
    )
    sparsity: str | None = option(
        None,
        "what makes a code sparse",
        choices={"l1": "few channels far from zero at each place", "kl": "each channel at work in few places"},
    )
    activation: float | None = option(
        None,
        "how much of a channel is at work on average, for sparsity 'kl'",
        kind="number",
        minimum=0.001,
        maximum=0.999,
    )
    penalty: float | None = option(
        None, "weight of a sparse or contractive autoencoder's penalty", kind="number", minimum=0, maximum=1000
    )
    encoder_rate: float = _as_training("encoder_rate", 1.0)
    rate: float = _as_training("rate")
    optimizer: str = _as_training("optimizer")
    schedule: str = _as_training("schedule")
    warm_up: float = _as_training("warm_up")
    clip: float = _as_training("clip")
    weight_decay: float = _as_training("weight_decay")
    validation: float = _as_training("validation", 0.1)
    time_budget: float | None = _as_training("time_budget")
    steps: int | None = _as_training("steps")
    epochs: int | None = _as_training("epochs")
    patience: int | None = _as_training("patience")
    batch_size: int | None = _as_training("batch_size")
    patch_size: int | None = _as_training("patch_size")
    augment: str = _as_training("augment", "flips", "how patches are varied")
    seed: int = _as_training("seed")
    device: str = _as_training("device")

    def __post_init__(self) -> None:
        super().__post_init__()
        having = kind_settings(self.kind)
        for name in KIND_SETTINGS:
            value = getattr(self, name)
            if name not in having and value is not None:
                others = ", ".join(kind for kind in autoencoder_kinds if name in kind_settings(kind))
                raise InputError(
                    f"`{name}` can be chosen for {others}, not for the kind {self.kind!r}. Got {value!r}; leave it out."
                )
            if name in having and value is None:
                object.__setattr__(self, name, having[name])
        if self.noise is not None and self.strength is None:
            object.__setattr__(self, "strength", noises[self.noise].details["strength"])
        self._complete_sparsity()
        # Budgets are completed, and refused, as training does.
        object.__setattr__(self, "time_budget", self.learning(pretrained=True).time_budget)

    def _complete_sparsity(self) -> None:
        if self.kind != "sparse":
            return
        if self.sparsity == "kl" and self.activation is None:
            object.__setattr__(self, "activation", 0.05)
        elif self.sparsity != "kl" and self.activation is not None:
            raise InputError(f"`activation` belongs to sparsity 'kl'. Got {self.activation:g} with {self.sparsity!r}.")

    def learning(self, *, pretrained: bool) -> TrainingConfig:
        """What the training loop wants to know; without pretrained weights everything learns alike."""
        common = {entry.name for entry in fields(self)} & {entry.name for entry in fields(TrainingConfig)}
        settings = {name: getattr(self, name) for name in common - {"loss"}}
        if not pretrained:
            settings.pop("encoder_rate")
        return TrainingConfig(transfer="finetune" if pretrained else "scratch", **settings)


KIND_SETTINGS = ("noise", "strength", "beta", "ratio", "mask_size", "sparsity", "activation", "penalty")
"""Settings that only some kinds have."""

MODEL_SETTINGS = ("encoder", "weights", "upsampling", "upsampling_kernel", "depth", "code")
"""Settings of the network that can be chosen."""


PRETRAINING_DEPTH = 3
"""How often features are halved when nobody says so.

Of 7-band images an autoencoder over the built-in encoder explains half of the variance after 60 steps at depth 3, and
nothing at depth 5, whose step takes twice as long. The stages beyond it stay what they were at the start.
"""


def kind_settings(kind: str) -> Mapping[str, Any]:
    """The settings that a kind has, each with its usual value, which may be None."""
    settings: Mapping[str, Any] = autoencoder_kinds[kind].details.get("settings", {})
    return settings


def split_pretraining(options: Mapping[str, Any]) -> tuple[ModelConfig, DataConfig, PretrainingConfig]:
    """The settings of each stage from a flat dictionary; the architecture is always `autoencoder`.

    Raises
    ------
    InputError
        A name is unknown, or a value cannot be.
    """
    known = [entry.name for config in (DataConfig, PretrainingConfig) for entry in fields(config)]
    refuse_unknown(options, [*MODEL_SETTINGS, *known])
    chosen = {name: value for name, value in options.items() if name in MODEL_SETTINGS}
    rest = {name: value for name, value in options.items() if name not in MODEL_SETTINGS}
    data, pretraining = split(rest, DataConfig, PretrainingConfig)
    if chosen.get("depth") is None:
        chosen["depth"] = PRETRAINING_DEPTH
    return ModelConfig(architecture="autoencoder", **chosen), data, pretraining
