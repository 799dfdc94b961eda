"""Starting from a segmenter: what fits is the segmenter's, what does not is fresh, and the notes say which is which."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_fcn.config import ModelConfig
from napari_fcn.data import ClassTable, Normalization
from napari_fcn.data.classes import LabelClass
from napari_fcn.errors import InputError, UnknownNameError
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.base import Network
from napari_fcn.models.filling import adapt_channels, adapt_first_convolution
from napari_fcn.registry import architectures
from napari_fcn.segmenter import Segmenter
from napari_fcn.training.start import (
    Start,
    builds_pretrained,
    model_options,
    start_from,
    value_range,
)

LITE0 = "tf_efficientnet_lite0"
CLASSIC = {"architecture": "unet-classic", "width": 8, "depth": 2}
FCN = {"architecture": "fcn8s"}
SUMMED = {"architecture": "deeplabv2"}
"""Its decoder scores the classes; it has no other last layer."""
NETWORKS = [{}, FCN, {"architecture": "deeplabv3plus"}, SUMMED, CLASSIC]


def config(**settings: Any) -> ModelConfig:
    return ModelConfig(**{"weights": "none", **settings})


def table(*values: int) -> ClassTable:
    """Classes in the given order, which tables from labels always have rising."""
    return ClassTable(tuple(LabelClass(value, f"class {value}", "#000000") for value in values))


@functools.lru_cache(maxsize=8)
def segmenter(*values: int, channels: int = 3, **settings: Any) -> Segmenter:
    """One as after a training: statistics are not those of a new network, and no kernel is a plain interpolation."""
    model = config(**settings)
    random = torch.Generator().manual_seed(1)
    torch.manual_seed(1)
    network = build(NetworkSpec(model, channels, len(values)), pretrained=False).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1, generator=random)
                module.running_var.uniform_(0.5, 1.5, generator=random)
                module.num_batches_tracked.fill_(7)
            elif isinstance(module, nn.ConvTranspose2d):
                module.weight.add_(torch.randn(module.weight.shape, generator=random), alpha=0.1)
            if getattr(module, "bias", None) is not None:
                module.bias.normal_(0, 0.1, generator=random)
    return Segmenter(network, model, channels, table(*values), Normalization("image", 0.9, 0.1))


def started(
    init: Segmenter, *values: int, channels: int = 3, **settings: Any
) -> tuple[Network, dict[str, Tensor], Start]:
    """A network that starts from `init`, what it was before, and what was said."""
    spec = NetworkSpec(config(**settings), channels, len(values))
    torch.manual_seed(2)
    network = build(spec, pretrained=False).eval()
    before = state(network)
    return network, before, start_from(network, spec, table(*values), init)


def state(network: Network) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def image(channels: int = 3, seed: int = 3) -> Tensor:
    return torch.randn(1, channels, 96, 64, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def logits(network: Network, images: Tensor) -> Tensor:
    return network(images)


def close(found: Tensor, expected: Tensor) -> None:
    """Equal but for the order of sums, and not because everything is the same anyway."""
    assert expected.std() > 1e-3
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))


# The same network


@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_the_same_network_is_the_segmenter(settings: dict[str, Any]) -> None:
    init = segmenter(0, 1, 2, **settings)
    network, _, start = started(init, 0, 1, 2, **settings)
    count = len(init.network.state_dict())
    assert start == Start(
        count, count, True, True, True, (f"Started from a segmenter: all {count} tensors were taken over.",)
    )
    assert torch.equal(logits(network, image()), logits(init.network, image()))
    assert all(torch.equal(tensor, init.network.state_dict()[name]) for name, tensor in network.state_dict().items())


def test_the_segmenter_stays_what_it_is() -> None:
    init = segmenter(0, 1, 2)
    before = state(init.network)
    network, *_ = started(init, 2, 5, 0, channels=4)
    same, *_ = started(init, 0, 1, 2)
    with torch.no_grad():
        for parameter in [*network.parameters(), *same.parameters()]:
            parameter.add_(1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in init.network.state_dict().items())
    assert not init.network.training


@pytest.mark.parametrize("encoder", ["resnet18", "mit_b0"])
def test_no_random_numbers_are_used_up(encoder: str) -> None:
    """These encoders draw some wherever they are made."""
    init = segmenter(0, 1, encoder=encoder)
    network = build(spec := NetworkSpec(config(encoder=encoder), 4, 3), pretrained=False)
    before = torch.get_rng_state()
    start_from(network, spec, table(1, 0, 2), init)
    assert torch.equal(torch.get_rng_state(), before)


# Classes


@pytest.mark.parametrize("settings", NETWORKS, ids=str)
def test_classes_in_another_order_are_the_same_classes(settings: dict[str, Any]) -> None:
    init = segmenter(0, 3, 7, **settings)
    network, _, start = started(init, 7, 0, 3, **settings)
    assert start.complete
    assert start.taken == start.total
    close(logits(network, image()), logits(init.network, image())[:, [2, 0, 1]])


@pytest.mark.parametrize("name", architectures)
def test_a_class_more_changes_nothing_for_the_known_ones(name: str) -> None:
    """In every architecture; in those that enlarge scores, a new class starts by giving nothing to the others."""
    encoder = architectures[name].details.get("encoder", "test_efficientnet")  # timm's smallest
    init = segmenter(4, 9, architecture=name, encoder=encoder)
    network, _, start = started(init, 4, 6, 9, architecture=name, encoder=encoder)
    close(logits(network, image())[:, [0, 2]], logits(init.network, image()))
    assert not start.complete
    assert start.taken == start.total
    assert start.encoder_taken
    assert start.notes == (
        f"Started from a segmenter: all {start.total} tensors were taken over; the last layer is new for the class 6.",
    )


def test_rows_of_new_classes_are_fresh() -> None:
    init = segmenter(0, 1)
    network, before, start = started(init, 1, 2, 0)
    weight, old = network.head[0].weight, init.network.head[0].weight
    assert torch.equal(weight[[2, 0]], old)
    assert torch.equal(weight[1], before["head.0.weight"][1])
    assert start.encoder_taken
    assert start.decoder_taken


@pytest.mark.parametrize("settings", [FCN, SUMMED], ids=str)
def test_a_decoder_that_scores_classes_is_not_taken_when_one_is_new(settings: dict[str, Any]) -> None:
    init = segmenter(0, 1, **settings)
    assert not started(init, 0, 1, 2, **settings)[2].decoder_taken
    assert started(init, 1, 0, **settings)[2].decoder_taken


def test_kernels_from_classes_to_classes_stay_sensible() -> None:
    """By hand: known to known as learnt, new to new bilinear interpolation, nothing between them."""
    init = segmenter(5, 8, **FCN)
    network, _, _ = started(init, 8, 2, 5, **FCN)
    weight = network.decoder.upsampling[0].weight
    old = init.network.decoder.upsampling[0].weight
    for new_from, old_from in ((0, 1), (2, 0)):
        for new_to, old_to in ((0, 1), (2, 0)):
            assert torch.equal(weight[new_from, new_to], old[old_from, old_to])
        assert not weight[new_from, 1].any()
        assert not weight[1, new_from].any()
    line = torch.tensor([0.25, 0.75, 0.75, 0.25])
    torch.testing.assert_close(weight[1, 1], line[:, None] * line)


@pytest.mark.parametrize("settings", [{}, SUMMED, CLASSIC], ids=str)
def test_a_class_fewer_leaves_the_others(settings: dict[str, Any]) -> None:
    init = segmenter(0, 1, 2, 3, **settings)
    network, _, start = started(init, 3, 1, **settings)
    close(logits(network, image()), logits(init.network, image())[:, [3, 1]])
    assert not start.complete
    assert start.encoder_taken
    assert start.decoder_taken
    assert "the last layer leaves out the classes 0 and 2." in start.notes[0]


def test_a_class_fewer_where_classes_give_to_classes() -> None:
    init = segmenter(0, 1, 2, **FCN)
    network, _, start = started(init, 0, 2, **FCN)
    torch.testing.assert_close(network.head.weight, init.network.head.weight[[0, 2]][:, [0, 2]], rtol=0, atol=0)
    assert start.taken == start.total


def test_other_classes_have_a_new_last_layer() -> None:
    init = segmenter(0, 1)
    network, before, start = started(init, 5, 6)
    after = network.state_dict()
    assert torch.equal(after["head.0.weight"], before["head.0.weight"])
    assert (start.taken, start.complete) == (start.total - 2, False)
    assert start.notes == (
        f"Started from a segmenter: {start.total - 2} of {start.total} tensors were taken over; "
        f"the last layer is new, because the classes are others.",
    )


def test_many_new_classes_are_counted() -> None:
    start = started(segmenter(0, 1, **CLASSIC), *range(8), **CLASSIC)[2]
    assert "the last layer is new for 6 classes." in start.notes[0]


def test_sizes_that_are_the_number_of_classes_by_accident_are_left_alone() -> None:
    """The network is 8 channels wide, for images of 8 channels, and has 8 classes, three of them others."""
    init = segmenter(*range(8), channels=8, **CLASSIC)
    network, before, start = started(init, *range(3, 11), channels=8, **CLASSIC)
    old, new = init.network.state_dict(), network.state_dict()
    assert all(torch.equal(new[name], old[name]) for name in new if not name.startswith("head."))
    assert torch.equal(new["head.weight"][:5], old["head.weight"][3:])
    assert torch.equal(new["head.weight"][5:], before["head.weight"][5:])
    assert "the last layer is new for the classes 8, 9 and 10." in start.notes[0]


# Channels


@pytest.mark.parametrize(
    ("kernel", "adapted"),
    [
        ([1, 2, 4], [7]),
        ([1, 2, 4], [1.5, 3]),
        ([1, 2, 4], [1, 2, 4, 0]),
        ([1, 2, 4], [1, 2, 4, 0, 0, 0]),
        ([1, 2, 3, 6], [12]),
        ([1, 2, 3, 6], [2, 4]),
        ([6], [2, 2, 2]),
        ([5], [5]),
        ([3, 5], [3, 5]),
    ],
    ids=str,
)
def test_first_kernels_for_other_channels(kernel: list[float], adapted: list[float]) -> None:
    """Counted by hand."""
    found = adapt_channels(torch.tensor(kernel).reshape(1, -1, 1, 1).float(), len(adapted))
    assert found.shape == (1, len(adapted), 1, 1)
    assert found.flatten().tolist() == adapted


@pytest.mark.parametrize("count", [1, 2, 3])
def test_colours_are_adapted_as_published_weights_are(count: int) -> None:
    kernel = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(adapt_channels(kernel, count), adapt_first_convolution(kernel, count))


@pytest.mark.parametrize(("before", "now"), [(3, 1), (1, 3), (3, 4), (2, 5), (1, 2)])
def test_equal_channels_give_the_same_response(before: int, now: int) -> None:
    kernel = torch.randn(5, before, 3, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(adapt_channels(kernel, now).sum(dim=1), kernel.sum(dim=1))


@pytest.mark.parametrize("settings", [{}, FCN, CLASSIC], ids=str)
@pytest.mark.parametrize(("before", "now"), [(3, 1), (1, 3)])
def test_a_grey_image_gives_the_same_in_one_channel_and_in_three(
    settings: dict[str, Any], before: int, now: int
) -> None:
    init = segmenter(0, 1, channels=before, **settings)
    network, _, start = started(init, 0, 1, channels=now, **settings)
    grey = image(channels=1)
    close(logits(network, grey.expand(-1, now, -1, -1)), logits(init.network, grey.expand(-1, before, -1, -1)))
    assert start.encoder_taken
    assert not start.complete
    assert start.taken == start.total
    made = f"{before} channel{'s' if before == 3 else ''}"
    assert start.notes[1] == f"The first layer, made for {made}, was adapted to {now}."


def test_a_channel_more_changes_nothing_until_it_is_learnt() -> None:
    init = segmenter(0, 1, channels=3)
    network, _, start = started(init, 0, 1, channels=4)
    images = torch.cat([image(), image(1, seed=9)], dim=1)
    close(logits(network, images), logits(init.network, image()))
    assert "the first 3 are taken to be the same" in start.notes[1]
    network(images).square().sum().backward()
    first = next(parameter for parameter in network.encoder.parameters() if parameter.ndim == 4)
    assert first.grad[:, 3].any(), "it can be learnt"


def test_channels_and_classes_at_once() -> None:
    init = segmenter(1, 2, channels=1)
    network, _, start = started(init, 0, 1, 2, channels=2)
    grey = image(channels=1)
    close(logits(network, grey.expand(-1, 2, -1, -1))[:, 1:], logits(init.network, grey))
    assert len(start.notes) == 2


# Other networks


@pytest.mark.parametrize("name", ["fpn", "deeplabv3plus", "manet"])
def test_another_architecture_takes_the_encoder(name: str) -> None:
    """And nothing else, though MA-Net's decoder has tensors with the names and shapes of U-Net's."""
    init = segmenter(0, 1)
    network, before, start = started(init, 0, 1, architecture=name)
    old, new = init.network.state_dict(), network.state_dict()
    encoder = [name for name in new if name.startswith("encoder.")]
    assert all(torch.equal(new[name], old[name]) for name in encoder)
    assert all(torch.equal(new[name], before[name]) for name in set(new) - set(encoder))
    assert start == Start(
        taken=len(encoder),
        total=len(new),
        complete=False,
        encoder_taken=True,
        decoder_taken=False,
        notes=(
            f"Started from a segmenter: {len(encoder)} of {len(new)} tensors were taken over; "
            f"the decoder and the last layer are new, because the architecture is another.",
        ),
    )


def test_another_encoder_takes_what_fits_of_the_decoder() -> None:
    init = segmenter(0, 1)
    network, before, start = started(init, 0, 1, encoder="resnet18")
    old, new = init.network.state_dict(), network.state_dict()
    assert all(torch.equal(new[name], before[name]) for name in new if name.startswith("encoder."))
    # The second convolution of each level sees none of the encoder's channels; the first one does.
    assert torch.equal(new["decoder.blocks.3.conv2.0.weight"], old["decoder.blocks.3.conv2.0.weight"])
    assert torch.equal(new["decoder.blocks.0.conv1.0.weight"], before["decoder.blocks.0.conv1.0.weight"])
    assert torch.equal(new["head.0.weight"], old["head.0.weight"])
    assert not start.encoder_taken
    assert not start.decoder_taken
    assert 0 < start.taken < start.total
    assert (
        "the encoder is new, because it is another one; part of the decoder is new, to fit the encoder"
        in (start.notes[0])
    )


def test_a_sister_of_the_encoder_is_another_one() -> None:
    """Many of its tensors have the same names and shapes, and mixing two trained encoders would spoil both."""
    init = segmenter(0, 1)
    network, before, start = started(init, 0, 1, encoder="tf_efficientnet_lite1")
    shared = [
        name
        for name, tensor in init.network.encoder.state_dict().items()
        if name in network.encoder.state_dict() and network.encoder.state_dict()[name].shape == tensor.shape
    ]
    assert len(shared) > 100
    assert all(torch.equal(tensor, before[f"encoder.{name}"]) for name, tensor in network.encoder.state_dict().items())
    assert not start.encoder_taken


def test_another_name_of_the_same_encoder_is_the_same() -> None:
    assert started(segmenter(0, 1), 0, 1, encoder=f"tu-{LITE0}")[2].complete


def test_a_deeper_network_has_new_levels() -> None:
    """By hand: a level has two convolutions of 1 + 5 tensors; a decoder's also has an operator with weight and bias."""
    init = segmenter(0, 1, **CLASSIC)
    network, before, start = started(init, 0, 1, **{**CLASSIC, "depth": 3})
    new = network.state_dict()
    assert start.taken == start.total - 12 - 14
    assert "part of the encoder is new, because its settings are others" in start.notes[0]
    assert "part of the decoder is new, because its settings are others" in start.notes[0]
    level = [name for name in new if name.startswith("encoder.levels.3.")]
    assert len(level) == 12
    assert all(torch.equal(new[name], before[name]) for name in level)
    assert new["encoder.levels.2.1.1.num_batches_tracked"] == 7


