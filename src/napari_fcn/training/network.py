"""The network that a training starts from: built, filled with what is known already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..config import ModelConfig, TrainingConfig
from ..data.examples import Examples
from ..errors import InputError
from ..models import NetworkSpec, build
from ..models.autoencoder import decoder_note
from ..registry import architectures
from .random_numbers import seeded
from .start import builds_pretrained, start_from
from .transfer import starting_weights, suited_to

if TYPE_CHECKING:
    from ..models.base import Network
    from ..segmenter import Segmenter

__all__ = ["StartingNetwork", "starting_network"]


@dataclass(frozen=True)
class StartingNetwork:
    """A network in fp32 on the CPU, its settings and those of the training as they are, and what to say about it."""

    network: Network
    model: ModelConfig
    config: TrainingConfig
    notes: tuple[str, ...]


def starting_network(
    examples: Examples, model: ModelConfig, config: TrainingConfig, init: Segmenter | None
) -> StartingNetwork:
    """Build the network for these channels and classes, from the encoder's weights or from a segmenter.

    Raises
    ------
    InputError
        The weights cannot be had or do not fit, or something that knows nothing shall be kept.
    """
    if init is not None and config.transfer == "scratch":
        raise InputError(
            "Transfer 'scratch' forgets what is known, and a segmenter to start from (init) knows something; leave one "
            "of them out."
        )
    model = replace(model, weights=starting_weights(model.weights, config.transfer))
    spec = NetworkSpec(model, examples.channels, len(examples.classes))
    encoder, decoder = model.weights != "none", bool(architectures[model.architecture].details.get("fitted"))
    notes: tuple[str, ...] = ()
    with seeded(config.seed):
        network = build(spec, pretrained=init is None or builds_pretrained(init, model))
    if init is not None:
        start = start_from(network, spec, examples.classes, init)
        encoder, decoder = encoder or start.encoder_taken, decoder or start.decoder_taken
        notes += start.notes
    else:
        decoder = decoder or bool(getattr(network.decoder, "learnt", False))
        note = decoder_note(network, model)
        notes += (note,) if note else ()
    stages = len(network.stages()) if config.freeze_stages else 0
    suited = suited_to(config, encoder=encoder, decoder=decoder, stages=stages)
    if suited.transfer != config.transfer:
        notes += ("Nothing is pretrained here, so everything is learnt alike (transfer 'scratch').",)
    return StartingNetwork(network, model, suited, notes)
