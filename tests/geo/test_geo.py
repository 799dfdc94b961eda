"""Places on Earth come through unchanged, bands are what their names say, and polygons and labels say the same."""

from __future__ import annotations

import dataclasses
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import shapely
from pyogrio import raw

from napari_fcn.data import Planes
from napari_fcn.data.classes import LabelClass
from napari_fcn.data.normalization import missing
from napari_fcn.errors import InputError, OutputError
from napari_fcn.geo import (
    BandStack,
    GeoInfo,
    as_reflectance,
    open_levels,
    parse_bands,
    polygonize,
    rasterize,
    read_info,
    write_geotiff,
    write_sidecars,
)
from napari_fcn.geo.dress import paint, stack_bands
from napari_fcn.geo.raster import to_cog

rasterio = pytest.importorskip("rasterio")
UTM = rasterio.crs.CRS.from_epsg(32615).to_wkt()
GRID = GeoInfo(UTM, (30.0, 0.0, 462405.0, 0.0, -30.0, 1741815.0), 60, 80, "uint8", ())
CLASSES = (LabelClass(2, "forêt", "#31a354"), LabelClass(7, "water <deep>", "#3182bd"))


def write_polygons(path: Path, shapes: list[Any], crs: str | None = UTM, **columns: Any) -> Path:
    fields = {name: np.array(values) for name, values in columns.items()}
    driver = {"gpkg": "GPKG", "geojson": "GeoJSON", "shp": "ESRI Shapefile"}[path.suffix[1:]]
    kinds = {shape.geom_type for shape in shapes}
    raw.write(
        path,
        shapely.to_wkb(np.array(shapes, object)),
        list(fields.values()),
        list(fields),
        crs=crs,
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        driver=driver,
    )
    return path


def box(left: float, top: float, right: float, bottom: float) -> Any:
    """A rectangle in pixels of the grid."""
    a, _, c, _, e, f = GRID.transform
    return shapely.box(c + a * left, f + e * bottom, c + a * right, f + e * top)


def read_polygons(path: Path) -> tuple[dict[str, Any], Any, dict[str, Any]]:
    meta, _, geometry, fields = raw.read(path)
    return meta, shapely.from_wkb(geometry), dict(zip(meta["fields"], fields, strict=True))


# Rasters.


@pytest.mark.parametrize("transform", [GRID.transform, (0.1, 0.0, 1 / 3, 0.0, -0.1, 2 / 3), (3.0, 1.0, 5.0, 1, -3, 7)])
def test_a_raster_keeps_its_place_to_the_bit(transform: tuple[float, ...], tmp_path: Path) -> None:
    info = GeoInfo(UTM, transform, 5, 7, "int16", ("red", ""), -9999.0)
    pixels = np.arange(70, dtype=np.int16).reshape(2, 5, 7)
    write_geotiff(tmp_path / "a.tif", pixels, info, nodata=info.nodata, bands=info.bands)
    again = read_info(tmp_path / "a.tif")
    write_geotiff(tmp_path / "b.tif", open_levels(tmp_path / "a.tif")[0][...], again, nodata=again.nodata)
    for path in (tmp_path / "a.tif", tmp_path / "b.tif"):
        with rasterio.open(path) as data:
            assert tuple(data.transform)[:6] == transform
            assert data.crs == rasterio.crs.CRS.from_wkt(UTM)
            assert data.nodata == -9999
            np.testing.assert_array_equal(data.read(), pixels)
    assert again.bands == ("red", "")
    assert again.rotated == (transform[1] != 0)


def test_a_level_reads_what_it_is_sliced_for(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 99, (3, 40, 50)).astype(np.uint8)
    info = GeoInfo(UTM, GRID.transform, 40, 50, "uint8", ())
    write_geotiff(tmp_path / "a.tif", pixels, info)
    with rasterio.open(tmp_path / "a.tif", "r+") as data:
        data.build_overviews([2, 4])
    levels = open_levels(tmp_path / "a.tif")
    assert [level.shape for level in levels] == [(3, 40, 50), (3, 20, 25), (3, 10, 13)]
    for key in [
        1,
        (0, 3),
        (slice(None), slice(5, 9)),
        (..., slice(3, 40, 7)),
        ([2, 0], slice(None, None, 3), 8),
        (-1,),
    ]:
        np.testing.assert_array_equal(levels[0][key], pixels[key])


