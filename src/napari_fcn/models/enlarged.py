"""Convolutions of enlarged features, computed before they are enlarged: the U-Net's decoder in half the time.

A 3 x 3 convolution of features that were enlarged two times by nearest neighbours sees each pixel two or four times.
Whichever of the four pixels of a 2 x 2 block is computed, its nine weights fall on four pixels of the small features;
so four 2 x 2 kernels, sums of the weights, give the four pixels from there with four multiplications instead of nine,
and nothing has to be enlarged or concatenated first. (Odena et al. 2016 name the same equivalence; Shi et al. 2016,
section 3.2, compute upsampling so.) What is concatenated to the enlarged features is convolved by itself and added.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["QuickBlock", "convolve_enlarged", "quicken", "use_transposed"]


class QuickBlock(nn.Module):
    """A block of smp's U-Net and U-Net++ decoders that enlarges by nearest neighbours, with its parameters and results.

    On other devices than the CPU, in exported programs, and where it does not enlarge exactly two times, it computes as
    smp's does; where `transposed` is set, by a transposed convolution, see `use_transposed`.

    Parameters
    ----------
    block : the one that it replaces; its parts are taken over.
    """

    transposed = False

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv1 = block.conv1
        self.attention1 = block.attention1
        self.conv2 = block.conv2
        self.attention2 = block.attention2

    def forward(
        self, features: Tensor, target_height: int, target_width: int, skip_connection: Tensor | None = None
    ) -> Tensor:
        """Features `(N, C, h, w)`, enlarged to the target's size and joined with the skip, convolved twice."""
        return self._compute(features, target_height, target_width, skip_connection)

    def _compute(self, features: Tensor, height: int, width: int, skip: Tensor | None) -> Tensor:
        convolution, *rest = self.conv1
        twice = height == 2 * features.shape[-2] and width == 2 * features.shape[-1]
        exported = torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if self.transposed and twice:
            found = _convolve_transposed(features, convolution.weight, convolution.bias, skip)
        elif features.device.type != "cpu" or exported or not twice:
            enlarged = functional.interpolate(features, size=(height, width), mode="nearest")
            if skip is not None:
                enlarged = torch.cat([enlarged, skip], dim=1)
            found = convolution(enlarged)
        else:
            found = convolve_enlarged(features, convolution.weight, convolution.bias, skip)
        for layer in rest:
            found = layer(found)
        result: Tensor = self.attention2(self.conv2(found))
        return result


class _QuickNestedBlock(QuickBlock):
    """The same for U-Net++, which always enlarges two times."""

    def forward(self, features: Tensor, skip: Tensor | None = None) -> Tensor:  # type: ignore[override]
        return self._compute(features, 2 * features.shape[-2], 2 * features.shape[-1], skip)


def quicken(blocks: nn.ModuleList | nn.ModuleDict, *, nested: bool = False) -> None:
    """Replace the blocks of a decoder that enlarges by nearest neighbours."""
    kind = _QuickNestedBlock if nested else QuickBlock
    for name, block in list(blocks.named_children()):
        setattr(blocks, name, kind(block))


def use_transposed(network: nn.Module) -> nn.Module:
    """Let every `QuickBlock` of a network compute by a transposed convolution, also while a graph is recorded.

    That is what compilers of graphs know, and it may be recorded at one size only: whether a block enlarges exactly two
    times becomes part of the graph.
    """
    for module in network.modules():
        if isinstance(module, QuickBlock):
            module.transposed = True
    return network


