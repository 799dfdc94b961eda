"""Encoders are found by name, make features of the promised shapes, and say what works where they cannot be had."""

from __future__ import annotations

import json

import pytest
import torch

from napari_fcn import registry
from napari_fcn.errors import InputError, UnknownNameError
from napari_fcn.models.encoders import check_weights, encoder_range, make_encoder, offline_encoders, resolve

LITE0 = "tf_efficientnet_lite0"


def test_the_default_works_offline() -> None:
    assert offline_encoders()[0] == LITE0
    assert "classic" not in offline_encoders(), "it has no pretrained weights"


def test_lists_say_what_each_thing_is() -> None:
    """What tables of the command line and the documentation are made of, also as JSON."""
    for entry in registry.encoders.values():
        assert {"offline", "licence", "paper", "source"} <= set(entry.details), entry.name
        json.dumps(dict(entry.details))
    for entry in registry.weights.values():
        assert {"offline", "licence", "source", "channels", "normalization"} <= set(entry.details), entry.name
        json.dumps(dict(entry.details))
    assert {name for name, entry in registry.encoders.items() if entry.details.get("extra") == "lite"} == {
        "tf_efficientnet_lite1",
        "tf_efficientnet_lite2",
    }
    assert "non-commercial" in registry.encoders["mit_b0"].details["licence"]
    assert registry.encoders["resnet50"].details["other_licences"]["swsl"].startswith("CC-BY-NC")


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18", "convnext_tiny", "resnet18d", "efficientnet-b0"])
def test_other_encoders_are_known_by_name_and_need_no_network_without_weights(name: str) -> None:
    resolve(name)
    if name in ("resnet18", "resnet18d"):
        assert len(make_encoder(name, "none", 2).eval()(torch.rand(1, 2, 64, 64))) == 6


def test_features_have_the_promised_channels_and_no_parameter_is_without_use() -> None:
    encoder = make_encoder("efficientnet-b0", "none", 4)
    features = encoder(torch.rand(2, 4, 64, 64))
    assert [f.shape[1] for f in features] == encoder.out_channels
    assert [f.shape[2] for f in features] == [64, 32, 16, 8, 4, 2]
    features[-1].sum().backward()
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


def test_the_classic_encoder_takes_its_own_settings() -> None:
    encoder = make_encoder("classic", "none", 5, depth=3, width=8, convolutions=1, norm="group")
    features = encoder(torch.rand(1, 5, 40, 48))
    assert [tuple(f.shape[1:]) for f in features] == [(8, 40, 48), (16, 20, 24), (32, 10, 12), (64, 5, 6)]
    assert [f.shape[1] for f in features] == list(encoder.out_channels)
    dilated = make_encoder("classic", "none", 1, depth=4, width=4, output_stride=8)
    assert dilated(torch.rand(1, 1, 64, 64))[-1].shape[-1] == 8


def test_the_classic_encoder_has_no_pretrained_weights() -> None:
    for ask in (lambda: make_encoder("classic", "imagenet", 3), lambda: encoder_range("classic", "imagenet")):
        with pytest.raises(InputError, match=r"^The encoder 'classic' has no ImageNet weights; use weights 'none'\.$"):
            ask()


def test_encoders_without_imagenet_weights_say_so_before_anything_is_downloaded() -> None:
    with pytest.raises(InputError, match=r"'efficientnet_b6' has no ImageNet weights; use weights 'none'\."):
        make_encoder("efficientnet_b6", "imagenet", 3)
    with pytest.raises(InputError, match=r"'dpn68b' has no ImageNet weights; use weights 'none' or 'imagenet\+5k'"):
        check_weights("dpn68b", "imagenet")


@pytest.mark.parametrize(
    ("name", "answer"),
    [("resnt18", "resnet18"), ("resnet18.a1_in", "resnet18.a1_in1k"), ("clasic", "classic"), ("tu-clasic", "classic")],
)
def test_unknown_encoders_are_answered_with_the_nearest(name: str, answer: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no encoder '{name}'; the nearest is '{answer}'"):
        resolve(name)


def test_a_network_that_cannot_serve_is_refused_with_one_that_can() -> None:
    with pytest.raises(InputError, match=f"vit_base_patch16_224.*use '{LITE0}'"):
        make_encoder("vit_base_patch16_224", "none", 3)


@pytest.mark.parametrize(
    ("name", "weights", "mean", "std"),
    [
        # Means over the colours of what the weights' publishers say.
        (LITE0, "imagenet", 0.5, 0.5),
        ("tf_efficientnet_lite2", "imagenet", 0.5, 0.5),
        ("resnet18", "imagenet", (0.485 + 0.456 + 0.406) / 3, (0.229 + 0.224 + 0.225) / 3),
        ("resnet18", "a1_in1k", (0.485 + 0.456 + 0.406) / 3, (0.229 + 0.224 + 0.225) / 3),
        ("efficientnet-b0", "advprop", 0.5, 0.5),
        ("inceptionv4", "imagenet", 0.5, 0.5),
        ("tu-inception_v4", "imagenet", 0.5, 0.5),
        ("dpn68", "imagenet", (124 + 117 + 104) / 3 / 255, 0.2348),
    ],
)
def test_a_photograph_reaches_the_encoder_as_in_its_training(name: str, weights: str, mean: float, std: float) -> None:
    """Whichever way a photograph is standardised, `gain * z + offset` is what the publisher's normalisation gives."""
    gain, offset = encoder_range(name, weights)
    photograph = torch.linspace(0, 1, 11)
    standardised = (photograph - 0.449) / 0.226
    torch.testing.assert_close(gain * standardised + offset, (photograph - mean) / std, atol=0.01, rtol=0.01)


def test_random_and_satellite_weights_take_standardised_values_as_they_are() -> None:
    assert encoder_range("resnet18", "none") == (1, 0)
    assert encoder_range(LITE0, "none") == (1, 0)
    assert encoder_range("efficientnet-b4", "csmask-6b-l2a") == (1, 0)
