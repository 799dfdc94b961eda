"""GeoTIFF to napari to GeoTIFF keeps the place to the bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_fcn.errors import InputError
from napari_fcn.geo import GeoInfo, RasterArray, read_info, write_geotiff
from napari_fcn.geo.layers import get_reader, place, write_layer

rasterio = pytest.importorskip("rasterio")
UTM = rasterio.crs.CRS.from_epsg(32615).to_wkt()
NORTH_UP = (30.0, 0.0, 462405.1, 0.0, -30.0, 1741815.7)
ROTATED = (20.0, 3.0, 462405.1, 4.0, -25.0, 1741815.7)


@pytest.mark.parametrize("transform", [NORTH_UP, ROTATED])
@pytest.mark.parametrize("bands", [1, 3, 4])
def test_there_and_back(bands: int, transform: tuple[float, ...], tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    names = tuple(f"band {n}" for n in range(bands))
    pixels = np.random.default_rng(0).integers(0, 255, (bands, 40, 50)).astype(np.uint8)
    info = GeoInfo(UTM, transform, 40, 50, "uint8", names, 3.0)
    write_geotiff(source, pixels, info, nodata=3, bands=names)
    with rasterio.open(source, "r+") as data:
        data.build_overviews([2])
    reader = get_reader(str(source))
    assert reader is not None
    ((levels, settings, kind),) = reader(str(source))
    assert kind == "image"
    layer = Image(levels, **settings)
    assert layer.multiscale
    assert layer.rgb == (bands == 3)
    # The first pixel's centre, by the formula of the transform, with y turned around.
    a, b, c, d, e, f = transform
    first = layer.data_to_world((0,) * layer.ndim)[-2:]
    far = layer.data_to_world((0,) * (layer.ndim - 2) + (10, 20))[-2:]
    np.testing.assert_allclose(first, (-(f + 0.5 * d + 0.5 * e), c + 0.5 * a + 0.5 * b))
    np.testing.assert_allclose(far, (-(f + 20.5 * d + 10.5 * e), c + 20.5 * a + 10.5 * b))
    data, state, _ = layer.as_layer_data_tuple()
    (written,) = write_layer(str(tmp_path / "b.tif"), data, state)
    with rasterio.open(written) as again:
        np.testing.assert_array_equal(again.read(), pixels)
        assert tuple(again.transform)[:6] == transform
        assert (again.crs, again.nodata) == (rasterio.crs.CRS.from_wkt(UTM), 3)
        assert again.descriptions == names


def test_bands_that_are_called_red_green_and_blue_are_shown_in_colour_too(tmp_path: Path) -> None:
    names = ("Blue", "Green", "Red", "nir")
    pixels = np.random.default_rng(0).integers(100, 9000, (4, 40, 50)).astype(np.uint16)
    pixels[:, :5] = 0
    write_geotiff(
        tmp_path / "a.tif", pixels, GeoInfo(UTM, NORTH_UP, 40, 50, "uint16", names, 0.0), nodata=0, bands=names
    )
    reader = get_reader(str(tmp_path / "a.tif"))
    assert reader is not None
    (bands, settings, _), (colours, view, kind) = reader(str(tmp_path / "a.tif"))
    assert bands.shape == (4, 40, 50)
    assert (kind, view["name"]) == ("image", "a in colour")
    layer = Image(colours, **view)
    assert layer.rgb
    np.testing.assert_allclose(layer.data_to_world((3, 4)), Image(bands, **settings).data_to_world((0, 3, 4))[1:])
    for channel, band in enumerate((2, 1, 0)):
        low, high = np.percentile(pixels[band][pixels[band] > 0], [2, 98])
        expected = np.clip((pixels[band] - low) / (high - low), 0, 1) * 255
        np.testing.assert_allclose(np.asarray(colours)[..., channel], expected, atol=0.51)


def test_opening_reads_a_small_part_of_a_large_raster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the range of values nor a look at a corner of one band reads everything."""
    info = GeoInfo(UTM, NORTH_UP, 6000, 5000, "uint8", ("red", "green", "blue", ""), 0.0)
    profile = {"driver": "GTiff", "width": 5000, "height": 6000, "count": 4, "dtype": "uint8", "nodata": 0}
    with rasterio.open(
        tmp_path / "a.tif", "w", tiled=True, SPARSE_OK=True, crs=UTM, transform=rasterio.Affine(*NORTH_UP), **profile
    ) as data:
        for number, name in enumerate(info.bands, 1):
            data.set_band_description(number, name)
        data.write(np.full((4, 512, 512), 9, np.uint8), window=rasterio.windows.Window(0, 0, 512, 512))
    read: list[int] = []
    slicing = RasterArray.__getitem__

    def counted(self: RasterArray, key: object) -> np.ndarray:
        found = slicing(self, key)
        read.append(found.size)
        return found

    monkeypatch.setattr(RasterArray, "__getitem__", counted)
    reader = get_reader(str(tmp_path / "a.tif"))
    assert reader is not None
    (bands, _, _), (colours, _, _) = reader(str(tmp_path / "a.tif"))
    assert sum(read) < 0.01 * bands.size
    read.clear()
    assert (np.asarray(bands[2, :300, :400]) == 9).all()
    assert sum(read) <= 1024 * 1024
    read.clear()
    assert np.asarray(colours[:300, :400]).shape == (300, 400, 3)
    assert sum(read) <= 3 * 1024 * 1024


