"""A package says truly how its tensors come about, with each of its weights, and packages of others are read."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import yaml

import napari_fcn as fcn
from napari_fcn import Segmenter
from napari_fcn.errors import InputError, OutputError
from napari_fcn.export.bioimageio_writing import export_bioimageio
from napari_fcn.export.reading import load_any


@pytest.fixture(scope="module", params=["dataset", "image"])
def package(request: pytest.FixtureRequest, segmenter: Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bioimageio") / f"{request.param}.zip"
    normalization = dataclasses.replace(segmenter.normalization, mode=request.param)
    export_bioimageio(dataclasses.replace(segmenter, normalization=normalization), path, author="A", licence="MIT")
    return path


def unpack(path: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return yaml.safe_load(files["rdf.yaml"]), files


def prepared(step: dict[str, Any], image: np.ndarray) -> np.ndarray:
    """What the description's words mean: https://bioimage.io, preprocessing of the model format 0.5."""
    facts = step["kwargs"]
    if step["id"] == "zero_mean_unit_variance":
        assert facts["axes"] == ["y", "x"]
        mean, std = image.mean((2, 3), keepdims=True), image.std((2, 3), keepdims=True)
        return ((image - mean) / (std + facts["eps"])).astype(np.float32)
    assert step["id"] == "fixed_zero_mean_unit_variance"
    assert facts["axis"] == "channel"
    mean, std = (np.array(facts[name])[None, :, None, None] for name in ("mean", "std"))
    return ((image - mean) / std).astype(np.float32)


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_every_kind_of_weights_gives_the_tested_output(package: Path) -> None:
    document, files = unpack(package)
    (entry,), (result,) = document["inputs"], document["outputs"]
    image, expected = (np.load(io.BytesIO(files[part["test_tensor"]["source"]])) for part in (entry, result))
    values = prepared(entry["preprocessing"][0], image)
    weights = document["weights"]
    (by_onnx,) = onnxruntime.InferenceSession(files[weights["onnx"]["source"]]).run(None, {"image": values})
    script = torch.jit.load(io.BytesIO(files[weights["torchscript"]["source"]]))
    facts = weights["pytorch_state_dict"]["architecture"]
    network = getattr(importlib.import_module(facts["import_from"]), facts["callable"])(**facts["kwargs"]).eval()
    state = torch.load(io.BytesIO(files[weights["pytorch_state_dict"]["source"]]), weights_only=True)
    network.load_state_dict(state)
    with torch.inference_mode():
        found = [by_onnx, *(each(torch.from_numpy(values)).numpy() for each in (script, network))]
    for each in found:
        np.testing.assert_allclose(each, expected, atol=1e-4)
    assert expected.std() > 0.01  # something other than a constant
    # Other sizes than the recorded one.
    wide = torch.from_numpy(values[..., :64, :96].copy())
    with torch.inference_mode():
        torch.testing.assert_close(script(wide), network(wide), atol=1e-4, rtol=1e-3)


def test_the_description_is_complete(package: Path) -> None:
    document, files = unpack(package)
    named = [document["inputs"][0]["test_tensor"], document["outputs"][0]["test_tensor"], *document["weights"].values()]
    for each in named:
        assert hashlib.sha256(files[each["source"]]).hexdigest() == each["sha256"]
    assert document["outputs"][0]["axes"][1]["channel_names"] == ["forest", "town", "water"]
    assert "## Validation" in files[document["documentation"]].decode()
    assert files["cover.png"].startswith(b"\x89PNG")
    assert [kind for kind, weights in document["weights"].items() if "parent" not in weights] == ["pytorch_state_dict"]
    assert (document["license"], document["authors"]) == ("MIT", [{"name": "A"}])


def test_the_official_description_accepts_it(package: Path) -> None:
    spec = pytest.importorskip("bioimageio.spec")
    summary = spec.validate_format(yaml.safe_load(unpack(package)[0]))
    assert summary.status == "passed"


def test_read_back_it_predicts_the_same(package: Path, segmenter: Segmenter, image: np.ndarray) -> None:
    again = load_any(package)
    assert again.classes == segmenter.classes
    mode = package.stem
    normalization = dataclasses.replace(segmenter.normalization, mode=mode)
    expected = dataclasses.replace(segmenter, normalization=normalization).predict(image, "CYX")
    assert (again.predict(image, "CYX") == expected).mean() >= 0.999


def test_training_starts_from_a_package_of_here(package: Path, segmenter: Segmenter, image: np.ndarray) -> None:
    labels = np.random.default_rng(0).choice(segmenter.classes.values, image.shape[1:]).astype(np.uint8)
    options: dict[str, Any] = {"axes": "CYX", "steps": 1, "patch_size": 32, "batch_size": 1, "validation": 0.0}
    training = fcn.prepare_training(image, labels, init=package, **options)
    assert training.model == segmenter.model
    assert training.examples.classes.names == segmenter.classes.names
    assert re.match(r"Started from a segmenter: all \d+ tensors were taken over", training.notes[0])
    for (name, tensor), wanted in zip(
        training.network.state_dict().items(), segmenter.network.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(tensor.cpu(), wanted.cpu(), msg=name)


def test_training_starts_from_a_package_of_somebody_else(tmp_path: Path) -> None:
    """One whose network is an U-Net of segmentation-models-pytorch; its Python code is not needed, and not run."""
    import segmentation_models_pytorch as smp

    theirs = smp.Unet("resnet18", encoder_weights=None, classes=1, in_channels=1).eval()
    content = io.BytesIO()
    torch.save(theirs.state_dict(), content)
    path = foreign(tmp_path / "other.zip", weights={"pytorch_state_dict": {"source": "own.bin"}})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("own.bin", content.getvalue())
    image, labels = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8), np.eye(64, dtype=np.uint8)
    training = fcn.prepare_training(image, labels, init=path, steps=1, patch_size=32)
    assert f"{str(path)!r} is the network 'unet' on 'resnet18': all" in training.notes[0]
    own = training.network.state_dict()
    torch.testing.assert_close(own["encoder.conv1.weight"].cpu(), theirs.encoder.conv1.weight)
    torch.testing.assert_close(own["head.0.weight"][1:].cpu(), theirs.segmentation_head[0].weight)
    assert training.examples.classes.names == {0: "background", 1: "nucleus"}


