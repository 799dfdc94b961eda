"""Networks of other programs, taken over whole: the same classes for the same image, and a start for a training."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch

import napari_fcn as fcn
from napari_fcn.cli import main
from napari_fcn.errors import InputError
from napari_fcn.export.reading import load_any
from napari_fcn.export.whole_networks import VOC, find_network, read_network

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def lively(module: Any, seed: int = 0) -> Any:
    """With statistics as if it had learnt, so that classes differ from place to place."""
    torch.manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            layer.weight.data.uniform_(0.5, 1.5)
    return module.eval()


@pytest.fixture(scope="module")
def photograph() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)


def classes_by(module: Any, photograph: np.ndarray) -> np.ndarray:
    """What a program does that has the network and prepares photographs as ImageNet's are."""
    values = ((photograph / 255 - MEAN) / STD).transpose(2, 0, 1)[None].astype(np.float32)
    with torch.inference_mode():
        found = module(torch.from_numpy(values))
    found = found["out"] if isinstance(found, dict) else found
    return ((found[:, 0] > 0).long() if found.shape[1] == 1 else found.argmax(1))[0].numpy()


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [
        ("unet", {"classes": 1}),
        ("fpn", {"classes": 3}),
        ("unet", {"classes": 2, "encoder_depth": 3, "decoder_channels": (64, 32, 16)}),
    ],
)
def test_a_folder_of_save_pretrained_predicts_the_same(
    architecture: str, settings: dict[str, Any], photograph: np.ndarray, tmp_path: Path
) -> None:
    theirs = lively(smp.create_model(architecture, "resnet18", encoder_weights=None, **settings))
    theirs.save_pretrained(str(tmp_path / "net"))
    segmenter = load_any(tmp_path / "net")
    expected = classes_by(theirs, photograph)
    assert len(np.unique(expected)) > 1
    assert (segmenter.predict(photograph, "YXC") == expected).mean() >= 0.999
    again = fcn.Segmenter.load(segmenter.save(tmp_path / "own.safetensors"))
    np.testing.assert_array_equal(again.predict(photograph, "YXC"), segmenter.predict(photograph, "YXC"))


def test_a_state_dict_says_by_its_tensors_what_it_is(photograph: np.ndarray, tmp_path: Path) -> None:
    theirs = lively(smp.Linknet("resnet18", encoder_weights=None, classes=4))
    wrapped = {"epoch": 3, "state_dict": {f"model.{name}": tensor for name, tensor in theirs.state_dict().items()}}
    torch.save(wrapped, tmp_path / "net.pth")
    segmenter, report = read_network(tmp_path / "net.pth", names=["a", "b", "c", "d"])
    assert (segmenter.model.architecture, segmenter.model.encoder, segmenter.channels) == ("linknet", "resnet18", 3)
    assert "'linknet' on 'resnet18': all " in report
    assert segmenter.classes.names[3] == "d"
    assert (segmenter.predict(photograph, "YXC") == classes_by(theirs, photograph)).mean() >= 0.999


@pytest.mark.slow
def test_torchvisions_deeplab_becomes_a_segmenter_by_command_line(photograph: np.ndarray, tmp_path: Path) -> None:
    from torchvision.models.segmentation import deeplabv3_resnet50

    theirs = lively(deeplabv3_resnet50(weights=None, weights_backbone=None, num_classes=21, aux_loss=True))
    torch.save(theirs.state_dict(), tmp_path / "deeplab.pth")
    path = tmp_path / "own.safetensors"
    assert main(["import", "--model", str(tmp_path / "deeplab.pth"), "--output", str(path), "--json"]) == 0
    segmenter = fcn.Segmenter.load(path)
    assert tuple(segmenter.classes.names.values()) == VOC
    assert (segmenter.predict(photograph, "YXC") == classes_by(theirs, photograph)).mean() >= 0.999


def test_of_torchvisions_fcn_the_encoder_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from torchvision.models.segmentation import fcn_resnet50

    theirs = fcn_resnet50(weights=None, weights_backbone=None, num_classes=3)
    torch.save(theirs.state_dict(), tmp_path / "fcn.pth")
    assert main(["import", "--model", str(tmp_path / "fcn.pth"), "--output", str(tmp_path / "own.safetensors")]) == 2
    assert "the encoder 'resnet50' fits wholly (318 tensors); 8 others" in capsys.readouterr().err
    assert not (tmp_path / "own.safetensors").exists()
    image, labels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8), np.eye(64, dtype=np.uint8)
    training = fcn.prepare_training(
        image, labels, init=tmp_path / "fcn.pth", steps=1, patch_size=32, architecture="fcn32s"
    )
    assert training.model.encoder == "resnet50"
    assert "fits wholly" in training.notes[0]
    own = training.network.state_dict()
    torch.testing.assert_close(own["encoder.layer4.2.conv3.weight"].cpu(), theirs.backbone.layer4[2].conv3.weight)


def test_training_goes_on_from_a_folder_with_other_channels(tmp_path: Path) -> None:
    theirs = lively(smp.Unet("resnet18", encoder_weights=None, classes=2, in_channels=4))
    theirs.save_pretrained(str(tmp_path / "net"))
    random = np.random.default_rng(0)
    image, labels = random.integers(0, 4000, (5, 64, 64), np.uint16), random.integers(0, 2, (64, 64), np.uint8)
    settings: dict[str, Any] = {"axes": "CYX", "patch_size": 64, "batch_size": 1, "validation": 0.0}
    training = fcn.prepare_training(image, labels, init=tmp_path / "net", steps=1, **settings)
    assert "'unet' on 'resnet18': all" in training.notes[0]
    assert "made for 4 channels, was adapted to 5" in " ".join(training.notes)
    own = training.network.state_dict()
    torch.testing.assert_close(own["encoder.conv1.weight"][:, :4].cpu(), theirs.encoder.conv1.weight)
    torch.testing.assert_close(own["head.0.weight"].cpu(), theirs.segmentation_head[0].weight)
    for _ in training.run():
        pass
    assert training.segmenter().channels == 5


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    theirs = smp.Unet("resnet18", encoder_weights=None, classes=2, decoder_attention_type="scse")
    torch.save(theirs.state_dict(), tmp_path / "scse.pth")
    assert not find_network(tmp_path / "scse.pth").whole
    with pytest.raises(InputError, match=r"the encoder 'resnet18' fits wholly .* Only whole networks"):
        read_network(tmp_path / "scse.pth")
    with pytest.raises(InputError, match="fits no encoder that was asked for: of 'resnet34', the nearest, "):
        find_network(tmp_path / "scse.pth", encoder="resnet34")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="no part that is called encoder or backbone"):
        find_network(tmp_path / "other.pth")
    (tmp_path / "code.pth").write_bytes(pickle.dumps({"encoder.x": print}))
    with pytest.raises(InputError, match="damaged, or holds Python objects"):
        load_any(tmp_path / "code.pth")
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"holds no model\.safetensors"):
        load_any(tmp_path / "net")
    with pytest.raises(InputError, match="There is no file of weights"):
        load_any(tmp_path / "missing.pth")
