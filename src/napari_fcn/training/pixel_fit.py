"""Fitting the pixel head: features of the painted pixels, a small network on the filters, a linear map of everything.

The two are added, for they fail differently: rectified units on filters know nonlinear rules of colour and texture and
forget them where little is painted; regularised linear scores of the encoder's features know things, and little of
where they end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..data.examples import Examples
from ..inference.engine import Engine, evaluating
from .random_numbers import seeded

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.pixel_network import PixelNetwork, PixelWeights

__all__ = ["FeatureStore", "Pixels", "Place", "choose_pixels", "fit", "look_at", "places", "together"]

MOST = 6000
"""Pixels of each class that are learnt from, spread evenly over all that are painted."""
WINDOW, MARGIN = 1024, 64
"""Side of the windows whose features are computed at once, and pixels of surroundings that they see."""
STRENGTH = 0.001
"""Inverse strength of the linear map's regularisation, as C of logistic regression is defined elsewhere."""
STEPS, PIXELS = 100, 2048
"""Steps of the small network, and pixels of each."""
RATE, DECAY, SMOOTHING = 0.01, 1e-3, 0.05
DROPPED_UNITS, DROPPED_FEATURES = 0.4, 0.1

Pixels = tuple["Tensor", "Tensor"]
"""Features `(M, F)` float32 and class indices `(M,)` int64."""


def choose_pixels(
    targets: Sequence[npt.NDArray[np.int16]], classes: int, random: np.random.Generator, most: int = MOST
) -> list[npt.NDArray[np.int16]]:
    """Targets in which at most `most` pixels of each class are left, the rest -1, drawn from all planes alike."""
    counts = np.sum([np.bincount(target[target >= 0], minlength=classes) for target in targets], axis=0)
    chosen = []
    for target in targets:
        kept = np.full_like(target, -1)
        for index in range(classes):
            places = np.flatnonzero(target == index)
            if counts[index] > most:
                share = int(np.ceil(most * len(places) / counts[index]))
                places = random.choice(places, share, replace=False) if share else places[:0]
            kept.flat[places] = index
        chosen.append(kept)
    return chosen


class FeatureStore:
    """Feature maps of windows that were seen before, as many as memory allows; the oldest go first.

    Parameters
    ----------
    memory : bytes that they may take; 0 keeps nothing.
    """

    def __init__(self, memory: float = 0.0) -> None:
        self.memory = memory
        self._kept: dict[bytes, list[Tensor]] = {}

    def maps(self, network: PixelNetwork, engine: Engine, values: npt.NDArray[np.float32]) -> list[Tensor]:
        """Feature maps of a window of standardised values `(C, h, w)`; of one that is known without computing."""
        import torch

        key = hashlib.blake2b(values.tobytes(), digest_size=16, key=repr(values.shape).encode()[:64]).digest()
        found = self._kept.pop(key, None) if self.memory else None
        if found is None:
            with evaluating(network), engine.autocast():
                found = [one.float() for one in network.features(engine.put(torch.from_numpy(values[None])))]
        if self.memory:
            self._kept[key] = found
            while len(self._kept) > 1 and self._size() > self.memory:
                del self._kept[next(iter(self._kept))]
        return found

    def _size(self) -> int:
        return sum(one.nbytes for maps in self._kept.values() for one in maps)


@dataclass(frozen=True)
class Place:
    """A window of a plane and its surroundings: what belongs to it, and what is looked at."""

    rows: slice
    columns: slice
    seen_rows: slice
    seen_columns: slice

    @property
    def inside(self) -> tuple[slice, slice]:
        """Where its own pixels lie among those that are looked at."""
        return (
            slice(self.rows.start - self.seen_rows.start, self.rows.stop - self.seen_rows.start),
            slice(self.columns.start - self.seen_columns.start, self.columns.stop - self.seen_columns.start),
        )


def places(height: int, width: int) -> Iterator[Place]:
    """Windows that together are a plane, each with its surroundings."""
    for top in range(0, height, WINDOW):
        for left in range(0, width, WINDOW):
            bottom, right = min(top + WINDOW, height), min(left + WINDOW, width)
            yield Place(
                slice(top, bottom),
                slice(left, right),
                slice(max(0, top - MARGIN), min(bottom + MARGIN, height)),
                slice(max(0, left - MARGIN), min(right + MARGIN, width)),
            )