def test_a_shallower_network_is_not_the_segmenter() -> None:
    start = started(segmenter(0, 1, **CLASSIC), 0, 1, **{**CLASSIC, "depth": 1})[2]
    assert start.taken == start.total
    assert not start.complete


def test_a_last_layer_is_not_kept_without_its_decoder() -> None:
    """With transposed convolutions the decoder's blocks have other names."""
    init = segmenter(0, 1)
    network, before, start = started(init, 0, 1, 2, upsampling="transposed")
    assert torch.equal(network.head[0].weight, before["head.0.weight"])
    assert start.encoder_taken
    assert start.taken == sum(name.startswith("encoder.") for name in before)
    assert start.notes[0].endswith(
        "the decoder is new, because its settings are others; the last layer is new, because its settings are others."
    )


@pytest.mark.parametrize(
    ("before", "now", "sentence"),
    [
        (
            {"encoder": "resnet18"},
            {"architecture": "fpn"},
            "it is 'unet' on 'resnet18', and 'fpn' on 'tf_efficientnet_lite0' was asked for; "
            "keep its encoder 'resnet18' or architecture 'unet'.$",
        ),
        (CLASSIC, {**CLASSIC, "width": 12}, "keep its width 8.$"),
        (CLASSIC, {"encoder": "classic"}, "keep its architecture 'unet-classic'.$"),
    ],
)
def test_nothing_that_fits_is_one_sentence(before: dict[str, Any], now: dict[str, Any], sentence: str) -> None:
    spec = NetworkSpec(config(**now), 3, 2)
    network = build(spec, pretrained=False)
    untouched = state(network)
    with pytest.raises(InputError, match=f"Nothing of the segmenter to start from fits.*{sentence}"):
        start_from(network, spec, table(0, 1), segmenter(0, 1, **before))
    assert all(torch.equal(tensor, untouched[name]) for name, tensor in network.state_dict().items())


