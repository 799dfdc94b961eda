"""The four upsampling operators, each against numbers worked out by hand, and depthwise separable convolution."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from napari_fcn import registry
from napari_fcn.errors import InputError
from napari_fcn.models.blocks import Convolution, SeparableConvolution, TransposedConvolution, bilinear_kernel

SQUARE = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])


def operator(name: str, in_channels: int = 1, out_channels: int = 1, scale: int = 2, kernel: int | None = None):
    return registry.upsampling[name].target(in_channels, out_channels, scale, kernel)


def rows(image: Tensor) -> list[list[float]]:
    return image[0, 0].tolist()


def test_nearest_repeats() -> None:
    assert rows(operator("nearest")(SQUARE)) == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]


def test_bilinear_interpolates_between_the_centres() -> None:
    """Output centres lie a quarter of a pixel off the input's: 3/4 of the nearer value and 1/4 of the other."""
    assert rows(operator("bilinear")(SQUARE)) == [
        [1, 1.25, 1.75, 2],
        [1.5, 1.75, 2.25, 2.5],
        [2.5, 2.75, 3.25, 3.5],
        [3, 3.25, 3.75, 4],
    ]


def test_max_unpooling_puts_values_where_the_maxima_were() -> None:
    image = torch.tensor([[[[1.0, 9, 0, 2], [3, 4, 7, 5], [8, 0, 1, 1], [2, 6, 1, 3]]]])
    pooled, indices = nn.MaxPool2d(2, return_indices=True)(image)
    assert rows(pooled) == [[9, 7], [8, 3]]
    found = operator("max_unpool")(SQUARE, indices)
    assert rows(found) == [[0, 1, 0, 0], [0, 0, 2, 0], [3, 0, 0, 0], [0, 0, 0, 4]]


def test_transposed_convolution_adds_a_kernel_for_each_value() -> None:
    """Kernel 4, stride 2, padding 1, all ones: output pixel (0, 0) is reached by input (0, 0) alone, (1, 1) by all."""
    enlarge = TransposedConvolution(1, 1, 4, 2)
    nn.init.ones_(enlarge.weight)
    assert rows(enlarge(SQUARE)) == [[1, 3, 3, 2], [4, 10, 10, 6], [4, 10, 10, 6], [3, 7, 7, 4]]


def test_transposed_convolution_starts_as_bilinear_interpolation() -> None:
    image = torch.rand(1, 3, 5, 7)
    for scale in (2, 4, 8):
        enlarge = operator("transposed", 3, 3, scale, 2 * scale)
        expected = operator("bilinear", 3, 3, scale)(image)
        inside = slice(scale, -scale)
        torch.testing.assert_close(enlarge(image)[..., inside, inside], expected[..., inside, inside])
    torch.testing.assert_close(operator("transposed", 3, 3)(image), operator("nearest", 3, 3)(image))


@pytest.mark.parametrize(
    ("kernel", "stride"), [(2, 2), (4, 2), (6, 2), (3, 3), (6, 3), (8, 4), (64, 32), (1, 1), (3, 1)]
)
def test_output_size_is_that_of_the_formula(kernel: int, stride: int) -> None:
    """(i - 1) s + k - 2 p, and one pixel of output padding where k - s is odd; always i s."""
    enlarge = TransposedConvolution(1, 1, kernel, stride)
    (padding, _), (extra, _) = enlarge.padding, enlarge.output_padding
    for side in (1, 5):
        assert (side - 1) * stride + kernel - 2 * padding + extra == side * stride
        assert enlarge(torch.rand(1, 1, side, side)).shape[-1] == side * stride
    assert extra == (kernel - stride) % 2


@pytest.mark.parametrize(("kernel", "near"), [(3, "2, 4"), (1, "2"), (5, "4, 6")])
def test_kernels_that_make_checkerboards_are_refused(kernel: int, near: str) -> None:
    with pytest.raises(InputError, match=f"multiple of its stride 2, .* Got {kernel}; nearest: {near}."):
        operator("transposed", kernel=kernel)


