"""An exported segmenter is the segmenter: in ONNX Runtime, as QGIS's Deepness runs it, and read back."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import napari_fcn as fcn
from napari_fcn import registry, samples
from napari_fcn.cli import main
from napari_fcn.config import ModelConfig
from napari_fcn.errors import InputError, OutputError
from napari_fcn.export.onnx_file import OPSET, TILE, deepness_metadata, export_onnx
from napari_fcn.export.reading import load_any
from napari_fcn.export.traceable import Cut, Exported, _Pooling
from napari_fcn.models import NetworkSpec, build

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def exported(segmenter: fcn.Segmenter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "model.onnx"
    assert export_onnx(segmenter, path) >= 0.999
    return path


def deepness(path: Path, image: np.ndarray) -> np.ndarray:
    """Class numbers `(H, W)` of an image `(H, W, C)`, as Deepness's manual and source describe it."""
    spec = importlib.util.spec_from_file_location("exported", ROOT / "benchmarks" / "exported.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    found: np.ndarray = benchmark.deepness(path, image)
    return found


def test_deepness_gives_the_segmenters_labels(segmenter: fcn.Segmenter, image: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "qgis.onnx"
    export_onnx(segmenter, path, side=96, resolution=1000)
    large = np.concatenate([np.tile(image, (1, 1, 2)), image[:, :48].repeat(2, axis=2)], axis=1)  # 144 x 192
    odd = large[:, :120, :150]  # Deepness fills its last tiles with 0
    for picture in (image, large, odd, image[:, :60, :33]):
        found = segmenter.classes.to_values(deepness(path, picture.transpose(1, 2, 0)))
        assert found.shape == picture.shape[1:]
        assert (found == segmenter.predict(picture, "CYX")).mean() >= 0.999
        assert len(np.unique(found)) > 1


@pytest.mark.parametrize("nodata", [0, 9999])
@pytest.mark.parametrize(("rows", "side"), [(148, 64), (150, 160)])
def test_deepness_takes_missing_pixels_as_this_program_does(
    rows: int, side: int, nodata: int, segmenter: fcn.Segmenter, image: np.ndarray, tmp_path: Path
) -> None:
    """Of several rows of tiles where they are whole strides, for Deepness counts from the lower end, else of one."""
    normalization = dataclasses.replace(segmenter.normalization, nodata=float(nodata))
    segmenter = dataclasses.replace(segmenter, normalization=normalization)
    export_onnx(segmenter, tmp_path / "qgis.onnx", side=side, resolution=1000)
    holes = np.tile(image, (1, 2, 2))[:, :rows]
    holes[:, 20:40, 30:60] = nodata
    holes[:, 70:, 5:50] = nodata
    labels = segmenter.predict(holes, "CYX")
    found = segmenter.classes.to_values(deepness(tmp_path / "qgis.onnx", holes.transpose(1, 2, 0)))
    there = (holes != nodata).any(axis=0)
    assert (labels[~there] == segmenter.nodata_value).all()
    assert (found == labels)[there].mean() >= 0.999


def test_deepness_gives_a_trained_networks_map_in_several_tiles(tmp_path: Path) -> None:
    """Of a real scene, 250 x 250 pixels in eight bands, whose sides are no multiples of anything."""
    landsat = samples.load("landsat")
    scene = landsat.train_images[0]
    trained = fcn.train(
        scene, landsat.train_labels[0], axes="YXC", zero="unlabelled", normalization="dataset", validation=0.0,
        architecture="unet-classic", depth=1, width=8, loss="cross_entropy", augment="flips", steps=30, batch_size=4,
        patch_size=64, seed=0,
    )  # fmt: skip
    expected = trained.predict(scene, "YXC")
    assert len(np.unique(expected)) >= 4
    for side in (64, 128):
        export_onnx(trained, tmp_path / f"{side}.onnx", side=side, resolution=3000)
        found = trained.classes.to_values(deepness(tmp_path / f"{side}.onnx", scene))
        assert (found == expected).mean() >= 0.999


def test_the_command_line_tells_the_usual_tile(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    assert f"side of the tiles (deepness; {TILE})" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_deepness_gives_the_usual_networks_map_in_several_tiles(tmp_path: Path) -> None:
    """In the tiles that an export asks for by itself, four here; the segmenter sees this image as one."""
    tissue = samples.load("nuclei")
    trained = fcn.train(
        tissue.train_images, tissue.train_labels, axes="YXC", normalization="dataset", steps=20, batch_size=4,
        patch_size=64, seed=0,
    )  # fmt: skip
    parts = [np.concatenate(list(images), axis=1) for images in (tissue.train_images[:3], tissue.test_images[:3])]
    picture = np.concatenate([*parts, *parts[::-1]])[:896]  # whole strides: Deepness counts tiles from the lower end
    export_onnx(trained, tmp_path / "qgis.onnx", side=TILE, resolution=1000)
    found = trained.classes.to_values(deepness(tmp_path / "qgis.onnx", picture))
    assert picture.shape[0] > TILE < picture.shape[1]
    assert (found == trained.predict(picture, "YXC")).mean() >= 0.999
    assert np.bincount(found.ravel()).min() > found.size / 50


def test_tiles_overlap_by_what_a_network_sees(segmenter: fcn.Segmenter) -> None:
    """A network of small windows needs little of it; one that sees all of its image takes the most there is."""
    small = json.loads(deepness_metadata(segmenter, side=256, resolution=None)["tiles_overlap"])
    assert 15 <= small <= 25
    torch.manual_seed(0)
    model = ModelConfig("deeplabv3plus", "test_resnet", "none")
    network = build(NetworkSpec(model, 2, 3)).eval()
    wide = dataclasses.replace(segmenter, network=network, model=model)
    assert json.loads(deepness_metadata(wide, side=256, resolution=None)["tiles_overlap"]) > small


def test_deepness_gets_every_key_as_the_type_that_it_reads(segmenter: fcn.Segmenter, tmp_path: Path) -> None:
    """Keys and types of docs/source/creators/creators_add_metadata_to_model.rst, and `tile_size` as its code has it."""
    path = tmp_path / "qgis.onnx"
    export_onnx(segmenter, path, side=64, resolution=1000)
    facts = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    values = {key: json.loads(text) for key, text in facts.items()}
    kinds = {
        "model_type": str, "class_names": dict, "resolution": (int, float), "tile_size": int, "tiles_size": int,
        "tiles_overlap": int, "standardization_mean": list, "standardization_std": list, "seg_thresh": float,
        "seg_small_segment": int,
    }  # fmt: skip
    assert {key for key in values if key != "napari_fcn"} == set(kinds)
    for key, kind in kinds.items():
        assert isinstance(values[key], kind), key
    assert values["model_type"] == "Segmentor"
    assert (values["resolution"], values["tile_size"], values["tiles_size"]) == (1000, 64, 64)
    assert values["class_names"] == {"0": "forest", "1": "town", "2": "water"}
    # Tiles begin at multiples of the network's stride, here 4: moved by less, it would see other pixels together.
    assert 15 <= values["tiles_overlap"] <= 50
    assert int(64 * values["tiles_overlap"] / 100 * 2) // 2 % 4 == 0
    for key in ("standardization_mean", "standardization_std"):
        assert [type(value) for value in values[key]] == [float, float]


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


def test_of_a_filled_tile_the_image_is_mirrored() -> None:
    """Up to the network's stride; each image of a batch at its own beginning and end."""
    fills = torch.tensor([[-1.0, -2.0]])
    tiles = torch.randn(4, 2, 16, 16)
    fill = fills[0][:, None, None]
    tiles[0, :, :11], tiles[0, :, :, 6:] = fill, fill
    tiles[1] = fill
    tiles[2, :, :15] = fill
    tiles[3, :, 3:7] = fill  # in the middle it is an image
    seen: list[torch.Tensor] = []

    class Seen(torch.nn.Identity):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            seen.append(image)
            return image

    assert Cut(Seen(), fills, fills[:0], 4)(tiles[:1]).shape == (1, 2, 16, 16)
    expected = np.pad(tiles[0, :, 11:, :6].numpy(), ((0, 0), (0, 3), (0, 2)), mode="reflect")
    np.testing.assert_array_equal(seen[0][0], expected)
    found = Cut(torch.nn.Identity(), fills, fills[:0], 4)(tiles)
    assert torch.equal(found[0, :, 11:, :6], tiles[0, :, 11:, :6])
    assert torch.equal(found[2], tiles[2, :, 15:].expand(2, 16, 16))
    assert torch.equal(found[3], tiles[3])
    assert torch.equal(Cut(torch.nn.Identity(), fills, fills, 4)(tiles)[3, :, 3:7], torch.zeros(2, 4, 16))


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


@pytest.mark.parametrize("place", ["weights", "attribute", "function", "sparse weights"])
def test_weights_in_other_files_are_not_looked_for(place: str, tmp_path: Path) -> None:
    """Wherever in the model they are: a path could lead to any file of the machine."""
    path = tmp_path / "external.onnx"
    model = threshold(path)
    tensor = onnx.TensorProto()
    tensor.CopyFrom(model.graph.initializer[0])
    onnx.external_data_helper.set_external_data(tensor, location="../../etc/passwd")
    constant = onnx.helper.make_node("Constant", [], ["c"], value=tensor)
    match place:
        case "weights":
            model.graph.initializer[0].CopyFrom(tensor)
        case "attribute":
            model.graph.node.append(constant)
        case "function":
            opset = [onnx.helper.make_opsetid("", OPSET)]
            model.functions.append(onnx.helper.make_function("own", "f", [], ["c"], [constant], opset))
        case "sparse weights":
            model.graph.sparse_initializer.append(onnx.SparseTensorProto(values=tensor, dims=[2]))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="keeps its weights in other files, whose paths are not followed"):
        load_any(path)


def test_an_onnx_file_is_no_start(tmp_path: Path) -> None:
    from napari_fcn.export.start import read_start

    threshold(tmp_path / "a.onnx")
    with pytest.raises(InputError, match=r"can be predicted with, but .* become no segmenter"):
        read_start(tmp_path / "a.onnx", {})


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\x08"])
def test_what_is_no_onnx_file_is_said(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.onnx"):
        load_any(path)


def test_a_segmenter_without_fixed_statistics_asks_for_images(segmenter: fcn.Segmenter, tmp_path: Path) -> None:
    bare = dataclasses.replace(segmenter, normalization=dataclasses.replace(segmenter.normalization, dataset=None))
    with pytest.raises(InputError, match="--images"):
        export_onnx(bare, tmp_path / "model.onnx")
    with pytest.raises(InputError, match=r"multiple of 32\. Got 50"):
        export_onnx(segmenter, tmp_path / "model.onnx", side=50)
