"""The autoencoder's own affairs: everything goes through the code, max unpooling over VGG, files as weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_fcn.config import ModelConfig
from napari_fcn.errors import InputError
from napari_fcn.models import NetworkSpec, build


def network(channels: int = 2, **settings: object):
    torch.manual_seed(0)
    model = ModelConfig("autoencoder", weights="none", **settings)
    return build(NetworkSpec(model, channels, channels)).eval()


@pytest.mark.parametrize("encoder", ["classic", "resnet18", "tf_efficientnet_lite0"])
def test_nothing_reaches_the_output_but_the_code(encoder: str) -> None:
    made = network(encoder=encoder, depth=3, code=5)
    images = torch.rand(1, 2, 32, 48)
    features = made.features(images)
    code = made.decoder.encode(features)
    assert code.shape == (1, 5, 4, 6)
    with torch.inference_mode():
        torch.testing.assert_close(made.judge(made.decoder.decode(code)), made(images))


@pytest.mark.parametrize(("encoder", "depth"), [("vgg11", 5), ("vgg11_bn", 3), ("classic", 2)])
def test_unpooling_puts_each_value_where_the_encoder_found_its_maximum(encoder: str, depth: int) -> None:
    """One pooling of torch, beside what the network hands on: places of the maxima of its own features."""
    made = network(encoder=encoder, upsampling="max_unpool", depth=depth)
    features = made.features(torch.rand(2, 2, 64, 64))
    indices = made.decoder.indices(features)
    assert len(indices) == depth
    for size in ((33, 20), (1, 1)):
        assert made(torch.rand(1, 2, *size)).shape == (1, 2, *size)
    for level in range(depth):
        pooled, expected = nn.functional.max_pool2d(features[level], 2, return_indices=True)
        assert torch.equal(indices[level], expected)
        enlarge = made.decoder.upsampling[level]
        same = nn.functional.max_unpool2d(pooled, expected, 2)
        enlarge.convolution = nn.Identity()
        put_back = enlarge(pooled, indices[level])
        assert torch.equal(put_back, same)
        assert torch.equal(put_back[put_back != 0], features[level][put_back != 0])
        assert int((put_back != 0).sum()) <= pooled.numel()


def test_attention_that_takes_many_places_together_sees_small_images_too() -> None:
    made = network(encoder="mit_b0", depth=3)
    with torch.inference_mode():
        assert made(torch.rand(1, 2, 5, 37)).shape == (1, 2, 5, 37)


def test_vgg_has_the_same_tensors_with_and_without_indices() -> None:
    names = [set(network(encoder="vgg11", upsampling=u).encoder.state_dict()) for u in ("max_unpool", "nearest")]
    assert names[0] == names[1]


def test_encoders_without_max_poolings_are_refused_with_what_works() -> None:
    with pytest.raises(InputError, match=r"'max_unpool' needs .* 'classic' or a VGG.* Got 'resnet18'; use 'nearest'"):
        network(encoder="resnet18", upsampling="max_unpool")


def test_code_belongs_to_autoencoders() -> None:
    assert ModelConfig("autoencoder").code == 128
    with pytest.raises(InputError, match=r"`code` can be chosen for autoencoder, not for 'unet'. Got 8"):
        ModelConfig("unet", code=8)