def test_a_kernel_that_fits_makes_no_checkerboard_and_another_would() -> None:
    flat = torch.ones(1, 1, 6, 6)
    fitting = operator("transposed", kernel=4)
    assert fitting(flat)[..., 2:-2, 2:-2].std() < 1e-6
    other = nn.ConvTranspose2d(1, 1, 3, 2, padding=1, output_padding=1, bias=False)
    nn.init.ones_(other.weight)
    assert other(flat)[..., 2:-2, 2:-2].std() > 0.5


@pytest.mark.parametrize(("kernel", "stride"), [(2, 2), (4, 2), (6, 2), (8, 2), (6, 3), (64, 32)])
def test_bilinear_kernel_keeps_constants(kernel: int, stride: int) -> None:
    weights = bilinear_kernel(kernel, stride)
    for y in range(stride):
        for x in range(stride):
            assert float(weights[y::stride, x::stride].sum()) == pytest.approx(1)


@pytest.mark.parametrize("name", list(registry.upsampling))
@pytest.mark.parametrize(("in_channels", "out_channels"), [(8, 8), (8, 4), (8, 3), (4, 6)])
def test_every_operator_changes_channels_and_scale(name: str, in_channels: int, out_channels: int) -> None:
    features = torch.rand(2, in_channels, 5, 3)
    more = []
    if registry.upsampling[name].details.get("needs_indices"):
        more = [nn.MaxPool2d(2, return_indices=True)(torch.rand(2, out_channels, 10, 6))[1]]
    assert operator(name, in_channels, out_channels)(features, *more).shape == (2, out_channels, 10, 6)


def test_channels_of_a_transposed_convolution_start_as_means() -> None:
    image = torch.tensor([1.0, 3, 5, 7]).reshape(1, 4, 1, 1)
    assert operator("transposed", 4, 2)(image)[0, :, 0, 0].tolist() == [2, 6]
    assert operator("transposed", 4, 8)(image)[0, :, 0, 0].tolist() == [1, 1, 3, 3, 5, 5, 7, 7]


@pytest.mark.parametrize(("kernel", "inputs", "kernels"), [(3, 256, 256), (5, 16, 40), (1, 7, 3)])
def test_separable_convolution_has_as_many_weights_as_the_formula_says(kernel: int, inputs: int, kernels: int) -> None:
    """k² C_in + F C_in, where the plain convolution has k² C_in F; a bias adds F."""
    plain = nn.Conv2d(inputs, kernels, kernel)
    assert count(plain) == kernel**2 * inputs * kernels + kernels
    assert count(SeparableConvolution(inputs, kernels, kernel, bias=False)) == kernel**2 * inputs + kernels * inputs
    assert count(SeparableConvolution(inputs, kernels, kernel)) == kernel**2 * inputs + kernels * inputs + kernels


def test_separable_convolution_is_the_plain_one_with_a_factored_kernel() -> None:
    separable = SeparableConvolution(3, 4, 3, dilation=2, bias=False)
    depthwise, pointwise = (p.detach() for p in separable.parameters())
    plain = nn.Conv2d(3, 4, 3, padding=2, dilation=2, bias=False)
    plain.weight.data = pointwise * depthwise[None, :, 0]
    image = torch.rand(1, 3, 9, 9)
    torch.testing.assert_close(separable(image), plain(image))


def test_atrous_convolution_skips_pixels() -> None:
    """A kernel of ones at rate 3 sums the nine pixels three apart (Chen et al. 2015, DeepLab)."""
    convolution = Convolution(1, 1, 3, dilation=3, norm="none")
    nn.init.ones_(convolution[0].weight)
    nn.init.zeros_(convolution[0].bias)
    image = torch.arange(81.0).reshape(1, 1, 9, 9)
    with torch.inference_mode():
        found = convolution(image)
    assert float(found[0, 0, 4, 4]) == float(image[0, 0, 1::3, 1::3].sum())


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
