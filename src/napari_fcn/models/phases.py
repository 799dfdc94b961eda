"""Atrous convolutions, computed faster on processors.

An atrous convolution at rate d never mixes pixels whose rows or columns differ by other than a multiple of d. So the
image falls into d x d phases, small images of every d-th pixel, each of which is convolved without holes (Yu and Koltun
2016; known as space-to-batch). Processors' libraries are tuned for kernels without holes: without phases, a training
step over the built-in encoder at output stride 8 takes more than twice as long (benchmarks/atrous.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["PhasedConvolution", "use_phases"]


class PhasedConvolution(nn.Conv2d):
    """A `Conv2d` with stride 1 and odd kernel that keeps height and width, computed by phases where that is faster.

    It has the parameters and results of the convolution that it replaces. On other devices than the CPU, in exported
    programs, and where the phases are smaller than the kernel, it computes like that, too.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Features `(N, C, H, W)` to `(N, F, H, W)`."""
        rate, side = self.dilation[0], self.kernel_size[0]
        height, width = input.shape[-2:]
        exported = torch.compiler.is_exporting() or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if input.device.type != "cpu" or exported or min(height, width) // rate < side:
            return super().forward(input)
        count, channels = input.shape[:2]
        # Channels last, as convolutions like it: moving pixels then moves whole vectors.
        pixels = functional.pad(input.permute(0, 2, 3, 1), (0, 0, 0, -width % rate, 0, -height % rate))
        rows, columns = pixels.shape[1] // rate, pixels.shape[2] // rate
        pixels = pixels.reshape(count, rows, rate, columns, rate, channels).permute(0, 2, 4, 1, 3, 5)
        phases = pixels.reshape(count * rate * rate, rows, columns, channels).permute(0, 3, 1, 2)
        found = functional.conv2d(phases, self.weight, self.bias, padding=side // 2, groups=self.groups)
        pixels = found.permute(0, 2, 3, 1).reshape(count, rate, rate, rows, columns, self.out_channels)
        pixels = pixels.permute(0, 3, 1, 4, 2, 5).reshape(count, rows * rate, columns * rate, self.out_channels)
        return pixels[:, :height, :width].permute(0, 3, 1, 2)


def use_phases(module: nn.Module) -> None:
    """Replace the depthwise atrous convolutions inside `module` by equal ones that are computed phase by phase."""
    for name, child in module.named_children():
        if isinstance(child, nn.Conv2d) and _is_suited(child):
            phased = PhasedConvolution(
                child.in_channels,
                child.out_channels,
                side := child.kernel_size[0],
                padding=(rate := child.dilation[0]) * (side // 2),
                dilation=rate,
                groups=child.groups,
                bias=child.bias is not None,
                device="meta",
            )
            phased.weight, phased.bias = child.weight, child.bias
            phased.train(child.training)
            setattr(module, name, phased)
        else:
            use_phases(child)


def _is_suited(convolution: nn.Conv2d) -> bool:
    rate, side = convolution.dilation, convolution.kernel_size
    return (
        type(convolution) is nn.Conv2d
        and rate[0] == rate[1] > 1
        and side[0] == side[1]
        and side[0] % 2 == 1
        and convolution.stride == (1, 1)
        and convolution.padding == (rate[0] * (side[0] // 2),) * 2
        and convolution.padding_mode == "zeros"
        and convolution.groups == convolution.in_channels == convolution.out_channels
    )