def test_an_encoder_that_computes_while_it_is_made() -> None:
    """SegFormer's takes numbers out of tensors, which a device without values cannot do."""
    init = segmenter(0, 1, encoder="mit_b0")
    network, _, start = started(init, 1, 2, 0, encoder="mit_b0")
    close(logits(network, image())[:, [2, 0]], logits(init.network, image()))
    assert start.encoder_taken


# Options


@pytest.mark.parametrize(
    ("before", "given", "expected"),
    [
        ({}, {}, config()),
        ({}, {"architecture": None, "steps": 3}, config()),
        ({"architecture": "fpn", "upsampling": "bilinear"}, {}, config(architecture="fpn", upsampling="bilinear")),
        ({"upsampling": "bilinear"}, {"upsampling": "nearest"}, config(upsampling="nearest")),
        (
            {"upsampling": "transposed", "upsampling_kernel": 4},
            {"upsampling": "transposed"},
            config(upsampling="transposed", upsampling_kernel=4),
        ),
        ({"upsampling": "transposed", "upsampling_kernel": 4}, {"upsampling": "nearest"}, config()),
        ({"upsampling": "transposed"}, {"architecture": "fpn"}, config(architecture="fpn")),
        (
            {"encoder": "resnet18"},
            {"architecture": "deeplabv3", "output_stride": 8},
            config(architecture="deeplabv3", output_stride=8, encoder="resnet18"),
        ),
        ({}, {"encoder": "resnet18"}, ModelConfig(encoder="resnet18", weights="imagenet")),
        ({}, {"encoder": "resnet18", "weights": "ssl"}, ModelConfig(encoder="resnet18", weights="ssl")),
        ({}, {"encoder": f"tu-{LITE0}"}, config(encoder=f"tu-{LITE0}")),
        ({}, {"architecture": "unet-classic", "width": 8}, config(architecture="unet-classic", width=8)),
        (CLASSIC, {}, config(**CLASSIC)),
        (CLASSIC, {"architecture": "unet"}, config(encoder="classic")),
        ({}, {"weights": "none"}, config()),
        ({}, {"weights": "csmask-4b-l2a"}, ModelConfig(encoder="efficientnet-b4", weights="csmask-4b-l2a")),
        (
            {"weights": "mine.safetensors"},
            {"architecture": "fpn"},
            ModelConfig(architecture="fpn", weights="mine.safetensors"),
        ),
    ],
    ids=str,
)
def test_options_are_the_segmenters_unless_given(
    before: dict[str, Any], given: dict[str, Any], expected: ModelConfig
) -> None:
    assert ModelConfig(**model_options(segmenter(0, 1, **before), given)) == expected


