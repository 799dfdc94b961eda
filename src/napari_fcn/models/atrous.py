"""Finer features from an encoder that was trained at stride 32: atrous convolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ..errors import InputError

__all__ = ["cannot_dilate", "dilate"]

SIDE = 64
"""Of the image that is sent through the encoder to see where it loses resolution; two of its coarsest features."""

POOLING = (nn.MaxPool2d, nn.AvgPool2d)


def dilate(encoder: nn.Module, output_stride: int, *, name: str | None = None) -> None:
    """Change an encoder of segmentation-models-pytorch, in place, so that no feature is coarser than `output_stride`.

    The algorithme à trous (Chen et al. 2015 and 2018, DeepLab): a convolution that would make features coarser than
    `output_stride` loses its stride, and every later convolution looks at places further apart, as many times as its
    input has become finer. The new features contain the old ones: every second or fourth of them is the same number,
    but for the image's margin. The convolution that lost its stride keeps its own dilation, because its input is what
    it was (segmentation-models-pytorch's `make_dilated` dilates it too, and changes what it computes).

    Parameters
    ----------
    encoder : images `(N, C, H, W)` to a list of features, fine to coarse, whose strides are 1, 2, 4, ...
    output_stride : 8, 16 or 32.
    name : of the encoder, for messages.

    Raises
    ------
    InputError
        Another stride, or an encoder that pools, or has even kernels, where it would have to be dilated.
    """
    if output_stride not in (8, 16, 32):
        raise InputError(f"The output stride must be 8, 16 or 32. Got {output_stride}.")
    reason = _dilate(encoder, output_stride)
    if reason:
        raise InputError(cannot_dilate(name or type(encoder).__name__, output_stride, reason))


def cannot_dilate(name: str, output_stride: int, reason: str) -> str:
    """The sentence for an encoder that cannot be dilated."""
    return (
        f"The encoder {name!r} cannot be dilated to output stride {output_stride} ({reason}); "
        f"'tf_efficientnet_lite0' and 'resnet50' can."
    )


def _dilate(encoder: Any, output_stride: int) -> str | None:
    """Do it, or give the reason why it cannot be done."""
    coarse = _coarse_modules(encoder, output_stride)
    for module, before in _input_strides(encoder).items():
        stride, kernel = _pair(module.stride)[0], _pair(module.kernel_size)
        if module not in coarse or before * stride <= output_stride or (stride == 1 and max(kernel) == 1):
            continue
        if isinstance(module, POOLING):
            return "it pools where it would have to be dilated"
        if not all(side % 2 for side in kernel):
            return f"it has a kernel of {kernel[0]} x {kernel[1]} where it would have to be dilated"
        _spread(module, max(1, before // output_stride))
    encoder._output_stride = output_stride
    sides = [feature.shape[-1] for feature in _features(encoder)]
    if sides != [SIDE // min(2**number, output_stride) for number in range(len(sides))]:
        return "it loses resolution in another way than by convolutions"
    return None


def _spread(module: Any, rate: int) -> None:
    """Take a convolution's stride away and multiply its dilation by `rate`, with the padding that keeps sizes."""
    dilation = [step * rate for step in _pair(module.dilation)]
    module.stride = (1, 1)
    module.dilation = tuple(dilation)
    module.padding = tuple(step * (side // 2) for step, side in zip(dilation, module.kernel_size, strict=True))
    if hasattr(module, "static_padding"):
        # smp's EfficientNet pads in a layer of its own, by what its stride asked for.
        module.static_padding = nn.Identity()


def _coarse_modules(encoder: Any, output_stride: int) -> set[nn.Module]:
    """All modules of the stages that are coarser than `output_stride`; of the whole encoder when smp names no stages.

    A stage may begin before its features get coarser, and hold convolutions beside the path that they take, as
    SegFormer's attention does.
    """
    try:
        stages = encoder.get_stages()
    except NotImplementedError:
        return set(encoder.modules())
    parts = [part for stride, parts in stages.items() if stride > output_stride for part in parts]
    return {module for part in parts for module in part.modules()}


def _input_strides(encoder: nn.Module) -> dict[Any, int]:
    """The layers that may change resolution, with the stride of what each gets, in the order of their use."""
    strides: dict[Any, int] = {}

    def note(module: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        strides[module] = SIDE // arguments[0].shape[-1]

    layers = [module for module in encoder.modules() if isinstance(module, (nn.Conv2d, *POOLING))]
    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        _features(encoder)
    finally:
        for handle in handles:
            handle.remove()
    return strides


@torch.no_grad()
def _features(encoder: Any) -> list[torch.Tensor]:
    """The features of an empty image; neither statistics nor the mode of the encoder change."""
    mode = encoder.training
    channels = next(module for module in encoder.modules() if isinstance(module, nn.Conv2d)).in_channels
    features: list[torch.Tensor] = encoder.eval()(torch.zeros(1, channels, SIDE, SIDE))
    encoder.train(mode)
    return features


def _pair(value: int | tuple[int, int] | list[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (value[0], value[1])
