"""Maps on the command line: bands by name, polygons in and out, the same place, names and colours."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import torch
from pyogrio import raw

from napari_fcn import Segmenter
from napari_fcn.config import ModelConfig
from napari_fcn.data import ClassTable, Normalization
from napari_fcn.data.classes import LabelClass
from napari_fcn.data.normalization import Statistics
from napari_fcn.geo import GeoInfo, write_geotiff
from napari_fcn.io import read_labels
from napari_fcn.models import NetworkSpec, build

rasterio = pytest.importorskip("rasterio.features") and pytest.importorskip("rasterio")
UTM = rasterio.crs.CRS.from_epsg(32615).to_wkt()
GRID = GeoInfo(UTM, (30.0, 0.0, 462405.0, 0.0, -30.0, 1741815.0), 96, 128, "int16", ())
NODATA = -9999


GEOMETRY = ("coordinateSystem", "geoTransform", "cornerCoordinates", "size")


def reported(path: str, word: str) -> Any:
    """What GDAL's own program says of a file; nothing where it is not installed."""
    if shutil.which("gdalinfo") is None:
        return None
    found = subprocess.run(["gdalinfo", "-json", path], check=True, capture_output=True, text=True)
    return json.loads(found.stdout)[word]


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """Vegetation on the left: high near infrared; nodata in the upper rows, and in one of the bands here and there."""
    random = np.random.default_rng(0)
    red, nir = random.integers(90, 110, (2, 96, 128)).astype(np.int16)
    nir[:, :64] += 300
    red[:16] = nir[:16] = NODATA
    red[40, 30:90:7] = nir[50, 5] = NODATA
    path = tmp_path / "scene.tif"
    write_geotiff(path, np.stack([red, nir]), GRID, nodata=NODATA, bands=("red", "nir"))
    return path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A segmenter that calls pixels with NDVI above 0.2 class 9."""
    settings = ModelConfig("unet-classic", "classic", "none", width=4, depth=1, convolutions=1, norm="none")
    network = build(NetworkSpec(settings, 1, 2))
    table = ClassTable((LabelClass(4, "bare", "#8c6d31"), LabelClass(9, "green", "#31a354")))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        for part in ("encoder", "decoder"):  # the finest level passes on what it gets
            network.get_parameter(f"{part}.levels.0.0.0.weight")[0, 0, 1, 1] = 1
        network.head.weight[1, 0] = 50
        network.head.bias[1] = -0.5
    normalization = Normalization("dataset", dataset=Statistics(np.array([0.2]), np.array([1.0])))
    path = tmp_path / "model.safetensors"
    Segmenter(network, settings, 1, table, normalization, training={"bands": "NDVI"}).save(path)
    return path


def test_a_scene_becomes_a_map_and_polygons(run, scene: Path, model: Path, tmp_path: Path) -> None:
    labels, scores, regions = tmp_path / "map.tif", tmp_path / "scores.tif", tmp_path / "regions.gpkg"
    unsure = tmp_path / "unsure.tif"
    more = ("--probabilities", scores, "--uncertainty", unsure, "--polygons", regions, "--cog")
    outcome = run("predict", "--model", model, "--images", scene, "--output", labels, *more, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["polygons"] == [str(regions)]
    with (
        rasterio.open(labels) as data,
        rasterio.open(scene) as source,
        rasterio.open(scores) as chances,
        rasterio.open(unsure) as doubts,
    ):
        for each in (data, chances, doubts):
            assert (each.crs, each.transform) == (source.crs, source.transform)
            assert [reported(each.name, word) for word in GEOMETRY] == [
                reported(source.name, word) for word in GEOMETRY
            ]
        missing = (source.read() == NODATA).any(axis=0)  # of an index of both bands
        assert 0 < missing[16:].sum() < missing.sum()
        for each in (chances, doubts):
            assert np.isnan(each.nodata)
            np.testing.assert_array_equal(np.isnan(each.read()), np.broadcast_to(missing, (each.count, 96, 128)))
        np.testing.assert_allclose(chances.read()[:, ~missing].sum(axis=0), 1, rtol=1e-5)
        assert 0 <= doubts.read()[:, ~missing].min() <= doubts.read()[:, ~missing].max() <= 1
        assert doubts.descriptions == ("uncertainty",)
        assert data.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert data.colormap(1)[9] == (0x31, 0xA3, 0x54, 255)
        assert chances.descriptions == ("bare", "green")
        values = data.read(1)
        np.testing.assert_array_equal(values == data.nodata, missing)
        assert (values[16:, :60] == 9).mean() > 0.99
        assert (values[16:, 68:] == 4).mean() > 0.99
    assert "green" in (tmp_path / "map.qml").read_text()
    meta, _, geometry, fields = raw.read(regions)
    columns = dict(zip(meta["fields"], fields, strict=True))
    assert set(columns["name"]) == {"bare", "green"}
    assert columns["area"].sum() == (~missing).sum() * 900
    assert shapely.area(shapely.from_wkb(geometry)).sum() == pytest.approx((~missing).sum() * 900, rel=0.01)
    drawn = rasterio.features.rasterize(
        shapely.from_wkb(geometry), missing.shape, transform=rasterio.Affine(*GRID.transform)
    )
    assert drawn[missing].sum() == 0
    assert ((columns["probability"] > 0.5) & (columns["probability"] <= 1)).all()


def test_polygons_alone_leave_nothing_else(run, scene: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    paths = ("--output", tmp_path / "out" / "map.tif", "--polygons", tmp_path / "out" / "r.geojson")
    outcome = run("predict", "--model", model, "--images", scene, *paths)
    assert outcome.code == 0, outcome.err
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "map.qml",
        "map.tif",
        "map.tif.aux.xml",
        "r.geojson",
    ]


def test_training_on_polygons_keeps_their_names_and_leaves_the_rest_unlabelled(
    run, scene: Path, tmp_path: Path
) -> None:
    a, _, c, _, e, f = GRID.transform
    shapes = [shapely.box(c + a * x, f + e * 70, c + a * (x + 20), f + e * 30) for x in (20, 90)]
    raw.write(
        tmp_path / "areas.gpkg",
        shapely.to_wkb(np.array(shapes)),
        [np.array([3, 4]), np.array(["wood", "soil"])],
        ["fid2", "cover"],
        crs=UTM,
        geometry_type="Polygon",
        driver="GPKG",
    )
    model = tmp_path / "m.safetensors"
    outcome = run(
        *("train", "--images", scene, "--labels", f"{tmp_path}/areas.gpkg:cover", "--output", model),
        *("--bands", "NDVI,nir", "--architecture", "unet-classic", "--width", 4, "--depth", 1, "--augment", "none"),
        *("--steps", 2, "--batch-size", 1, "--patch-size", 64, "--validation", 0),
    )
    assert outcome.code == 0, outcome.err
    segmenter = Segmenter.load(model)
    assert segmenter.classes.names == {1: "soil", 2: "wood"}
    assert segmenter.training["bands"] == "NDVI,nir"
    assert segmenter.training["nodata"] == NODATA
    result = tmp_path / "map.tif"
    assert run("predict", "--model", model, "--images", scene, "--output", result).code == 0
    assert set(np.unique(read_labels(result)[:16])) == {0}


def test_rasters_that_are_no_good_are_one_sentence(refused, run, scene: Path, model: Path, tmp_path: Path) -> None:
    """Bands of two types; a size of terabytes with a few bytes behind it, or with none."""
    import tifffile

    def changed(name: str, **tags: Any) -> Path:
        path = tmp_path / f"{name}.tif"
        path.write_bytes(scene.read_bytes())
        with tifffile.TiffFile(path, mode="r+b") as file:
            for tag, value in tags.items():
                file.pages[0].tags[tag].overwrite(value)
        return path

    mixed = changed("mixed", BitsPerSample=(8, 16))
    huge = changed("huge", ImageWidth=60_000, ImageLength=60_000)
    with tifffile.TiffFile(scene) as file:
        count = len(file.pages[0].dataoffsets)
    nothing = {"TileOffsets": (0,) * count, "TileByteCounts": (0,) * count}
    empty = changed("empty", ImageWidth=60_000, ImageLength=60_000, **nothing)
    for path, message in ((mixed, "All bands must have one type"), (huge, "is cut short"), (empty, "is cut short")):
        predict = ("predict", "--model", model, "--images", path, "--output", tmp_path / "map.tif")
        assert message in refused(*predict)
        train = ("train", "--images", path, "--labels", path, "--output", tmp_path / "m.safetensors")
        assert message in refused(*train)


def test_a_raster_without_reference_system_keeps_its_place(run, refused, model: Path, tmp_path: Path) -> None:
    """Its labels lie where it does, areas are in squares of its unknown unit; polygons do not go on it."""
    from dataclasses import replace

    pixels = np.random.default_rng(0).integers(1, 255, (4, 96, 128)).astype(np.uint8)
    for number, grid in enumerate((GRID, replace(GRID, transform=(20.0, 5.0, 462405.1, 5.0, -20.0, 1741815.7)))):
        path, labels, regions = (tmp_path / f"{number}.{name}" for name in ("in.tif", "map.tif", "gpkg"))
        write_geotiff(path, pixels, replace(grid, crs=None if number == 0 else UTM), bands=("red", "nir", "", ""))
        outcome = run("predict", "--model", model, "--images", path, "--output", labels, "--polygons", regions, "--cog")
        assert outcome.code == 0, outcome.err
        with rasterio.open(labels) as data:
            assert tuple(data.transform)[:6] == grid.transform
            assert data.crs == (None if number == 0 else rasterio.crs.CRS.from_wkt(UTM))
        meta, _, geometry, fields = raw.read(regions)
        area = abs(grid.transform[0] * grid.transform[4] - grid.transform[1] * grid.transform[3]) * 96 * 128
        assert fields[list(meta["fields"]).index("area")].sum() == pytest.approx(area)
        assert shapely.area(shapely.from_wkb(geometry)).sum() == pytest.approx(area, rel=0.01)
    raw.write(
        tmp_path / "p.gpkg", shapely.to_wkb(np.array([shapely.box(462405, 1741000, 463000, 1741815)])), [np.array([3])],
        ["value"], crs=UTM, geometry_type="Polygon", driver="GPKG",
    )  # fmt: skip
    train = ("train", "--images", tmp_path / "0.in.tif", "--labels", tmp_path / "p.gpkg")
    assert "The image states no coordinate reference system" in refused(*train, "--output", tmp_path / "m.safetensors")


def test_pixels_that_files_of_labels_state_to_be_missing_are_not_counted(run, tmp_path: Path) -> None:
    truth, found = np.full((2, 96, 128), 1, np.uint8)
    truth[:48], found[:, 64:] = 2, 2
    truth[:10], found[:, :8] = 255, 0
    write_geotiff(tmp_path / "truth.tif", truth, GRID, nodata=255)
    write_geotiff(tmp_path / "found.tif", found, GRID, nodata=0)
    arguments = ("evaluate", "--predictions", tmp_path / "found.tif", "--labels", tmp_path / "truth.tif", "--json")
    outcome = run(*arguments, "--zero", "unlabelled")
    there = (truth != 255) & (found != 0)
    assert sum(row["pixels"] for row in outcome.json["classes"]) == there.sum()
    assert outcome.json["pixel_accuracy"] == pytest.approx((truth == found)[there].mean())
    assert f"{(~there).sum()} pixels are not counted" in outcome.err
    with_class_0 = run(*arguments).json  # where 0 is a class, it is no hole, whatever the file says
    assert sum(row["pixels"] for row in with_class_0["classes"]) == (truth != 255).sum()


def test_what_maps_cannot_be_made_of_is_said(refused, scene: Path, model: Path, tmp_path: Path) -> None:
    predict = ("predict", "--model", model, "--images", scene, "--output")
    assert ".gpkg or .geojson" in refused(*predict, tmp_path / "a.tif", "--polygons", tmp_path / "r.shp")
    assert "suffix '.tif'" in refused(*predict, tmp_path / "a.png", "--cog")
    train = ("train", "--images", scene, "--output", tmp_path / "m.safetensors", "--labels")
    assert "There is no file of polygons" in refused(*train, tmp_path / "none.gpkg")
    image = np.zeros((96, 128), np.int16)
    write_geotiff(tmp_path / "other.tif", image, GRID)
    assert "the band 'nir', which NDVI needs" in refused(
        "predict", "--model", model, "--images", tmp_path / "other.tif", "--output", tmp_path / "b.tif"
    )


def test_exports_by_command(run, refused, model: Path, scene: Path, tmp_path: Path) -> None:
    outcome = run("export", "--model", model, "--format", "onnx", "--output", tmp_path / "m.onnx", "--json")
    assert outcome.json["agreement"] >= 0.999
    assert run("predict", "--model", tmp_path / "m.onnx", "--images", scene, "--output", tmp_path / "o.tif").code == 0
    assert run("predict", "--model", model, "--images", scene, "--output", tmp_path / "s.tif").code == 0
    assert (read_labels(tmp_path / "o.tif") == read_labels(tmp_path / "s.tif")).mean() > 0.999
    assert "exists already" in refused("export", "--model", model, "--format", "onnx", "--output", tmp_path / "m.onnx")
    assert "belongs to --format deepness" in refused(
        "export", "--model", model, "--format", "onnx", "--tile-size", 64, "--output", tmp_path / "n.onnx"
    )
