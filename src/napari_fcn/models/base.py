"""The contract that every network here keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["Network", "pad_to_multiple"]


def pad_to_multiple(images: Tensor, multiple: int) -> Tensor:
    """Pad `(N, C, H, W)` at the bottom and right, mirrored, until both sides are multiples of `multiple`.

    Sides too short to be mirrored are continued by their last value.
    """
    height, width = images.shape[-2:]
    bottom, right = -height % multiple, -width % multiple
    if not bottom and not right:
        return images
    mode = "reflect" if bottom < height and right < width else "replicate"
    return functional.pad(images, (0, right, 0, bottom), mode=mode)


class Network(nn.Module):
    """A fully convolutional network: encoder, decoder, head.

    Parameters
    ----------
    encoder : images `(N, C, H, W)` to a list of feature maps, fine to coarse.
    decoder : that list to one feature map.
    head : the feature map to logits `(N, K, H, W)` at the padded input's size.
    stride : both sides of the encoder's input are padded to a multiple of this.

    Notes
    -----
    `frozen_encoder` is a mode like `training`: while it is set, `train()` leaves the encoder in evaluation mode, so
    that neither batch statistics nor dropout change what the pretrained features are.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, *, stride: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.stride = stride
        self.frozen_encoder = False

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` for images `(N, C, H, W)` of any height and width."""
        height, width = images.shape[-2:]
        logits: Tensor = self.head(self.decoder(self.encoder(pad_to_multiple(images, self.stride))))
        return logits[..., :height, :width]

    def freeze_encoder(self) -> None:
        """Keep the encoder as it is: no gradients, evaluation mode, also after every later `train()`."""
        self.frozen_encoder = True
        self.encoder.requires_grad_(False)
        self.encoder.eval()

    def train(self, mode: bool = True) -> Network:
        """As `nn.Module.train`, but a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen_encoder:
            self.encoder.eval()
        return self

    def new_parameters(self) -> list[nn.Parameter]:
        """The parameters of decoder and head."""
        return [*self.decoder.parameters(), *self.head.parameters()]

    @torch.no_grad()
    def count(self, *, trainable: bool = False) -> int:
        """Number of parameters, of all or of the trainable ones."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not trainable)
