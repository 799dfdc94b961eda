"""`predict` on files that are read and written by pieces: every kind of result, and going on after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import numpy as np
import pytest
import tifffile
import torch
import zarr

from napari_fcn.config import ModelConfig
from napari_fcn.data import ClassTable, Normalization
from napari_fcn.io import read_image, read_labels
from napari_fcn.models import NetworkSpec, build
from napari_fcn.segmenter import Segmenter

from .test_verbs import COMMAND


def small_segmenter() -> Segmenter:
    """Three classes, random weights that decide between them, and little to compute."""
    torch.manual_seed(1)
    model = ModelConfig(architecture="unet-classic", depth=1, width=4, convolutions=1)
    network = build(NetworkSpec(model, 1, 3)).eval()
    with torch.no_grad():
        network.head.weight *= 8
    classes = ClassTable.from_labels([np.array([3, 7, 9])], zero="unlabelled")
    return Segmenter(network, model, 1, classes, Normalization("image"))


@pytest.fixture
def work(tmp_path):
    small_segmenter().save(tmp_path / "model.safetensors")
    image = np.random.default_rng(0).integers(0, 200, (1100, 700), np.uint8)
    zarr.create_array(str(tmp_path / "image.zarr"), data=image, chunks=(256, 256), dimension_names=["y", "x"])
    return tmp_path


def options(work, output, *more):
    images = ("--images", work / "image.zarr", "--output", work / output)
    return ("predict", "--model", work / "model.safetensors", *images, "--device", "cpu", *more)


def test_all_results_in_all_formats(run, work):
    small = ("--tile-size", 128, "--overlap", 32)
    assert run(*options(work, "a.tif", *small)).code == 0
    expected = read_labels(work / "a.tif")
    assert expected.shape == (1100, 700)
    with tifffile.TiffFile(work / "a.tif") as tiff:
        assert tiff.pages.first.is_tiled
    outcome = run(
        *options(work, "b.ome.zarr", *small),
        "--probabilities", work / "p.npy", "--uncertainty", work / "u.tif", "--uncertainty-measure", "margin", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.json["probabilities"] == [str(work / "p.npy")]
    scores = np.load(work / "p.npy")
    np.testing.assert_array_equal(np.array([3, 7, 9])[scores.argmax(axis=0)], expected)
    best = np.sort(scores, axis=0)
    np.testing.assert_allclose(read_image(work / "u.tif").array, 1 - (best[-1] - best[-2]), atol=1e-6)
    np.testing.assert_array_equal(read_labels(work / "b.ome.zarr"), expected)
    group = zarr.open_group(work / "b.ome.zarr", mode="r")
    scales = group.attrs["ome"]["multiscales"][0]["datasets"]
    assert [each["path"] for each in scales] == ["0", "1", "2"]
    np.testing.assert_array_equal(group["2"][...], expected[::4, ::4])
    assert scales[2]["coordinateTransformations"][0]["scale"] == [4, 4]
    assert not [path for path in work.iterdir() if path.name.startswith(".")]


def test_a_geotiff_keeps_its_place(run, work):
    rasterio = pytest.importorskip("rasterio")
    transform = rasterio.Affine(30.0, 2.0, 500000.0, 1.5, -30.0, 4100000.0)
    pixels = np.random.default_rng(0).integers(1, 200, (600, 530), np.uint16)
    pixels[:100] = 0
    with rasterio.open(
        work / "place.tif", "w", driver="GTiff", width=530, height=600, count=1, dtype="uint16", nodata=0,
        crs="EPSG:32615", transform=transform,
    ) as file:  # fmt: skip
        file.write(pixels, 1)
    images = ("--images", work / "place.tif", "--output", work / "out.tif")
    assert run("predict", "--model", work / "model.safetensors", *images, "--device", "cpu").code == 0
    with rasterio.open(work / "out.tif") as file:
        assert file.crs.to_epsg() == 32615
        assert file.transform.almost_equals(transform)
        assert file.nodata == 0
        labels = file.read(1)
    assert (labels[:100] == 0).all()
    assert np.isin(labels[100:], (3, 7, 9)).all()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_file(run, work):
    narrow = np.random.default_rng(0).integers(0, 200, (600, 250), np.uint8)
    zarr.create_array(str(work / "image.zarr"), data=narrow, chunks=(256, 250), overwrite=True, dimension_names="yx")
    settings = ("--tile-size", 64, "--overlap", 32, "--tta", "--probabilities")
    assert run(*options(work, "whole.tif", *settings, work / "whole.npy")).code == 0
    killed = options(work, "killed.tif", *settings, work / "killed.npy")
    process = subprocess.Popen([*COMMAND, *map(str, killed)], stderr=subprocess.PIPE)
    journal = work / ".killed.tif.partial" / "journal"
    end = time.monotonic() + 300
    while not (journal.exists() and journal.read_text()) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (work / "killed.tif").exists()
    assert not (work / "killed.npy").exists()
    wrong = run(*killed, "--resume", "--overlap", 16)
    assert wrong.code == 2
    assert "begun with another overlap" in wrong.err
    assert run(*killed, "--resume").code == 0
    for name in ("tif", "npy"):
        assert (work / f"killed.{name}").read_bytes() == (work / f"whole.{name}").read_bytes()
    assert not [path for path in work.iterdir() if path.name.startswith(".")]
    assert run(*killed, "--resume").code == 0  # nothing is left to do
