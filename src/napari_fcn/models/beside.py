"""A deep network and a pixel head side by side: two answers to the same image, averaged.

They fail differently. The head knows what a pixel and its surroundings look like and is right at once; the network
knows which places belong together. Tensors of the head are called `beside.` and so on, by which a file that has both
is told from one that has the network alone.
"""

from __future__ import annotations

from torch import Tensor

from .base import Network

__all__ = ["BesideNetwork"]

LEAST = 1e-12
"""Probabilities below this have no logarithm here."""


class BesideNetwork(Network):
    """A network that gives the logarithm of the mean of its probabilities and a pixel head's.

    Parameters
    ----------
    network : its encoder, decoder and head become this one's.
    beside : the pixel head; it is never learnt step by step.
    """

    def __init__(self, network: Network, beside: Network) -> None:
        super().__init__(
            network.encoder, network.decoder, network.head, stride=network.stride, smallest_size=network.smallest_size
        )
        self.beside = beside.requires_grad_(False)

    def forward(self, images: Tensor) -> Tensor:
        """Logarithms of probabilities `(N, K, H, W)` for images `(N, C, H, W)` of any height and width."""
        own, other = super().forward(images).softmax(1), self.beside(images).softmax(1)
        # ONNX has no sum in logarithms.
        logarithms: Tensor = ((own + other) / 2).clamp(min=LEAST).log()
        return logarithms