def test_labels_are_painted_and_named_and_probabilities_become_bands(tmp_path: Path) -> None:
    import tifffile

    labels = np.zeros((GRID.height, GRID.width), np.uint8)
    labels[:9], labels[20:] = 2, 7
    path = tmp_path / "map.tif"
    write_geotiff(path, labels, GRID, nodata=0)
    assert paint(path, CLASSES)
    to_cog(path, nearest=True)
    write_sidecars(path, CLASSES)
    with rasterio.open(path) as data:
        assert data.colormap(1)[7] == (0x31, 0x82, 0xBD, 255)
        assert data.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (tuple(data.transform)[:6], data.nodata) == (GRID.transform, 0)
        np.testing.assert_array_equal(data.read(1), labels)
    entries = ElementTree.parse(tmp_path / "map.qml").getroot().iter("paletteEntry")  # noqa: S314 - just written
    assert [(e.get("value"), e.get("label"), e.get("color")) for e in entries] == [
        (str(c.value), c.name, c.color) for c in CLASSES
    ]
    table = ElementTree.parse(tmp_path / "map.tif.aux.xml").getroot()  # noqa: S314
    assert [c.text or "" for c in table.iter("Category")] == ["", "", "forêt", *[""] * 4, "water <deep>"]
    assert [row[1].text for row in table.iter("Row")] == ["forêt", "water <deep>"]
    scores = np.random.default_rng(0).random((2, GRID.height, GRID.width), np.float32)
    tifffile.imwrite(tmp_path / "p.tif", scores, photometric="minisblack", metadata={"axes": "CYX"})
    stack_bands(tmp_path / "p.tif", GRID, ["forest", "water"])
    with rasterio.open(tmp_path / "p.tif") as data:
        assert data.descriptions == ("forest", "water")
        np.testing.assert_array_equal(data.read(), scores)


def test_gdal_reads_colours_and_names_from_the_sidecar(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    write_geotiff(path, np.full((4, 4), 7, np.uint8), GeoInfo(UTM, GRID.transform, 4, 4, "uint8", ()))
    with rasterio.open(path) as data:
        assert data.colorinterp[0].name == "gray"
    write_sidecars(path, CLASSES)
    with rasterio.open(path) as data:
        assert data.colorinterp[0].name == "palette"
        assert data.colormap(1)[7] == (0x31, 0x82, 0xBD, 255)
    if shutil.which("gdalinfo") is not None:
        said = subprocess.run(["gdalinfo", str(path)], check=True, capture_output=True, text=True).stdout
        assert re.search(r"Categories:(\s+\d: *){2}\s+2: forêt", said)
        assert said.count("<F>water &lt;deep&gt;</F>") == 1  # in the table of attributes


def test_mixed_types_and_no_raster_are_said(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.zeros((4, 4), np.uint8), GeoInfo(None, GRID.transform, 4, 4, "uint8", ()))
    write_geotiff(tmp_path / "b.tif", np.zeros((4, 4), np.float32), GeoInfo(None, GRID.transform, 4, 4, "uint8", ()))
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{n}"><SimpleSource><SourceFilename relativeToVRT="1">{name}.tif'
        "</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand>"
        for n, (kind, name) in enumerate((("Byte", "a"), ("Float32", "b")), 1)
    )
    (tmp_path / "mixed.vrt").write_text(f'<VRTDataset rasterXSize="4" rasterYSize="4">{bands}</VRTDataset>')
    with pytest.raises(InputError, match=r"must have one type.*float32, uint8"):
        read_info(tmp_path / "mixed.vrt")
    (tmp_path / "text.tif").write_text("no raster")
    with pytest.raises(InputError, match=r"text\.tif' is damaged or no raster"):
        read_info(tmp_path / "text.tif")
    with pytest.raises(OutputError, match="60 x 80"):
        write_geotiff(tmp_path / "c.tif", np.zeros((5, 5), np.uint8), GRID)


# Bands.


def test_indices_are_the_published_formulas() -> None:
    image = np.array([200, 400, 100, 900, 300], np.uint16).reshape(5, 1, 1)
    bands = parse_bands("green=2,NDVI,NDWI,MNDWI,NDBI,red=3", ("blue", "", "", "nir", "swir1"), 5)
    stack = BandStack(image, "CYX", bands)
    expected = [400, (900 - 100) / 1000, (400 - 900) / 1300, (400 - 300) / 700, (300 - 900) / 1200, 100]
    np.testing.assert_allclose(np.asarray(stack).ravel(), expected, rtol=1e-6)
    assert stack.dtype == np.float32


