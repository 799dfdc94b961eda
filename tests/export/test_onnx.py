"""An exported segmenter is the segmenter: in ONNX Runtime, as QGIS's Deepness runs it, and read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import napari_fcn as fcn
from napari_fcn import registry
from napari_fcn.config import ModelConfig
from napari_fcn.errors import InputError, OutputError
from napari_fcn.export.onnx_file import OPSET, export_onnx
from napari_fcn.export.reading import load_any
from napari_fcn.export.traceable import Exported, _Pooling
from napari_fcn.models import NetworkSpec, build


@pytest.fixture(scope="module")
def exported(segmenter: fcn.Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert export_onnx(segmenter, path) >= 0.999
    return path


def deepness(path: Path, image: np.ndarray) -> np.ndarray:
    """Class numbers of one tile `(S, S, C)`, as Deepness's manual and source describe it.

    Values are divided by 255 whatever their type; the mean is taken off, the deviation divided by; what is below the
    threshold becomes 0; the largest wins. The plugin takes the tile's size from the graph, and it must be a square.
    """
    session = onnxruntime.InferenceSession(str(path))
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["model_type"]) == "Segmentor"
    (entry,), (result,) = session.get_inputs(), session.get_outputs()
    side = entry.shape[-1]
    assert isinstance(side, int)
    assert result.shape[2] == result.shape[3] == side == json.loads(facts["tile_size"])
    assert image.shape == (side, side, entry.shape[-3])
    scaled = np.float32(image[None] * 1.0 / 255.0)
    mean, std = (np.array(json.loads(facts[f"standardization_{name}"]), np.float32) for name in ("mean", "std"))
    values = ((scaled - mean) / std).transpose(0, 3, 1, 2)
    (found,) = session.run(None, {entry.name: values})
    found[found < json.loads(facts["seg_thresh"])] = 0
    names = json.loads(facts["class_names"])
    assert sorted(map(int, names)) == list(range(result.shape[-3]))
    return found.argmax(axis=1)[0]


def test_deepness_gives_the_segmenters_labels(segmenter: fcn.Segmenter, image: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "qgis.onnx"
    export_onnx(segmenter, path, side=96, resolution=1000)
    found = segmenter.classes.to_values(deepness(path, image.transpose(1, 2, 0)))
    assert (found == segmenter.predict(image, "CYX")).mean() >= 0.999
    assert len(np.unique(found)) > 1
    facts = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    assert json.loads(facts["resolution"]) == 1000
    assert json.loads(facts["class_names"]) == {"0": "forest", "1": "town", "2": "water"}
    assert json.loads(facts["tiles_size"]) == 96


def test_read_back_it_predicts_the_same(exported: Path, segmenter: fcn.Segmenter, image: np.ndarray) -> None:
    again = load_any(exported)
    assert again.classes == segmenter.classes
    labels, scores = again.predict(image, "CYX", probabilities=True, tile_size=64, overlap=16)
    expected, wanted = segmenter.predict(image, "CYX", probabilities=True, tile_size=64, overlap=16)
    assert (labels == expected).mean() >= 0.999
    np.testing.assert_allclose(scores, wanted, atol=1e-4)
    with pytest.raises(OutputError, match="keep the file itself"):
        again.save(exported.with_suffix(".safetensors"))


def test_batch_and_size_are_free(exported: Path) -> None:
    session = onnxruntime.InferenceSession(str(exported))
    assert session.get_outputs()[0].shape == ["batch", 3, "height", "width"]
    assert onnx.load(exported).opset_import[0].version == OPSET
    for shape in ((1, 2, 64, 64), (3, 2, 41, 130), (1, 2, 1, 7)):
        (found,) = session.run(None, {"image": np.random.default_rng(1).normal(size=shape).astype(np.float32)})
        assert found.shape == (shape[0], 3, *shape[2:])
        np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["unet-classic", "fcn8s"])
def test_what_is_recorded_is_padded_and_pooled_like_the_network(name: str) -> None:
    torch.manual_seed(0)
    network = build(NetworkSpec(ModelConfig(name, "classic", "none"), 1, 2)).eval()
    module = Exported(network, 2.0, 0.5)
    for height, width in ((64, 64), (33, 100), (5, 70)):
        image = torch.randn(1, 1, height, width)
        with torch.inference_mode():
            expected = network(image * 2 + 0.5).softmax(dim=1)
            torch.testing.assert_close(module(image), expected, atol=1e-5, rtol=1e-4)


def test_pooling_by_matrices_is_adaptive_pooling() -> None:
    features = torch.randn(2, 3, 7, 20)
    for size in (1, 2, (3, 6), 5):
        pooling = torch.nn.AdaptiveAvgPool2d(size)
        torch.testing.assert_close(_Pooling(size)(features), pooling(features), atol=1e-6, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(registry.architectures))
def test_every_architecture_is_right_at_sizes_that_were_not_recorded(
    name: str, segmenter: fcn.Segmenter, tmp_path: Path
) -> None:
    import dataclasses

    torch.manual_seed(0)
    encoder = registry.architectures[name].details.get("encoder") or "test_efficientnet"  # timm's smallest
    model = ModelConfig(name, encoder, "none")
    network = build(NetworkSpec(model, 2, 3)).eval()
    assert export_onnx(dataclasses.replace(segmenter, network=network, model=model), tmp_path / "any.onnx") >= 0.999


def test_nothing_is_written_that_computes_something_else(
    segmenter: fcn.Segmenter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Exported.forward
    monkeypatch.setattr(Exported, "forward", lambda self, image: forward(self, image.flip(1)))
    with pytest.raises(OutputError, match=r"another class for .*% of the pixels.*nothing was written"):
        export_onnx(segmenter, tmp_path / "wrong.onnx")
    assert not list(tmp_path.iterdir())


def test_a_network_of_another_program_is_read_by_deepness_keys(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    threshold(path, class_names='{"0": "dark", "1": "bright"}', standardization_mean="[0.4]")
    other = load_any(path)
    assert other.classes.names == {0: "dark", 1: "bright"}
    image = np.array([[0, 90], [110, 255]], np.uint8)  # 0.4 of 255 is 102
    assert other.predict(image).tolist() == [[0, 0], [1, 1]]


def threshold(path: Path, **facts: str) -> Any:
    """A network that calls values above 0 class 1."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    kernel = onnx.numpy_helper.from_array(np.array([0, 5], np.float32).reshape(2, 1, 1, 1), "kernel")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "kernel"], ["y"]), helper.make_node("Softmax", ["y"], ["z"], axis=1)],
        "threshold",
        [helper.make_tensor_value_info("x", kind, ["n", 1, "h", "w"])],
        [helper.make_tensor_value_info("z", kind, ["n", 2, "h", "w"])],
        [kernel],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8)
    helper.set_model_props(model, facts)
    onnx.save(model, path)
    return model


def test_weights_in_other_files_are_not_looked_for(tmp_path: Path) -> None:
    path = tmp_path / "external.onnx"
    model = threshold(path)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], location="../../etc/passwd")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="keeps its weights in other files, whose paths are not followed"):
        load_any(path)


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x08"])
def test_what_is_no_onnx_file_is_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.onnx"):
        load_any(path)


def test_a_segmenter_without_fixed_statistics_asks_for_images(segmenter: fcn.Segmenter, tmp_path: Path) -> None:
    import dataclasses

    bare = dataclasses.replace(segmenter, normalization=dataclasses.replace(segmenter.normalization, dataset=None))
    with pytest.raises(InputError, match="--images"):
        export_onnx(bare, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"multiple of 32\. Got 50"):
        export_onnx(segmenter, tmp_path / "model.onnx", side=50)
