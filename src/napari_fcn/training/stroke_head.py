"""The pixel head behind which a deep network learns: fitted on some strokes or on all, and asked where needed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from ..config import ModelConfig, TrainingConfig
from ..data.examples import Examples
from ..inference.engine import Engine, evaluating
from ..models.build import head_model
from ..models.pixel import pixel_network
from .network import starting_network
from .pixel_fit import FeatureStore, choose_pixels, fit, look_at, together

if TYPE_CHECKING:
    from torch import nn

    from ..models.pixel_network import PixelNetwork

__all__ = ["Opinion", "StrokeHead", "WindowMaps"]

SIDE, MARGIN = 256, 32
"""Side of the windows that are computed at once, and pixels of surroundings that they see."""
LOOKED_AT = 16
"""Windows that tell how much of the planes each class covers."""


class StrokeHead:
    """Fits pixel heads; features of planes are computed once.

    Parameters
    ----------
    examples : planes, classes and normalisation.
    model : of the network behind it; the head has its encoder.
    engine : where it is computed.
    seed : of what is drawn.
    memory : bytes for feature maps, so that a second fit does not compute them again.
    encoder : what the heads look through, with the weights that `model` names; a copy of it is used. Without it one is
        made, which takes as long as looking at half an image.

    Attributes
    ----------
    model : of the heads.
    loss : cross-entropy of the pixels that the last one was fitted to.
    """

    loss = 0.0

    def __init__(
        self,
        examples: Examples,
        model: ModelConfig,
        engine: Engine,
        seed: int,
        memory: float,
        encoder: nn.Module | None = None,
    ) -> None:
        self.model = head_model(model)
        self._examples = examples
        self._engine = engine
        self._seed = seed
        self._store = FeatureStore(memory)
        if encoder is not None:
            network = pixel_network(copy.deepcopy(encoder), examples.channels, len(examples.classes))
        else:
            settings = TrainingConfig(transfer="head", seed=seed)
            network = cast("PixelNetwork", starting_network(examples, self.model, settings, None).network)
        self._network: PixelNetwork = engine.place(network).eval().requires_grad_(False)

    def fit(self, targets: Sequence[npt.NDArray[np.int16]]) -> PixelNetwork:
        """A head that is fitted to class indices `(H, W)` for each plane, -1 where nobody has judged."""
        from torch.nn import functional

        classes, network = len(self._examples.classes), self._network
        chosen = choose_pixels(targets, classes, np.random.default_rng(self._seed))
        pixels = together(list(look_at(network, self._engine, self._examples, chosen, self._store)))
        filters = network.filter_bank.out_channels * network.decoder.filters
        fitted = fit(*pixels, filters, classes, network.decoder.hidden, self._seed)
        network = copy.deepcopy(network)
        network.take(fitted)
        self.loss = float(functional.cross_entropy(fitted.logits(pixels[0]), pixels[1]))
        return network


class WindowMaps:
    """Class probabilities of planes, computed window by window where somebody asks for them, and kept.

    Parameters
    ----------
    network : gives logits, or logarithms of probabilities, `(N, K, H, W)`.
    engine, examples : where it is computed, and planes, classes and normalisation.
    """

    def __init__(self, network: nn.Module, engine: Engine, examples: Examples) -> None:
        self._network = network
        self._engine = engine
        self._examples = examples
        shapes = [plane.target.shape for plane in examples.planes]
        # Memory is taken when something is written.
        self._maps = [np.zeros((len(examples.classes), *shape), np.float16) for shape in shapes]
        self._done = [np.zeros((-(-height // SIDE), -(-width // SIDE)), bool) for height, width in shapes]

    def window(self, plane: int, rows: slice, columns: slice) -> npt.NDArray[np.float16]:
        """Probabilities `(K, h, w)` of a window that lies in a plane."""
        for row in range(rows.start // SIDE, -(-rows.stop // SIDE)):
            for column in range(columns.start // SIDE, -(-columns.stop // SIDE)):
                self._compute(plane, row, column)
        return self._maps[plane][:, rows, columns]

    def pixels(self, plane: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> npt.NDArray[np.float16]:
        """Probabilities `(K, M)` of pixels of a plane."""
        for row, column in np.unique(np.stack([rows // SIDE, columns // SIDE], 1), axis=0).tolist():
            self._compute(plane, row, column)
        return self._maps[plane][:, rows, columns]

    def shares(self) -> npt.NDArray[np.float64]:
        """Parts of the planes that are put into each class, `(K,)`, from at most 16 windows spread over all of them."""
        everywhere = [(plane, *place) for plane, done in enumerate(self._done) for place in np.ndindex(*done.shape)]
        chosen = np.unique(np.linspace(0, len(everywhere) - 1, LOOKED_AT).round().astype(int))
        counts = np.zeros(len(self._examples.classes))
        for plane, row, column in (everywhere[number] for number in chosen):
            self._compute(plane, row, column)
            own = self._maps[plane][:, row * SIDE : (row + 1) * SIDE, column * SIDE : (column + 1) * SIDE]
            counts += np.bincount(own.argmax(0).ravel(), minlength=len(counts))
        shares: npt.NDArray[np.float64] = counts / counts.sum()
        return shares

    def _compute(self, number: int, row: int, column: int) -> None:
        import torch

        if self._done[number][row, column]:
            return
        plane = self._examples.planes[number]
        own, seen, inside = zip(
            *(_extent(place, size) for place, size in zip((row, column), plane.target.shape, strict=True)), strict=True
        )
        values = self._examples.normalization.apply(plane.values[:, *seen], plane.statistics)[0]
        with evaluating(self._network), self._engine.autocast():
            logits = self._network(self._engine.put(torch.from_numpy(values[None])))
            found = logits[0, :, *inside].float().softmax(0)
        self._maps[number][:, *own] = found.cpu().numpy()
        self._done[number][row, column] = True


class Opinion:
    """What is thought of every pixel: by a head, and by a network too where there is one.

    Attributes
    ----------
    head, network : their probabilities; both count the same.
    """

    def __init__(self, head: WindowMaps, network: WindowMaps | None = None) -> None:
        self.head = head
        self.network = network

    def window(self, plane: int, rows: slice, columns: slice) -> npt.NDArray[np.floating]:
        """Probabilities `(K, h, w)` of a window that lies in a plane."""
        own = self.head.window(plane, rows, columns)
        return own if self.network is None else _mean(own, self.network.window(plane, rows, columns))

    def pixels(self, plane: int, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> npt.NDArray[np.floating]:
        """Probabilities `(K, M)` of pixels of a plane."""
        own = self.head.pixels(plane, rows, columns)
        return own if self.network is None else _mean(own, self.network.pixels(plane, rows, columns))


def _mean(one: npt.NDArray[np.float16], other: npt.NDArray[np.float16]) -> npt.NDArray[np.float32]:
    mean: npt.NDArray[np.float32] = (one.astype(np.float32) + other) / np.float32(2)
    return mean


def _extent(place: int, size: int) -> tuple[slice, slice, slice]:
    """Of a window along one side: where it is, what is looked at for it, and where it is in that."""
    own = slice(place * SIDE, min((place + 1) * SIDE, size))
    seen = slice(max(0, own.start - MARGIN), min(own.stop + MARGIN, size))
    return own, seen, slice(own.start - seen.start, own.stop - seen.start)