@pytest.mark.parametrize(
    ("given", "error", "sentence"),
    [
        ({"weights": "imagenet"}, InputError, "come from the segmenter .* leave out `weights`.* Got 'imagenet'"),
        ({"architecture": "u-net"}, UnknownNameError, "nearest is 'unet'"),
        ({"encoder": "tf_efficientnet_lite"}, UnknownNameError, "nearest is 'tf_efficientnet_lite"),
    ],
)
def test_options_that_cannot_be(given: dict[str, Any], error: type[InputError], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        model_options(segmenter(0, 1), given)


def test_the_range_goes_with_the_encoder() -> None:
    """lite0 learnt from (photograph - 0.5) / 0.5: gain 0.226 / 0.5, offset (0.449 - 0.5) / 0.5."""
    init = segmenter(0, 1)
    assert value_range(init, ModelConfig(architecture="fpn")) == (0.9, 0.1)
    assert value_range(segmenter(0, 1, encoder="resnet18"), ModelConfig()) == pytest.approx((0.452, -0.102))
    assert value_range(init, ModelConfig(architecture="unet-classic")) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"weights": "imagenet"}, {}, False),
        ({"weights": "imagenet"}, {"architecture": "deeplabv3plus"}, False),
        ({"encoder": "resnet18", "weights": "imagenet"}, {"encoder": "resnet18"}, False),
        ({"weights": "imagenet"}, {"encoder": "resnet18"}, True),
        ({"weights": "imagenet"}, {"encoder": "resnet18", "weights": "none"}, False),
        (CLASSIC, {**CLASSIC, "weights": "mine.safetensors", "depth": 1}, False),
        (CLASSIC, {**CLASSIC, "weights": "mine.safetensors", "depth": 3}, True),
    ],
    ids=str,
)
def test_published_weights_are_read_only_when_they_are_needed(
    before: dict[str, Any], now: dict[str, Any], expected: bool
) -> None:
    assert builds_pretrained(segmenter(0, 1, **before), ModelConfig(**now)) is expected
