"""Prediction: blended tiles give what one pass over the whole image gives, wherever that is defined."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_fcn.config import ModelConfig
from napari_fcn.data import ClassTable, Normalization, Planes
from napari_fcn.errors import InputError
from napari_fcn.inference.engine import choose_engine
from napari_fcn.inference.predict import predict_window
from napari_fcn.inference.tiles import TileGrid
from napari_fcn.models.base import Network
from napari_fcn.segmenter import Segmenter


class Pixelwise(Network):
    """A network without a surrounding: the class of a pixel is whether it is above the mean, so tiles cannot matter."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__(nn.Identity(), nn.Identity(), nn.Conv2d(channels, 2, 1), stride=1)
        with torch.no_grad():
            self.head.weight.zero_()
            self.head.weight[1] = 3.0
            self.head.bias.zero_()


def segmenter(channels: int = 1, values=(3, 7), **normalization) -> Segmenter:
    classes = ClassTable.from_labels([np.array(values)], zero="unlabelled")
    normalization = {"mode": "image", **normalization}
    return Segmenter(Pixelwise(channels), ModelConfig(), channels, classes, Normalization(**normalization))


@settings(max_examples=40)
@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.sampled_from([64, 96, 128]),
    st.integers(0, 32),
    st.sampled_from(["uint8", "int16", "float32", "float64", "bool"]),
)
def test_tiling_changes_nothing(height: int, width: int, tile: int, overlap: int, dtype: str) -> None:
    image = np.random.default_rng(height).integers(0, 2 if dtype == "bool" else 100, (height, width)).astype(dtype)
    model = segmenter()
    labels, scores = model.predict(image, "YX", tile_size=tile, overlap=overlap, device="cpu", probabilities=True)
    whole, expected = model.predict(image, "YX", tile_size=512, overlap=0, device="cpu", probabilities=True)
    assert labels.dtype == np.uint8
    assert set(np.unique(labels)) <= {3, 7}
    np.testing.assert_allclose(scores.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(scores, expected, atol=0.02)  # the engine may compute in bfloat16
    assert (labels == whole).mean() > 0.99


def test_blending_is_the_weighted_mean_of_the_tiles() -> None:
    """Against a plain loop: every tile by itself, added up with its Gaussian, divided by the sum of the weights."""
    torch.manual_seed(0)
    network = Network(nn.Identity(), nn.Conv2d(1, 8, 9, padding=4), nn.Conv2d(8, 3, 5, padding=2), stride=1).eval()
    image = np.random.default_rng(0).normal(size=(1, 150, 200)).astype(np.float32)
    grid = TileGrid(150, 200, tile=64, overlap=16)
    from napari_fcn.data.normalization import Statistics

    unchanged = Statistics(np.zeros(1), np.ones(1))
    regions = predict_window(
        lambda windows: network(torch.from_numpy(windows)).softmax(1).detach(),
        Planes(image, "CYX"),
        0,
        classes=3,
        normalization=Normalization("image"),
        channel_statistics=unchanged,
        grid=grid,
    )
    result = np.full((3, 150, 200), np.nan)
    for region in regions:
        result[:, region.rows, region.columns] = region.probabilities
    axis = (np.arange(64) + 0.5 - 32) / 8
    gaussian = np.exp(-0.5 * axis**2)
    weights, total, expected = np.outer(gaussian, gaussian), np.zeros((150, 200)), np.zeros((3, 150, 200))
    for top in grid.rows:
        for left in grid.columns:
            window = torch.from_numpy(image[None, :, top : top + 64, left : left + 64])
            with torch.inference_mode():
                expected[:, top : top + 64, left : left + 64] += weights * network(window).softmax(1)[0].numpy()
            total[top : top + 64, left : left + 64] += weights
    np.testing.assert_allclose(result, expected / total, atol=1e-5)


@pytest.mark.parametrize("axes", ["YX", "XY", "TYX", "ZTYX", "YXZ", "TZYX"])
def test_labels_have_the_images_axes(axes: str) -> None:
    sizes = {"T": 2, "Z": 3, "Y": 70, "X": 90}
    image = np.random.default_rng(0).normal(size=[sizes[a] for a in axes])
    labels = segmenter().predict(image, axes)
    assert labels.shape == image.shape
    assert ((labels == 7) == (image > image.mean())).mean() > 0.99


def test_channels_are_not_in_the_labels_and_lazy_arrays_are_read() -> None:
    import dask.array as da

    image = np.random.default_rng(0).normal(size=(2, 4, 70, 90))
    model = segmenter(channels=4)
    np.testing.assert_array_equal(model.predict(da.from_array(image), "ZCYX"), model.predict(image, "ZCYX"))
    assert model.predict(image, "ZCYX").shape == (2, 70, 90)
    assert model.predict(image, "ZCYX", probabilities=True)[1].shape == (2, 2, 70, 90)


def test_missing_pixels_are_nodata() -> None:
    image = np.random.default_rng(0).normal(size=(90, 90)).astype(np.float32)
    image[10:30, 5:25] = np.nan
    labels, scores = segmenter().predict(image, probabilities=True)
    assert (labels[10:30, 5:25] == 0).all()
    assert (labels == 0).sum() == 400
    assert np.isfinite(scores).all()
    background = ClassTable.from_labels([np.array([0, 1])], zero="background")
    assert background.nodata_value == 255


def test_progress_rises_to_one_and_can_be_stopped() -> None:
    image = np.random.default_rng(0).normal(size=(2, 300, 70))
    seen: list[float] = []
    segmenter().predict(image, "ZYX", tile_size=64, overlap=0, on_progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert len(seen) == 20
    steps = segmenter().predict_steps(image, "ZYX", tile_size=64, overlap=0)
    next(steps)
    steps.close()


@pytest.mark.parametrize(
    ("image", "axes", "sentence"),
    [
        (np.zeros((9, 9, 3)), "YXC", r"trained on images with 1 channel\. Got 3 .shape .9, 9, 3., axes YXC"),
        (np.full((9, 9), np.nan), "YX", "every pixel is NaN"),
        (np.zeros((9, 9)), "YXC", "a letter for each dimension"),
        (np.zeros((4, 9, 9, 9, 9, 9)), None, "axes of an image .* are not clear"),
    ],
)
def test_bad_input_is_one_sentence(image, axes, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        segmenter().predict(image, axes)


def test_bfloat16_only_where_the_processor_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_fcn.inference import engine

    for has_it, precision in ((True, "bfloat16"), (False, "float32")):
        monkeypatch.setattr(engine, "_cpu_gains_by_bfloat16", lambda has_it=has_it: has_it)
        assert choose_engine("cpu").precision == precision
    with pytest.raises(InputError, match="no device 'tpu' on this machine; it has cpu"):
        choose_engine("tpu")


@pytest.mark.parametrize(
    ("words", "gains"),
    [
        ("GenuineIntel avx512_bf16", False),
        ("GenuineIntel avx512_bf16 amx_bf16", True),
        ("AuthenticAMD avx512_bf16", True),
        ("AuthenticAMD avx2", False),
    ],
)
def test_which_processors_gain_by_bfloat16(monkeypatch: pytest.MonkeyPatch, words: str, gains: bool) -> None:
    from napari_fcn.inference import engine

    monkeypatch.setattr(engine.platform, "system", lambda: "Linux")
    monkeypatch.setattr(engine.Path, "read_text", lambda path, encoding: f"vendor_id : {words}\n")
    assert engine._cpu_gains_by_bfloat16.__wrapped__() is gains


def test_a_plane_that_the_memory_holds_is_one_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seams are where tiles meet, so there are none where they can be avoided."""
    monkeypatch.setattr("napari_fcn.inference.footprint.bytes_per_pixel", lambda *_: 500.0)  # as the usual U-Net

    def tiles(height: int, width: int, **options: object) -> tuple[int, int]:
        grid = segmenter().predictor(np.zeros((height, width), np.uint8), "YX", device="cpu", **options).grid
        return len(grid.rows), len(grid.columns)

    assert tiles(1000, 1030) == tiles(700, 1900) == (1, 1)
    assert min(tiles(1400, 1400)) > 1  # more than 800 MB
    assert min(tiles(1000, 1030, memory=200)) > 1  # as somebody says
    assert tiles(1000, 1030, tile_size=512) == (3, 3)
    few = type("Memory", (), {"available": 800e6})
    monkeypatch.setattr("psutil.virtual_memory", lambda: few)
    assert min(tiles(1000, 1030)) > 1
