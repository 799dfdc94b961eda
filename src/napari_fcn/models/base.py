"""The contract that every network here keeps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .stages import modules_of, stages_of

__all__ = ["Network", "pad_to_multiple"]


def pad_to_multiple(images: Tensor, multiple: int, smallest: int = 1) -> Tensor:
    """Pad `(N, C, H, W)` at the bottom and right, mirrored, until both sides are multiples of `multiple`.

    Sides shorter than `smallest`, a multiple too, are brought to it. Sides too short to be mirrored are continued by
    their last value.
    """
    height, width = images.shape[-2:]
    bottom, right = (max(-side % multiple, smallest - side) for side in (height, width))
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
    smallest_size : and to this at least, or to the encoder's own `smallest_size` where that is more.

    Attributes
    ----------
    dropout : see `judge`; 0 switches it off.

    Notes
    -----
    Frozen stages are a mode like `training`: while they are set, `train()` leaves them in evaluation mode, so that
    neither batch statistics nor dropout change what the pretrained features are.
    """

    def __init__(
        self, encoder: nn.Module, decoder: nn.Module, head: nn.Module, *, stride: int, smallest_size: int = 1
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder
        self.head = head
        self.stride = stride
        self.smallest_size = max(smallest_size, int(getattr(encoder, "smallest_size", 1)))
        self.dropout = 0.0
        self._frozen: list[nn.Module] = []

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` for images `(N, C, H, W)` of any height and width."""
        height, width = images.shape[-2:]
        return self.judge(self.decoder(self.features(images)))[..., :height, :width]

    def features(self, images: Tensor) -> list[Tensor]:
        """What the encoder makes of images `(N, C, H, W)`, padded to its stride: feature maps, fine to coarse."""
        maps: list[Tensor] = self.encoder(pad_to_multiple(images, self.stride, self.smallest_size))
        return maps

    def judge(self, decoded: Tensor) -> Tensor:
        """Logits for the decoder's feature map, at the padded images' size.

        While training, `dropout` is the part of that map's channels that is left out (Tompson et al. 2015).
        """
        if self.training and self.dropout:
            decoded = functional.dropout2d(decoded, self.dropout)
        logits: Tensor = self.head(decoded)
        return logits

    def stages(self) -> list[list[str]]:
        """The encoder's parameters by stage, fine to coarse: the names of those that a feature map needs anew.

        A stage ends where the encoder gives features to the decoder; the image itself, which some encoders give first,
        is none.
        """
        return stages_of(self.encoder, max(64, self.stride))

    def freeze_encoder(self, stages: int | None = None) -> None:
        """Keep the encoder, or its first `stages` stages, as it is; everything else learns.

        No gradients, and evaluation mode, also after every later `train()`.
        """
        if stages is None:
            self._freeze([self.encoder])
        elif not stages:  # and nothing is to be found
            self._freeze([])
        else:
            kept = {name for stage in self.stages()[:stages] for name in stage}
            self._freeze(modules_of(self.encoder, kept))

    def freeze_all_but_head(self) -> None:
        """Keep encoder and decoder as they are; only the head learns."""
        self._freeze([self.encoder, self.decoder])

    def keep_statistics(self) -> None:
        """Keep what batch normalisation in the encoder knows of images, also after every later `train()`."""
        self._frozen += [part for part in self.encoder.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
        self.train(self.training)

    def _freeze(self, modules: list[nn.Module]) -> None:
        self.requires_grad_(True)
        self._frozen = modules
        for module in modules:
            module.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Network:
        """As `nn.Module.train`, but what is frozen stays in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.eval()
        return self

    def new_parameters(self) -> list[nn.Parameter]:
        """The parameters of decoder and head."""
        return [*self.decoder.parameters(), *self.head.parameters()]

    @torch.no_grad()
    def count(self, *, trainable: bool = False) -> int:
        """Number of parameters, of all or of the trainable ones."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad or not trainable)
