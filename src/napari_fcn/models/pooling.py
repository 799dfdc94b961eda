"""Encoders that also tell where their max pooling found the maxima, for max unpooling."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..errors import InputError
from .encoders import make_encoder, resolve

__all__ = ["PooledFeatures", "with_indices"]


class PooledFeatures(nn.Module):
    """A VGG encoder (Simonyan and Zisserman 2015) that returns its poolings' indices after its features.

    Parameters
    ----------
    layers : its convolutions, activations and poolings, one after the other.
    out_channels : of the features, fine to coarse; there is a pooling between each two.

    Notes
    -----
    Its tensors have the names that they have in the encoder which it was made of.
    """

    def __init__(self, layers: nn.Sequential, out_channels: list[int]) -> None:
        super().__init__()
        self.features = layers
        self.out_channels = out_channels
        for module in layers:
            if isinstance(module, nn.MaxPool2d):
                module.return_indices = True

    def forward(self, images: Tensor) -> list[Tensor]:
        """Features `(N, C, H, W)`, `(N, C, H/2, W/2)`, ... and the indices of the poolings between them."""
        features: list[Tensor] = []
        indices: list[Tensor] = []
        for module in self.features:
            if not isinstance(module, nn.MaxPool2d):
                images = module(images)
                continue
            features.append(images)
            if len(features) == len(self.out_channels):  # nobody needs what is coarser, which may be less than a pixel
                break
            images, found = module(images)
            indices.append(found)
        else:
            features.append(images)
        return features + indices


def with_indices(name: str, weights_name: str, in_channels: int, *, depth: int) -> nn.Module:
    """An encoder whose features are followed by the indices of its max poolings, fine to coarse.

    Parameters
    ----------
    name, weights_name, in_channels, depth : as for `make_encoder`.

    Raises
    ------
    InputError
        The encoder does not halve all of its features by 2 x 2 max pooling.
    """
    if resolve(name).own:
        return make_encoder(name, weights_name, in_channels, depth=depth, return_indices=True)
    encoder: Any = make_encoder(name, weights_name, in_channels, depth=depth)
    found = getattr(encoder, "features", None)
    layers = found if isinstance(found, nn.Sequential) else nn.Sequential()
    pools = [module for module in layers if isinstance(module, nn.MaxPool2d)]
    if len(pools) < depth or any(pool.kernel_size != 2 or pool.stride != 2 for pool in pools):
        raise InputError(
            f"Upsampling 'max_unpool' needs an encoder that halves by max pooling everywhere: 'classic' or a VGG, such "
            f"as 'vgg11_bn'. Got {name!r}; use 'nearest', 'bilinear' or 'transposed' with it."
        )
    return PooledFeatures(layers, list(encoder.out_channels))
