"""The stages of an encoder: which of its parameters each feature map needs, and which none does."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["cut_off", "modules_of", "stages_of"]


def stages_of(encoder: nn.Module, side: int = 64) -> list[list[str]]:
    """An encoder's parameters by stage, fine to coarse: the names of those that a feature map needs anew.

    A stage ends where the encoder gives features to the decoder; the image itself, which some encoders give first, is
    none. `side` is a size of images that the encoder takes.
    """
    # Nothing is computed on the meta device but shapes, and who depends on whom.
    encoder = copy.deepcopy(encoder).to("meta").eval().requires_grad_(True)
    named = dict(encoder.named_parameters())
    first = next(p for p in named.values() if p.ndim == 4)
    features = encoder(torch.zeros(1, first.shape[1], side, side, device="meta"))
    stages, seen = [], set[Any]()
    for feature in features:
        needed = _new_leaves(feature.grad_fn, seen) if feature.numel() else set()
        stage = [name for name, parameter in named.items() if id(parameter) in needed]
        if stage:
            stages.append(stage)
    return stages


def _new_leaves(function: Any, seen: set[Any]) -> set[int]:
    """Identities of the tensors at the ends of a graph of gradients, as far as it was not seen before."""
    found, ahead = set(), [function]
    while ahead:
        function = ahead.pop()
        if function is None or function in seen:
            continue
        seen.add(function)
        if hasattr(function, "variable"):
            found.add(id(function.variable))
        ahead += [before for before, _ in function.next_functions]
    return found


def cut_off(encoder: nn.Module) -> None:
    """Throw away what none of an encoder's feature maps needs: the stages beyond the depth that it was made for."""
    needed = {name for stage in stages_of(encoder) for name in stage}
    useless = {name for name, _ in encoder.named_parameters()} - needed
    for module in modules_of(encoder, useless):
        name = next(name for name, child in encoder.named_modules() if child is module)
        parent, _, own = name.rpartition(".")
        setattr(encoder.get_submodule(parent), own, _Nothing())


class _Nothing(nn.Module):
    """What stands where a module was that nobody needs; encoders call some of them all the same."""

    def forward(self, features: Tensor, *_: object, **__: object) -> Tensor:
        return features


def modules_of(module: nn.Module, names: set[str], prefix: str = "") -> list[nn.Module]:
    """The largest submodules all of whose parameters, one at least, are among `names`."""
    own = {prefix + name for name, _ in module.named_parameters()}
    if own and own <= names:
        return [module]
    found = []
    for name, child in module.named_children():
        found += modules_of(child, names, f"{prefix}{name}.")
    return found