def test_a_raster_that_is_cut_short_is_one_sentence(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (2, 900, 900)).astype(np.uint8)
    write_geotiff(tmp_path / "a.tif", pixels, GeoInfo(UTM, NORTH_UP, 900, 900, "uint8", ()))
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:400_000])
    reader = get_reader(str(tmp_path / "b.tif"))
    if reader is not None:  # the directory is at the file's start
        with pytest.raises(InputError, match=r"b\.tif' cannot be read"):
            reader(str(tmp_path / "b.tif"))


def test_negative_labels_and_a_class_0_are_kept(tmp_path: Path) -> None:
    info = GeoInfo(UTM, NORTH_UP, 2, 3, "uint8", ("",))
    facts = {"geo": info.to_json(), "classes": [{"value": 0, "name": "ground", "color": "#102030"}]}
    values = np.array([[-1, 0, 300], [0, 0, 2]])
    data, state, _ = Labels(values, metadata=facts).as_layer_data_tuple()
    write_layer(str(tmp_path / "a.tif"), data, state)
    with rasterio.open(tmp_path / "a.tif") as again:
        np.testing.assert_array_equal(again.read(1), values)
        assert again.nodata is None  # it would hide the class


def test_labels_painted_over_a_raster_are_written_at_its_place(tmp_path: Path) -> None:
    info = GeoInfo(UTM, NORTH_UP, 6, 7, "uint8", ("",))
    write_geotiff(tmp_path / "a.tif", np.zeros((6, 7), np.uint8), info)
    values = np.arange(42).reshape(6, 7) % 4
    table = [{"value": n, "name": f"thing {n}", "color": "#102030"} for n in (1, 2, 3)]
    facts = {"geo": read_info(tmp_path / "a.tif").to_json(), "classes": table}
    data, state, _ = Labels(values, metadata=facts, **place(info)).as_layer_data_tuple()
    (written,) = write_layer(str(tmp_path / "labels.tif"), data, state)
    with rasterio.open(written) as again:
        np.testing.assert_array_equal(again.read(1), values)
        assert tuple(again.transform)[:6] == NORTH_UP
        assert again.colormap(1)[2] == (16, 32, 48, 255)
    assert "thing 3" in (tmp_path / "labels.qml").read_text()
    with pytest.raises(InputError, match="does not say where on Earth"):
        write_layer(str(tmp_path / "none.tif"), data, {**state, "metadata": {}})


def test_pictures_without_a_place_are_left_to_napari(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), GeoInfo(None, NORTH_UP, 4, 4, "uint8", ()))
    (tmp_path / "b.tif").write_text("no raster")
    assert get_reader(str(tmp_path / "a.tif")) is None
    assert get_reader(str(tmp_path / "b.tif")) is None
    assert get_reader(str(tmp_path / "missing.tif")) is None
