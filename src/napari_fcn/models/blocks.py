"""What the decoders are built of: convolutions and ways to enlarge features.

All take and return features `(N, C, H, W)`.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import InputError

__all__ = [
    "Convolution",
    "Interpolation",
    "MaxUnpooling",
    "SeparableConvolution",
    "TransposedConvolution",
    "bilinear_kernel",
    "normalization",
]


def normalization(name: str, channels: int) -> nn.Module:
    """What follows a convolution: "batch" (Ioffe and Szegedy 2015), "group" (Wu and He 2018) or "none"."""
    if name == "batch":
        return nn.BatchNorm2d(channels)
    if name == "group":
        groups = next(
            count for count in (32, 16, 8, 4, 2, 1) if (channels % count == 0 and channels // count >= 4) or count == 1
        )
        return nn.GroupNorm(groups, channels)
    return nn.Identity()


class Convolution(nn.Sequential):
    """Convolution that keeps height and width, normalisation, ReLU.

    Parameters
    ----------
    in_channels, out_channels : numbers of channels.
    kernel_size : odd side of the kernel.
    dilation : rate of an atrous convolution: the kernel's values are this many pixels apart.
    norm : as in `normalization`; without one the convolution has a bias.
    separable : use `SeparableConvolution`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        dilation: int = 1,
        norm: str = "batch",
        separable: bool = False,
    ) -> None:
        bias = norm == "none"
        convolution: nn.Module
        if separable:
            convolution = SeparableConvolution(in_channels, out_channels, kernel_size, dilation=dilation, bias=bias)
        else:
            padding = dilation * (kernel_size // 2)
            convolution = nn.Conv2d(
                in_channels, out_channels, kernel_size, padding=padding, dilation=dilation, bias=bias
            )
        super().__init__(convolution, normalization(norm, out_channels), nn.ReLU(inplace=True))


class SeparableConvolution(nn.Sequential):
    """Depthwise separable convolution (Sifre 2014; Chollet 2017): a k x k kernel for each channel, then 1 x 1.

    It has k² C_in + C_in F weights where the plain convolution with F kernels has k² C_in F; a bias adds F to either.

    Examples
    --------
    >>> count = lambda module: sum(p.numel() for p in module.parameters())
    >>> count(SeparableConvolution(256, 256, 3, bias=False)), count(nn.Conv2d(256, 256, 3, bias=False))
    (67840, 589824)
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1, bias: bool = True
    ) -> None:
        depthwise = nn.Conv2d(
            in_channels,
            in_channels,
            kernel_size,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=in_channels,
            bias=False,
        )
        super().__init__(depthwise, nn.Conv2d(in_channels, out_channels, 1, bias=bias))


class Interpolation(nn.Sequential):
    """Nearest or bilinear interpolation by a whole factor.

    Where the number of channels changes, a 1 x 1 convolution comes first: it commutes with interpolation, and there are
    fewer pixels before than after it.
    """

    def __init__(self, in_channels: int, out_channels: int, scale: int, mode: str) -> None:
        corners = None if mode == "nearest" else False
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        if in_channels != out_channels:
            layers["convolution"] = nn.Conv2d(in_channels, out_channels, 1)
        layers["interpolation"] = nn.Upsample(scale_factor=scale, mode=mode, align_corners=corners)
        super().__init__(layers)


def bilinear_kernel(kernel_size: int, stride: int) -> Tensor:
    """The kernel `(kernel_size, kernel_size)` with which a transposed convolution interpolates linearly.

    A triangle that is `stride` wide on each side of the kernel's centre, and as high as makes constant features stay
    constant; of a kernel that is no wider than the stride it is what fits (Long, Shelhamer, Darrell 2015, section 4.2).

    Examples
    --------
    >>> bilinear_kernel(4, 2)[0].tolist()
    [0.0625, 0.1875, 0.1875, 0.0625]
    >>> bilinear_kernel(2, 2).tolist()
    [[1.0, 1.0], [1.0, 1.0]]
    """
    distance = (torch.arange(kernel_size) - (kernel_size - 1) / 2).abs() / stride
    line = (1 - distance).clamp(min=0)
    # Each output pixel gets every stride-th value of the kernel; these sum to 1.
    sums = torch.stack([line[start::stride].sum() for start in range(min(stride, kernel_size))])
    line = line / sums[torch.arange(kernel_size) % stride]
    return line[:, None] * line[None, :]


class TransposedConvolution(nn.ConvTranspose2d):
    """Transposed convolution that enlarges by `stride` and starts as bilinear interpolation.

    Its output has side (i - 1) s + k - 2 p for an input of side i, kernel k, stride s, padding p; p and, where k - s is
    odd, one pixel of output padding are chosen so that the side is i s. Where the number of channels changes, an output
    channel starts as the mean of the input channels that fall to it.

    Raises
    ------
    InputError
        The kernel is not a multiple of the stride: then neighbouring output pixels get different numbers of the
        kernel's values, which shows as a checkerboard (Odena, Dumoulin, Olah 2016).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int) -> None:
        if kernel_size % stride:
            below = kernel_size // stride * stride
            near = ", ".join(str(size) for size in (below, below + stride) if size)
            raise InputError(
                f"The kernel of a transposed convolution must be a multiple of its stride {stride}, or checkerboards "
                f"show. Got {kernel_size}; nearest: {near}."
            )
        padding = (kernel_size - stride + 1) // 2
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=padding,
            output_padding=stride - kernel_size + 2 * padding,
        )

    def reset_parameters(self) -> None:
        """Bilinear interpolation of each channel."""
        kernel = bilinear_kernel(self.kernel_size[0], self.stride[0])
        count = max(self.in_channels, self.out_channels)
        pairs = [(i * self.in_channels // count, i * self.out_channels // count) for i in range(count)]
        outputs = [output for _, output in pairs]
        with torch.no_grad():
            self.weight.zero_()
            for i, o in pairs:
                self.weight[i, o] = kernel / outputs.count(o)
            if self.bias is not None:
                self.bias.zero_()


class MaxUnpooling(nn.Module):
    """The partial inverse of a max pooling: each value goes back to where its maximum was, the rest is zero."""

    def __init__(self, in_channels: int, out_channels: int, scale: int = 2) -> None:
        super().__init__()
        self.scale = scale
        self.convolution = nn.Conv2d(in_channels, out_channels, 1) if in_channels != out_channels else nn.Identity()

    def forward(self, features: Tensor, indices: Tensor) -> Tensor:
        """Features `(N, out_channels, scale H, scale W)`, by the pooling's `indices` `(N, out_channels, H, W)`."""
        unpooled: Tensor = functional.max_unpool2d(self.convolution(features), indices, [self.scale, self.scale])
        return unpooled