def test_a_package_that_cannot_be_started_from_is_said(tmp_path: Path) -> None:
    image = np.zeros((64, 64), np.uint8)
    with pytest.raises(InputError, match="no part that is called encoder or backbone"):  # an ONNX graph without names
        fcn.prepare_training(image, image, init=foreign(tmp_path / "a.zip"), steps=1)
    script = foreign(tmp_path / "b.zip", weights={"torchscript": {"source": "w.pt"}})
    with pytest.raises(InputError, match=r"neither PyTorch nor ONNX weights.*It has torchscript"):
        fcn.prepare_training(image, image, init=script, steps=1)


PREPARATIONS = [
    ([], lambda x: x),
    ([{"id": "scale_linear", "kwargs": {"gain": 0.01, "offset": -1.5}}], lambda x: 0.01 * x - 1.5),
    ([{"id": "zero_mean_unit_variance"}], lambda x: (x - x.mean()) / x.std()),
    (
        [{"id": "scale_range", "kwargs": {"min_percentile": 10, "max_percentile": 90}}, {"id": "ensure_dtype"}],
        lambda x: (x - np.percentile(x, 10)) / (np.percentile(x, 90) - np.percentile(x, 10)),
    ),
]


@pytest.mark.parametrize(("steps", "formula"), PREPARATIONS)
def test_a_package_of_somebody_else_gets_images_as_it_asks(steps: list[Any], formula: Any, tmp_path: Path) -> None:
    path = foreign(tmp_path / "other.zip", steps)
    other = load_any(path)
    image = np.random.default_rng(0).normal(120, 40, (70, 90)).astype(np.float32)
    _, scores = other.predict(image, probabilities=True)
    expected = 1 / (1 + np.exp(-formula(image.astype(np.float64))))
    np.testing.assert_allclose(scores[1], expected, atol=5e-3)
    assert other.classes.names == {0: "background", 1: "nucleus"}


def foreign(path: Path, steps: list[Any] | None = None, **changes: Any) -> Path:
    """A package whose network gives the logistic function of what it gets."""
    import onnx

    kind = onnx.TensorProto.FLOAT
    ends = [onnx.helper.make_tensor_value_info(name, kind, ["n", 1, "h", "w"]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Sigmoid", ["x"], ["y"])], "logistic", ends[:1], ends[1:])
    opset = [onnx.helper.make_opsetid("", 17)]
    axes = [{"type": "batch"}, {"type": "channel", "channel_names": ["nucleus"]}]
    space = [{"type": "space", "id": name, "size": {"min": 16, "step": 16}} for name in "yx"]
    document = {
        "type": "model",
        "format_version": "0.5.3",
        "inputs": [{"id": "x", "axes": axes + space, "preprocessing": steps or []}],
        "outputs": [{"id": "y", "axes": axes + space}],
        "weights": {"onnx": {"source": "w.onnx"}},
        **changes,
    }
    with zipfile.ZipFile(path, "w") as archive:
        model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=8)
        archive.writestr("w.onnx", model.SerializeToString())
        archive.writestr("rdf.yaml", yaml.safe_dump(document))
    return path


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": [{"id": "clip"}]}, "prepares images by 'clip'; known are"),
        ({"steps": [{"id": "clip"}, {"id": "scale_linear"}]}, "in 2 steps"),
        ({"format_version": "0.4.9"}, "format 0.4.9; known is 0.5"),
        ({"type": "dataset"}, "describes no model"),
        ({"weights": {"torchscript": {"source": "w.pt"}}}, "no ONNX weights.*It has torchscript"),
        ({"weights": {"onnx": {"source": "../../etc/passwd"}}}, "outside the package, at '../../etc/passwd'"),
        ({"weights": {"onnx": {"source": "https://example.org/w.onnx"}}}, "outside the package"),
        ({"weights": {"onnx": {"source": "v.onnx"}}}, "lacks the file 'v.onnx'"),
        ({"outputs": []}, "one input, one output and weights"),
    ],
)
def test_what_cannot_be_read_is_said(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        load_any(foreign(tmp_path / "other.zip", **changes))


def test_files_that_are_no_packages_are_said(segmenter: Segmenter, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("no archive")
    with pytest.raises(InputError, match=r"damaged or no BioImage\.IO package"):
        load_any(tmp_path / "text.zip")
    with pytest.raises(InputError, match=r"There is no BioImage\.IO package"):
        load_any(tmp_path / "missing.zip")
    with pytest.raises(InputError, match=r"lacks rdf\.yaml"):
        load_any(tmp_path)
    with pytest.raises(OutputError, match=r"is a \.zip file"):
        export_bioimageio(segmenter, tmp_path / "model.tar")