def test_bands_are_chosen_lazily_in_any_layout() -> None:
    image = np.random.default_rng(0).integers(0, 999, (4, 6, 5)).astype(np.uint16)
    chosen = parse_bands("c,a", ("a", "b", "c", "d"), 4)
    for axes, array in (("CYX", image), ("YXC", image.transpose(1, 2, 0)), ("YCX", image.transpose(1, 0, 2))):
        stack = BandStack(array, axes, chosen)
        assert stack.dtype == np.uint16
        planes = Planes(stack, axes)
        np.testing.assert_array_equal(planes.read(0, slice(1, 4), slice(2, 5)), image[[2, 0], 1:4, 2:5])
    np.testing.assert_array_equal(np.asarray(BandStack(image[0], "YX", parse_bands("x=1", (), 1)))[0], image[0])


def test_an_index_of_nodata_is_nodata() -> None:
    image = np.array([[-9999, 10, 0], [-9999, 30, 0]], np.int16)[:, None]
    stack = np.asarray(BandStack(image, "CYX", parse_bands("red=1,nir=2,NDVI", (), 2), nodata=-9999))
    gone = missing(stack, -9999)
    assert gone is not None
    assert gone.tolist() == [[True, False, False]]
    assert stack[2, 0, 1:].tolist() == [0.5, 0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty text"),
        ("nri", "the nearest is 'nir'"),
        ("NDVI", "the band 'red', which NDVI needs"),
        ("red=9", r"'red=9' must name one of the bands 1 to 4"),
        ("red=x", "bands 1 to 4"),
    ],
)
def test_bands_that_are_not_there_are_said(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_bands(text, ("blue", "green", "", "nir"), 4)


# Polygons in.


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp"])
def test_polygons_become_labels_where_they_cover_a_pixels_centre(suffix: str, tmp_path: Path) -> None:
    path = write_polygons(tmp_path / f"p.{suffix}", [box(0, 0, 10, 5), box(20.6, 8, 30, 12)], kind=["water", "forest"])
    drawn = rasterize(path, GRID)
    expected = np.zeros((60, 80), np.uint8)
    expected[:5, :10] = 2
    expected[8:12, 21:30] = 1
    np.testing.assert_array_equal(drawn.labels, expected)
    assert drawn.names == {1: "forest", 2: "water"}
    assert drawn.notes == ()


def test_polygons_in_another_reference_system_are_brought_over(tmp_path: Path) -> None:
    shape = box(10, 10, 40, 40)
    (moved,) = [
        shapely.geometry.shape(each)
        for each in rasterio.warp.transform_geom(UTM, "EPSG:4326", [shapely.geometry.mapping(shape)])
    ]
    drawn = rasterize(write_polygons(tmp_path / "p.gpkg", [moved], "EPSG:4326", value=[7], other=["x"]), GRID, "value")
    assert (drawn.labels == 7).sum() == pytest.approx(900, rel=0.01)
    assert drawn.labels[12:38, 12:38].min() == 7


def test_crossing_outlines_are_repaired_and_shapes_without_area_left_out(tmp_path: Path) -> None:
    a, _, c, _, e, f = GRID.transform
    bow = shapely.Polygon([(c + a * x, f + e * y) for x, y in [(0, 0), (10, 10), (10, 0), (0, 10)]])
    flat = shapely.Polygon([(c, f), (c + 60, f - 60), (c, f)])
    drawn = rasterize(write_polygons(tmp_path / "p.gpkg", [bow, flat], value=[3, 4]), GRID)
    assert 40 <= (drawn.labels == 3).sum() <= 60
    assert not (drawn.labels == 4).any()
    assert drawn.notes == (
        "1 polygon of p.gpkg was repaired: crossing outlines.",
        "1 polygon of p.gpkg was left out: no area.",
    )
    with pytest.raises(InputError, match=r"No polygon .* has an area"):
        rasterize(write_polygons(tmp_path / "flat.gpkg", [flat], value=[1]), GRID)


def test_lines_that_belong_to_polygons_give_no_label(tmp_path: Path) -> None:
    """A spike without width, and a collection of a polygon and a line: pixels along lines are not of the class."""
    a, _, c, _, e, f = GRID.transform
    spike = [(0, 0), (10, 0), (10, 10), (40, 10.5), (10, 10), (0, 10)]
    spiked = shapely.Polygon([(c + a * x, f + e * y) for x, y in spike])
    line = shapely.LineString([(c, f + e * 50.5), (c + a * 80, f + e * 50.5)])
    mixed = shapely.GeometryCollection([box(20, 20, 30, 30), line, shapely.GeometryCollection([box(30, 20, 32, 30)])])
    overlapping = shapely.MultiPolygon([box(50, 10, 60, 20), box(55, 15, 65, 25)])
    drawn = rasterize(write_polygons(tmp_path / "p.gpkg", [spiked, mixed, overlapping], value=[1, 2, 3]), GRID)
    expected = np.zeros((60, 80), np.uint8)
    expected[:10, :10], expected[20:30, 20:32], expected[10:20, 50:60], expected[15:25, 55:65] = 1, 2, 3, 3
    np.testing.assert_array_equal(drawn.labels, expected)


def test_the_layer_with_polygons_is_taken_and_others_are_said(tmp_path: Path) -> None:
    path = tmp_path / "p.gpkg"
    layers = (("places", shapely.Point(0, 0), "Point"), ("a", box(0, 0, 9, 9), "Polygon"), ("b", box(0, 0, 1, 1), None))
    for name, shape, kind in layers:
        raw.write(
            path, shapely.to_wkb(np.array([shape], object)), [np.array([5])], ["value"], crs=UTM,
            geometry_type=kind or "Polygon", driver="GPKG", layer=name, append=path.exists(),
        )  # fmt: skip
    drawn = rasterize(path, GRID)
    assert (drawn.labels == 5).sum() == 81
    assert drawn.notes == ("p.gpkg has 2 layers with polygons; 'a', the first, is taken.",)


def test_polygons_without_a_place_in_the_images_coordinates_are_said(tmp_path: Path) -> None:
    moved = rasterio.warp.transform_geom(UTM, "EPSG:4326", shapely.geometry.mapping(box(5, 5, 30, 30)))
    nowhere = shapely.Polygon([(0, 0), (np.inf, 0), (1, 1)])
    shapes = [shapely.geometry.shape(moved), nowhere, shapely.box(-1e9, -1e9, 1e9, 1e9)]
    drawn = rasterize(write_polygons(tmp_path / "p.gpkg", shapes, "EPSG:4326", value=[1, 2, 3]), GRID)
    assert np.unique(drawn.labels).tolist() == [0, 1]
    assert len(drawn.notes) == 2


@pytest.mark.parametrize(
    ("crs", "columns", "attribute", "message"),
    [
        (UTM, {"a": [1], "b": [2]}, None, "Which attribute .* is the class"),
        (UTM, {"clas": [1]}, "class", "no attribute 'class'; the nearest is 'clas'"),
        (UTM, {"class": [0]}, None, "from 1 to 65535"),
        (UTM, {"class": [1.5]}, None, "from 1 to 65535"),
        (UTM, {"class": [""]}, None, "have no 'class'"),
        (None, {"class": [1]}, None, "file of polygons states no coordinate reference system"),
        ("EPSG:32631", {"class": [1]}, None, "is it the right place"),
    ],
)
def test_polygons_that_cannot_be_used_are_said(
    crs: str | None, columns: dict[str, Any], attribute: str | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "p.gpkg"
    if crs is None:
        path = tmp_path / "p.shp"  # of the three, only this one can be without
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there is no system
        write_polygons(path, [box(0, 0, 9, 9)], crs, **columns)
    with pytest.raises(InputError, match=message):
        rasterize(path, GRID, attribute)


def test_an_image_without_reference_system_and_points_are_said(tmp_path: Path) -> None:
    path = write_polygons(tmp_path / "p.gpkg", [box(0, 0, 9, 9)], value=[1])
    with pytest.raises(InputError, match="The image states no coordinate reference system"):
        rasterize(path, GeoInfo(None, GRID.transform, 60, 80, "uint8", ()))
    points = write_polygons(tmp_path / "points.gpkg", [shapely.Point(0, 0)], value=[1])
    with pytest.raises(InputError, match=r"must hold polygons\. Got Point"):
        rasterize(points, GRID)
    (tmp_path / "text.gpkg").write_text("nothing")
    with pytest.raises(InputError, match="damaged or no file of polygons"):
        rasterize(tmp_path / "text.gpkg", GRID)


# Polygons out.


def test_regions_keep_holes_areas_and_probabilities(tmp_path: Path) -> None:
    labels = np.zeros((60, 80), np.uint8)
    labels[5:25, 5:25], labels[10:15, 10:15], labels[40:50, 60:70] = 2, 7, 2
    scores = np.zeros((2, 60, 80), np.float32)
    scores[0, 5:25, 5:25], scores[0, 40:50, 60:70], scores[1] = 0.75, 0.5, 1
    path = tmp_path / "regions.gpkg"
    assert polygonize(labels, GRID, path, names={2: "forest", 7: "lake"}, probabilities=scores, simplify=0) == 3
    meta, shapes, columns = read_polygons(path)
    assert rasterio.crs.CRS.from_user_input(meta["crs"]) == rasterio.crs.CRS.from_wkt(UTM)
    found = sorted(zip(columns["class"], columns["area"], columns["probability"], shapely.area(shapes), strict=True))
    expected = [(2, 100 * 900, 0.5, 100 * 900), (2, 375 * 900, 0.75, 375 * 900), (7, 25 * 900, 1, 25 * 900)]
    np.testing.assert_allclose(found, expected)
    assert sorted(len(shape.interiors) for shape in shapes) == [0, 0, 1]
    assert set(columns["area_unit"]) == {"square metre"}


@pytest.mark.parametrize("blur", [0, 1, 2, 5])
def test_polygons_and_back_keep_the_area_of_each_class_and_region(blur: int, tmp_path: Path) -> None:
    """From single pixels of noise to large regions, with places that have no class."""
    from scipy import ndimage

    field = np.random.default_rng(blur).normal(size=(60, 80))
    field = ndimage.gaussian_filter(field, blur) if blur else field
    labels = np.digitize(field, np.quantile(field, [0.1, 0.4, 0.7])).astype(np.uint8)
    path = tmp_path / "p.gpkg"
    names = {1: "low", 2: "middle", 3: "high"}
    count = polygonize(labels, GRID, path, names=names)
    _, shapes, columns = read_polygons(path)
    assert count == len(shapes)
    np.testing.assert_allclose(shapely.area(shapes), columns["area"], rtol=0.01 + 1e-9)
    drawn = rasterize(path, GRID, "class")
    for value in names:
        wanted = int((labels == value).sum())
        assert shapely.area(shapes[columns["class"] == value]).sum() / 900 == pytest.approx(wanted, rel=0.01)
        assert (drawn.labels == value).sum() == pytest.approx(wanted, rel=0.01)
    # Neighbours still meet: nothing between them, nothing twice.
    assert shapely.area(shapely.union_all(shapes)) == pytest.approx(shapely.area(shapes).sum(), rel=1e-9)
    if blur == 5:
        polygonize(labels, GRID, tmp_path / "steps.gpkg", names=names, simplify=0)
        steps = shapely.get_num_coordinates(read_polygons(tmp_path / "steps.gpkg")[1]).sum()
        assert shapely.get_num_coordinates(shapes).sum() < 0.8 * steps


def test_polygons_that_give_no_label_are_counted(tmp_path: Path) -> None:
    small, away, covered, over = box(1.6, 1.6, 1.9, 1.9), box(-9, -9, -1, -1), box(10, 10, 12, 12), box(9, 9, 30, 30)
    path = write_polygons(tmp_path / "p.gpkg", [small, away, covered, over], value=[1, 2, 3, 4])
    drawn = rasterize(path, GRID)
    assert np.unique(drawn.labels).tolist() == [0, 4]
    assert drawn.notes == (
        "2 polygons of p.gpkg were without effect: too small for a pixel's centre, or under later ones.",
        "1 polygon of p.gpkg was without effect: outside the image.",
    )
    assert rasterize(path, GRID, may_be_empty=True).notes == drawn.notes[:1]


def test_a_huge_declared_size_with_few_bytes_is_said(tmp_path: Path) -> None:
    """A header that promises 4 terabytes, and nothing behind it: nobody asks for that much memory."""
    import tracemalloc

    import tifffile

    from napari_fcn.io import read_image

    path = tmp_path / "huge.tif"
    tifffile.imwrite(path, np.zeros((16, 16), np.uint16))
    with tifffile.TiffFile(path, mode="r+b") as file:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            file.pages[0].tags[name].overwrite(1_500_000, dtype=4)
    assert path.stat().st_size < 10_000
    tracemalloc.start()
    with pytest.raises(InputError, match=r"huge\.tif"):
        np.asarray(read_image(path, lazy=False).array)
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


# Reflectance.


def test_reflectance_is_made_before_indices_and_read_lazily() -> None:
    image = np.array([[0, 3000], [9000, 5000]], np.uint16).reshape(2, 1, 2)
    scaled = as_reflectance(image, "0.0001,-0.1", nodata=0)
    assert as_reflectance(scaled, "0.0001,-0.1") is scaled
    np.testing.assert_allclose(scaled[:, 0, 1], [0.2, 0.4], rtol=1e-6)
    stack = BandStack(scaled, "CYX", parse_bands("red=1,nir=2,NDVI", (), 2))
    np.testing.assert_allclose(np.asarray(stack)[:, 0], [[np.nan, 0.2], [0.8, 0.4], [np.nan, 1 / 3]], rtol=1e-5)
    for text in ("0", "a", "1,2,3", "-1", "0.1,nan"):
        with pytest.raises(InputError, match=r"`reflectance` must be SCALE or SCALE,OFFSET"):
            as_reflectance(image, text)


def test_satellite_weights_bring_their_own_statistics() -> None:
    """Numbers of the package's file, checked by eye: surface reflectance of blue, green, red, near infrared."""
    pytest.importorskip("ukis_csmask")
    import napari_fcn as fcn

    random = np.random.default_rng(0)
    image = random.integers(1000, 5000, (4, 64, 64), np.uint16)
    labels = random.integers(0, 2, (64, 64), np.uint8)
    options: dict[str, Any] = {
        "axes": "CYX", "weights": "csmask-4b-l2a", "normalization": "weights", "steps": 1, "patch_size": 32,
    }  # fmt: skip
    training = fcn.prepare_training(image, labels, reflectance="0.0001", **options)
    dataset = training.examples.normalization.dataset
    assert dataset is not None
    np.testing.assert_allclose(dataset.mean, [0.266818, 0.277991, 0.288120, 0.364947], atol=1e-6)
    np.testing.assert_allclose(dataset.std, [0.336376, 0.312546, 0.311148, 0.272607], atol=1e-6)
    segmenter = training.segmenter()
    assert segmenter.training["reflectance"] == "0.0001"
    by_hand = dataclasses.replace(segmenter, training={})
    np.testing.assert_array_equal(
        segmenter.predict(image, "CYX", engine="float32"),
        by_hand.predict(image.astype(np.float32) * np.float32(0.0001), "CYX", engine="float32"),
    )
    with pytest.raises(InputError, match=r"takes reflectance, mostly 0 to 1\. Got a band with mean 30"):
        fcn.prepare_training(image, labels, **options)
    with pytest.raises(InputError, match=r"needs weights with statistics of their own: csmask-4b-l1c"):
        fcn.prepare_training(image, labels, **{**options, "weights": "imagenet", "reflectance": "0.0001"})


def test_areas_in_degrees_are_square_metres_of_the_ellipsoid(tmp_path: Path) -> None:
    degrees = GeoInfo("EPSG:4326", (0.01, 0.0, 10.0, 0.0, -0.01, 60.005), 1, 1, "uint8", ())
    info = GeoInfo(rasterio.crs.CRS.from_epsg(4326).to_wkt(), *list(vars(degrees).values())[1:])
    polygonize(np.ones((1, 1), np.uint8), info, tmp_path / "p.geojson", names={1: "a"}, simplify=0)
    _, _, columns = read_polygons(tmp_path / "p.geojson")
    # A degree at 60 north on WGS 84: 111,412 m along the meridian, 55,800 m along the parallel.
    assert columns["area"][0] == pytest.approx(1114.12 * 558.00, rel=1e-3)
    with pytest.raises(OutputError, match=r"\.gpkg or \.geojson"):
        polygonize(np.ones((1, 1), np.uint8), info, tmp_path / "p.shp", names={1: "a"})
