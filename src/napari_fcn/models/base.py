"""The contract that every network here keeps."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn import functional

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
    smallest_size : and to this at least.

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
        self.smallest_size = smallest_size
        self._frozen: list[nn.Module] = []

    def forward(self, images: Tensor) -> Tensor:
        """Logits `(N, K, H, W)` for images `(N, C, H, W)` of any height and width."""
        height, width = images.shape[-2:]
        padded = pad_to_multiple(images, self.stride, self.smallest_size)
        logits: Tensor = self.head(self.decoder(self.encoder(padded)))
        return logits[..., :height, :width]

    def stages(self) -> list[list[str]]:
        """The encoder's parameters by stage, fine to coarse: the names of those that a feature map needs anew.

        A stage ends where the encoder gives features to the decoder; the image itself, which some encoders give first,
        is none.
        """
        # Nothing is computed on the meta device but shapes, and who depends on whom.
        encoder = copy.deepcopy(self.encoder).to("meta").eval().requires_grad_(True)
        named = dict(encoder.named_parameters())
        first = next(p for p in named.values() if p.ndim == 4)
        side = max(64, self.stride)
        features = encoder(torch.zeros(1, first.shape[1], side, side, device="meta"))
        stages, seen = [], set[str]()
        for feature in features:
            if not feature.requires_grad or not feature.numel():
                continue
            found = torch.autograd.grad(feature.sum(), list(named.values()), retain_graph=True, allow_unused=True)
            needed = {name for name, gradient in zip(named, found, strict=True) if gradient is not None} - seen
            if needed:
                stages.append([name for name in named if name in needed])
                seen |= needed
        return stages

    def freeze_encoder(self, stages: int | None = None) -> None:
        """Keep the encoder, or its first `stages` stages, as it is.

        No gradients, and evaluation mode, also after every later `train()`.
        """
        if stages is None:
            self._frozen = [self.encoder]
        else:
            kept = {name for stage in self.stages()[:stages] for name in stage}
            self._frozen = _modules_of(self.encoder, kept)
        for module in self._frozen:
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


def _modules_of(module: nn.Module, names: set[str], prefix: str = "") -> list[nn.Module]:
    """The largest submodules all of whose parameters, one at least, are among `names`."""
    own = {prefix + name for name, _ in module.named_parameters()}
    if own and own <= names:
        return [module]
    found = []
    for name, child in module.named_children():
        found += _modules_of(child, names, f"{prefix}{name}.")
    return found