def convolve_enlarged(
    features: Tensor, weight: Tensor, bias: Tensor | None = None, skip: Tensor | None = None
) -> Tensor:
    """A padded 3 x 3 convolution of features, enlarged two times by nearest neighbours and joined with others.

    Parameters
    ----------
    features : `(N, C, h, w)`.
    weight : `(F, C + S, 3, 3)`.
    bias : `(F,)` or None.
    skip : `(N, S, 2h, 2w)`; may be None when S is 0.

    Returns
    -------
    Tensor
        `(N, F, 2h, 2w)`, what `conv2d(cat([interpolate(features), skip]), weight, bias, padding=1)` gives.
    """
    channels = features.shape[1]
    kernels = _four_kernels(weight[:, :channels]).contiguous(memory_format=torch.channels_last)
    if skip is None or not skip.shape[1]:
        four, added = functional.conv2d(features, kernels, None if bias is None else bias.repeat(4), padding=1), None
    else:
        own = weight[:, channels:].contiguous(memory_format=torch.channels_last)
        four, added = functional.conv2d(features, kernels, padding=1), functional.conv2d(skip, own, bias, padding=1)
    result: Tensor = _Interleave.apply(four, added)
    return result


def _convolve_transposed(features: Tensor, weight: Tensor, bias: Tensor | None, skip: Tensor | None) -> Tensor:
    """As `convolve_enlarged`, by a transposed convolution."""
    channels = features.shape[1]
    kernel = _transposed_kernel(weight[:, :channels])
    found = functional.conv_transpose2d(features, kernel, bias, stride=2, padding=1)
    if skip is None or not skip.shape[1]:
        return found
    return found + functional.conv2d(skip, weight[:, channels:], padding=1)


def _four_kernels(weight: Tensor) -> Tensor:
    """`(F, C, 3, 3)` as `(4 F, C, 2, 2)`, for upper left, upper right, lower left and lower right pixels of a block.

    An upper pixel sees the row above once and its own twice, a lower one its own twice and the row below once.
    """
    upper = torch.stack([weight[:, :, 0], weight[:, :, 1] + weight[:, :, 2]], dim=2)
    lower = torch.stack([weight[:, :, 0] + weight[:, :, 1], weight[:, :, 2]], dim=2)
    kernels = []
    for rows in (upper, lower):
        kernels.append(torch.stack([rows[..., 0], rows[..., 1] + rows[..., 2]], dim=3))
        kernels.append(torch.stack([rows[..., 0] + rows[..., 1], rows[..., 2]], dim=3))
    return torch.cat(kernels)


def _transposed_kernel(weight: Tensor) -> Tensor:
    """`(F, C, 3, 3)` as `(C, F, 4, 4)`: the weights of `_four_kernels`, those of each pixel of a block two apart."""
    kernels = _four_kernels(weight)
    found = weight.new_zeros(weight.shape[1], len(weight), 4, 4)
    for (down, right), kernel in zip(_PLACES, kernels.chunk(4), strict=True):
        found[:, :, 1 - down :: 2, 1 - right :: 2] = kernel.flip(2, 3).transpose(0, 1)
    return found


class _Interleave(torch.autograd.Function):
    """Four groups of channels `(N, 4 F, h + 1, w + 1)`, each shifted by its place, as pixels `(N, F, 2h, 2w)`.

    With `added`, which is used up, they are added to it.
    """

    @staticmethod
    def forward(ctx: Any, four: Tensor, added: Tensor | None) -> Tensor:
        count, width = four.shape[0], four.shape[1] // 4
        rows, columns = four.shape[2] - 1, four.shape[3] - 1
        ctx.adds = added is not None
        if added is None:
            result = four.new_empty(count, 2 * rows, 2 * columns, width).permute(0, 3, 1, 2)
        else:
            ctx.mark_dirty(added)
            result = added
        for group, (down, right) in enumerate(_PLACES):
            part = four[:, group * width : (group + 1) * width, down : down + rows, right : right + columns]
            place = result[:, :, down::2, right::2]
            if added is None:
                place.copy_(part)
            else:
                place.add_(part)
        return result

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None]:
        count, width, height, length = gradient.shape
        rows, columns = height // 2, length // 2
        four = gradient.new_zeros(count, rows + 1, columns + 1, 4 * width).permute(0, 3, 1, 2)
        for group, (down, right) in enumerate(_PLACES):
            place = four[:, group * width : (group + 1) * width, down : down + rows, right : right + columns]
            place.copy_(gradient[:, :, down::2, right::2])
        return four, gradient if ctx.adds else None


_PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