def look_at(
    network: PixelNetwork,
    engine: Engine,
    examples: Examples,
    targets: Sequence[npt.NDArray[np.int16]],
    store: FeatureStore,
) -> Iterator[Pixels]:
    """Features of the judged pixels, window by window; windows without any are not computed."""
    import torch

    for plane, target in zip(examples.planes, targets, strict=True):
        for place in places(*target.shape):
            own = target[place.rows, place.columns]
            rows, columns = np.nonzero(own >= 0)
            if not rows.size:
                continue
            raw = plane.values[:, place.seen_rows, place.seen_columns]
            maps = store.maps(network, engine, examples.normalization.apply(raw, plane.statistics)[0])
            device = maps[0].device
            inside = place.inside
            at = (rows + inside[0].start, columns + inside[1].start)
            with torch.no_grad():
                features = network.look_up(maps, *(torch.from_numpy(numbers).to(device) for numbers in at))
            yield features, torch.from_numpy(own[rows, columns].astype(np.int64)).to(device)


def together(parts: Sequence[Pixels]) -> Pixels:
    """Pixels of several windows, one after the other."""
    import torch

    return torch.cat([features for features, _ in parts]), torch.cat([indices for _, indices in parts])


def fit(features: Tensor, indices: Tensor, filters: int, classes: int, hidden: int, seed: int) -> PixelWeights:
    """Both classifiers on painted pixels, each class as heavy as the others.

    Parameters
    ----------
    features, indices : `(M, F)` float32 and `(M,)` int64.
    filters : how many of the features, the first, are of filters.
    classes, hidden : how many classes and hidden units.
    seed : of the small network's first values, of what it sees when, and of what it drops out.
    """
    import torch

    from ..models.pixel_network import LIMIT, PixelWeights

    mean, std = features.mean(0), features.std(0, correction=0).clamp(min=1e-4)
    standard = ((features - mean) / std).clamp(-LIMIT, LIMIT)
    counts = torch.bincount(indices, minlength=classes).clamp(min=1)
    weights = len(indices) / (classes * counts.float())
    linear, linear_bias = _logistic(standard, indices, weights, classes)
    with seeded(seed):
        units, units_bias, output, output_bias = _network(standard[:, :filters], indices, weights, classes, hidden)
    return PixelWeights(mean, std, units, units_bias, output, output_bias, linear, linear_bias)


def _logistic(features: Tensor, indices: Tensor, weights: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """Balanced multinomial logistic regression with squared weights as penalty, by L-BFGS."""
    import torch
    from torch.nn import functional

    matrix = torch.zeros(classes, features.shape[1], device=features.device, requires_grad=True)
    bias = torch.zeros(classes, device=features.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([matrix, bias], max_iter=60, tolerance_change=1e-5, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        errors = functional.cross_entropy(functional.linear(features, matrix, bias), indices, reduction="none")
        total = (errors * weights[indices]).sum() * STRENGTH + (matrix**2).sum() / 2
        torch.autograd.backward(total)
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return matrix.detach(), bias.detach()


def _network(
    features: Tensor, indices: Tensor, weights: Tensor, classes: int, hidden: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One hidden layer, with dropout, by AdamW on pixels of all classes alike."""
    import torch
    from torch import nn

    first = nn.Linear(features.shape[1], hidden).to(features.device)
    last = nn.Linear(hidden, classes).to(features.device)
    optimizer = torch.optim.AdamW([*first.parameters(), *last.parameters()], lr=RATE, weight_decay=DECAY)
    judge = nn.CrossEntropyLoss(label_smoothing=SMOOTHING)
    drawn = torch.multinomial(weights[indices].cpu(), STEPS * PIXELS, replacement=True).view(STEPS, PIXELS)
    for step, batch in enumerate(drawn.to(features.device)):
        for group in optimizer.param_groups:
            group["lr"] = RATE * (1 - step / STEPS)
        optimizer.zero_grad()
        units = first(_dropped(features[batch], DROPPED_FEATURES)).relu()
        torch.autograd.backward(judge(last(_dropped(units, DROPPED_UNITS)), indices[batch]))
        optimizer.step()
    return first.weight.detach(), first.bias.detach(), last.weight.detach(), last.bias.detach()


def _dropped(values: Tensor, share: float) -> Tensor:
    """Dropout with a random byte for each value: most of the time of a fit went into finer random numbers."""
    import torch

    least = round(256 * share)
    words = torch.empty(-(-values.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
    kept = words.view(torch.uint8)[: values.numel()].view(values.shape) >= least
    return values * kept.to(values.device) * (256 / (256 - least))
