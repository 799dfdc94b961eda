"""Every architecture leaves PyTorch: as a program of `torch.export`, and as an ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch

from napari_fcn import registry
from napari_fcn.config import DEFAULT_ENCODER, ModelConfig
from napari_fcn.models import NetworkSpec, build

pytestmark = [
    pytest.mark.slow,
    # The exporters' own affairs.
    pytest.mark.filterwarnings("ignore:::torch.onnx", "ignore:::onnxscript", "ignore:::onnx_ir", "ignore:::copyreg"),
]

# Every architecture over its own or timm's smallest encoder, and every kind of encoder under the usual architecture.
PAIRS = [
    *((name, entry.details.get("encoder", "test_efficientnet")) for name, entry in registry.architectures.items()),
    *(("unet", encoder) for encoder in (DEFAULT_ENCODER, "resnet18", "classic")),
]


@pytest.mark.parametrize(("name", "encoder"), PAIRS)
def test_exports_compute_the_same(name: str, encoder: str, tmp_path: Path) -> None:
    check(tmp_path, name, encoder)


def test_max_unpooling_exports(tmp_path: Path) -> None:
    check(tmp_path, "unet-classic", "classic", upsampling="max_unpool")


def check(folder: Path, name: str, encoder: str, **settings: Any) -> None:
    torch.manual_seed(0)
    network = build(NetworkSpec(ModelConfig(name, encoder, "none", **settings), 2, 3)).eval()
    image = torch.rand(1, 2, 70, 64)
    with torch.inference_mode():
        expected = network(image)
    tolerance = 1e-4 * max(1.0, float(expected.abs().max()))  # random first values may make large logits
    program = torch.export.export(network, (image,))
    with torch.inference_mode():
        assert float((program.module()(image) - expected).abs().max()) <= tolerance
    path = folder / "network.onnx"
    torch.onnx.export(program, dynamo=True, verbose=False).save(path)
    session = onnxruntime.InferenceSession(path)
    (found,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    assert float(np.abs(found - expected.numpy()).max()) <= tolerance
