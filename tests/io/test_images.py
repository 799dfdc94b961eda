"""Every format is read as its author meant it: pixels, axes, names, sizes."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_fcn.errors import InputError
from napari_fcn.io import PixelSize, read_image, read_labels

random = np.random.default_rng(0)
GREY = random.integers(0, 256, (12, 10), dtype=np.uint8)
COLOUR = random.integers(0, 256, (12, 10, 3), dtype=np.uint8)
BANDS = random.integers(-500, 500, (12, 10, 6), dtype=np.int16)
STACK = random.integers(0, 60000, (5, 12, 10), dtype=np.uint16)

GEO_TAGS = [
    (33550, "d", 3, (30.0, 20.0, 0.0), True),  # pixel scale: x, y, z
    (33922, "d", 6, (0.0, 0.0, 0.0, 462405.0, 1741815.0, 0.0), True),
    (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32615), True),
    (42113, "s", 0, "-9999", True),
    (
        42112,
        "s",
        0,
        "<GDALMetadata>"
        + "".join(
            f'<Item name="DESCRIPTION" sample="{i}" role="description">{name}</Item>'
            for i, name in enumerate(("blue", "green", "red", "near infrared", "swir1", "swir2"))
        )
        + "</GDALMetadata>",
        True,
    ),
]


def check(path, array, axes):
    file = read_image(path)
    assert file.axes == axes
    assert file.array.dtype == array.dtype
    np.testing.assert_array_equal(file.array, array)
    return file


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
@pytest.mark.parametrize(("array", "axes"), [(GREY, "YX"), (COLOUR, "YXC")])
def test_pictures(tmp_path, suffix, array, axes):
    Image.fromarray(array).save(tmp_path / f"a.{suffix}")
    check(tmp_path / f"a.{suffix}", array, axes)


def test_jpeg_has_its_shape_and_almost_its_values(tmp_path):
    smooth = np.linspace(0, 255, 12 * 10).reshape(12, 10).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    file = read_image(tmp_path / "a.jpg")
    assert file.axes == "YX"
    assert np.abs(file.array.astype(int) - smooth).max() < 10


@pytest.mark.parametrize("array", [STACK[0], STACK[:3].transpose(1, 2, 0)], ids=["grey", "colour"])
def test_16_bit_png_keeps_its_16_bits(tmp_path, array):
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(array)))
    check(tmp_path / "a.png", array, "YX" if array.ndim == 2 else "YXC")


def test_alpha_is_dropped_and_colours_below_it_stay(tmp_path):
    for array, axes in ((COLOUR, "YXC"), (GREY[..., None], "YX")):
        image = Image.fromarray(np.dstack([array, GREY]), "RGBA" if axes == "YXC" else "LA")
        image.save(tmp_path / "a.png")
        check(tmp_path / "a.png", array.squeeze(), axes)
    for alpha, notes in ((np.full_like(GREY, 255), 0), (np.where(GREY > 100, 255, 0).astype(np.uint8), 1)):
        tifffile.imwrite(tmp_path / "a.tif", np.dstack([COLOUR, alpha]), photometric="rgb", extrasamples=["unassalpha"])
        assert len(check(tmp_path / "a.tif", COLOUR, "YXC").notes) == notes


def test_a_band_that_is_only_marked_as_alpha_is_kept_and_that_is_said(tmp_path):
    """As GDAL marks the near infrared of an 8-bit raster that has lost its place."""
    near_infrared = np.clip(GREY, 1, 254)
    array = np.dstack([COLOUR, near_infrared])
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"])
    (note,) = check(tmp_path / "a.tif", array, "YXC").notes
    assert note.startswith("a.tif: band 4 is marked as alpha and kept as a band, because 100% of its pixels")
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="minisblack", extrasamples=["unspecified"] * 3)
    assert check(tmp_path / "a.tif", array, "YXC").notes == ()


@pytest.mark.parametrize("transparency", [None, 0])
def test_palette_is_colours_in_an_image_and_classes_in_labels(tmp_path, transparency):
    indices = random.integers(0, 4, (12, 10), dtype=np.uint8)
    palette = np.array([[0, 0, 0], [200, 10, 10], [10, 200, 10], [10, 10, 200]], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.tobytes())
    image.save(tmp_path / "a.png", **({} if transparency is None else {"transparency": transparency}))
    check(tmp_path / "a.png", palette[indices], "YXC")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png"), indices)
    image.save(tmp_path / "a.tif")
    check(tmp_path / "a.tif", palette[indices], "YXC")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.tif"), indices)


def test_very_large_picture_is_not_taken_for_an_attack(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(GREY).save(tmp_path / "a.png")
    check(tmp_path / "a.png", GREY, "YX")


@pytest.mark.parametrize(
    ("array", "options", "axes"),
    [
        (COLOUR, {"photometric": "rgb"}, "YXC"),
        (np.moveaxis(COLOUR, 2, 0), {"photometric": "rgb", "planarconfig": "separate"}, "CYX"),
        (BANDS, {"photometric": "minisblack", "planarconfig": "contig"}, "YXC"),
        (np.moveaxis(BANDS, 2, 0), {"photometric": "minisblack", "planarconfig": "separate"}, "CYX"),
        (STACK, {"metadata": {"axes": "ZYX"}}, "ZYX"),
        (STACK, {"metadata": {"axes": "CYX"}}, "CYX"),
        (STACK, {"photometric": "minisblack"}, None),
        (STACK, {"photometric": "minisblack", "metadata": None}, None),
        (BANDS, {"photometric": "minisblack"}, None),
        (STACK, {"imagej": True, "metadata": {"axes": "ZYX"}}, "ZYX"),
        (STACK, {"imagej": True, "metadata": {"axes": "TYX"}}, "TYX"),
        (np.stack([STACK, STACK]), {"imagej": True, "metadata": {"axes": "ZCYX"}}, "ZCYX"),
        (np.stack([STACK, STACK]), {"ome": True, "metadata": {"axes": "CZYX"}}, "CZYX"),
        (np.stack([COLOUR, COLOUR]), {"photometric": "rgb"}, "ZYXC"),
        (STACK.astype(">u2"), {"metadata": {"axes": "ZYX"}, "byteorder": ">"}, "ZYX"),
        (GREY > 100, {"photometric": "minisblack"}, "YX"),
        (GREY.astype(np.float64), {"compression": "lzw"}, "YX"),
    ],
)
def test_tiff_axes_are_those_of_the_file(tmp_path, array, options, axes):
    tifffile.imwrite(tmp_path / "a.tif", array, **options)
    check(tmp_path / "a.tif", array.astype(array.dtype.newbyteorder("=")), axes)


def test_axes_of_size_one_are_squeezed(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", STACK[:1, None, None], imagej=True, metadata={"axes": "TZCYX"})
    check(tmp_path / "a.tif", STACK[0], "YX")
    np.save(tmp_path / "a.npy", GREY[None, :, :, None])
    check(tmp_path / "a.npy", GREY, "YX")


def test_channels_of_colour_pictures_become_one_axis(tmp_path):
    array = np.stack([COLOUR, 255 - COLOUR])
    tifffile.imwrite(tmp_path / "a.tif", array, photometric="rgb", metadata={"axes": "CYXS"})
    file = read_image(tmp_path / "a.tif")
    assert file.axes == "YXC"
    np.testing.assert_array_equal(file.array, np.dstack([COLOUR, 255 - COLOUR]))


def test_geotiff_says_that_it_has_a_place_on_earth(tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", GREY)
    tifffile.imwrite(tmp_path / "placed.tif", GREY, extratags=[(33550, "d", 3, (10.0, 10.0, 0.0), True)])
    assert not read_image(tmp_path / "plain.tif").placed
    assert read_image(tmp_path / "placed.tif").placed


def test_geotiff_says_nodata_ground_size_and_bands(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", BANDS, photometric="minisblack", planarconfig="contig", extratags=GEO_TAGS, metadata=None
    )
    file = check(tmp_path / "a.tif", BANDS, "YXC")
    assert file.nodata == -9999
    assert file.pixel_size == PixelSize(y=20, x=30, unit="meter")
    assert file.channel_names == ("blue", "green", "red", "near infrared", "swir1", "swir2")


def test_fourth_band_of_a_raster_is_kept_even_when_it_is_marked_as_alpha(tmp_path):
    array = np.dstack([COLOUR, GREY])
    tifffile.imwrite(
        tmp_path / "a.tif", array, photometric="rgb", extrasamples=["unassalpha"], extratags=GEO_TAGS[:3], metadata=None
    )
    check(tmp_path / "a.tif", array, "YXC")


def test_microscope_says_pixel_size_and_channels(tmp_path):
    metadata = {
        "axes": "CYX",
        "Channel": {"Name": ["DAPI", "GFP"]},
        "PhysicalSizeX": 0.2,
        "PhysicalSizeY": 0.3,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeYUnit": "µm",
    }
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK[:2], ome=True, photometric="minisblack", metadata=metadata)
    file = check(tmp_path / "a.ome.tif", STACK[:2], "CYX")
    assert file.channel_names == ("DAPI", "GFP")
    assert file.pixel_size == PixelSize(y=0.3, x=0.2, unit="micrometer")


def test_imagej_says_pixel_size(tmp_path):
    metadata = {"axes": "ZYX", "unit": "um", "spacing": 2.0}
    tifffile.imwrite(tmp_path / "a.tif", STACK, imagej=True, resolution=(4, 2), metadata=metadata)
    assert read_image(tmp_path / "a.tif").pixel_size == PixelSize(y=0.5, x=0.25, unit="micrometer", z=2.0)


def test_printer_resolution_is_no_pixel_size(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", GREY, resolution=(72, 72), resolutionunit=2)
    assert read_image(tmp_path / "a.tif").pixel_size is None


def test_numpy_files(tmp_path):
    np.save(tmp_path / "bands.npy", BANDS.astype(">i2"))
    file = check(tmp_path / "bands.npy", BANDS, None)
    assert file.array.dtype.isnative
    np.save(tmp_path / "colour.npy", COLOUR)
    check(tmp_path / "colour.npy", COLOUR, "YXC")
    np.save(tmp_path / "float.npy", COLOUR.astype(float))
    check(tmp_path / "float.npy", COLOUR.astype(float), None)
    np.savez(tmp_path / "one.npz", anything=GREY)
    check(tmp_path / "one.npz", GREY, "YX")
    np.savez(tmp_path / "both.npz", img=COLOUR, msk=GREY[..., None])
    check(tmp_path / "both.npz", COLOUR, "YXC")
    np.testing.assert_array_equal(read_labels(tmp_path / "both.npz"), GREY)


def test_archive_without_a_known_name_lists_what_it_holds(tmp_path):
    np.savez(tmp_path / "a.npz", left=GREY, right=GREY)
    with pytest.raises(InputError, match=r"'left', 'right'.*'image'"):
        read_image(tmp_path / "a.npz")


@pytest.mark.parametrize("save", [np.save, np.savez])
def test_pickle_is_not_opened(tmp_path, save):
    path = tmp_path / ("a.npy" if save is np.save else "a.npz")
    save(path, np.array([{"danger": 1}], dtype=object))
    with pytest.raises(InputError, match="pickled"):
        read_image(path)


@pytest.mark.parametrize(
    "array",
    [np.zeros((3, 0)), np.zeros(5), np.array(3), np.zeros((2,) * 6), np.zeros((2, 2), complex), np.array([["a"]])],
)
def test_arrays_that_are_no_image(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=r"a.npy"):
        read_image(tmp_path / "a.npy")


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_stays_on_the_disk(tmp_path, version):
    path = str(tmp_path / "a.zarr")
    names = ["c", "y", "x"]
    if version == 3:
        zarr.create_array(path, data=STACK, zarr_format=3, dimension_names=names)
    else:
        zarr.create_array(path, data=STACK, zarr_format=2, attributes={"_ARRAY_DIMENSIONS": names})
    file = read_image(path)
    assert not isinstance(file.array, np.ndarray)
    assert file.axes == "CYX"
    np.testing.assert_array_equal(file.array[:], STACK)
    zarr.create_array(str(tmp_path / "b.zarr"), data=STACK, zarr_format=version)
    assert read_image(tmp_path / "b.zarr").axes is None


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr_is_its_full_resolution(tmp_path, version):
    image = np.stack([STACK, STACK])[None]
    multiscales = [
        {
            "version": version,
            "axes": [
                {"name": "t", "type": "time"},
                {"name": "c", "type": "channel"},
                {"name": "z", "type": "space", "unit": "micrometer"},
                {"name": "y", "type": "space", "unit": "micrometer"},
                {"name": "x", "type": "space", "unit": "micrometer"},
            ],
            "datasets": [
                {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 0.5, 0.25]}]},
                {"path": "1", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 2, 1, 0.5]}]},
            ],
        }
    ]
    metadata = {"multiscales": multiscales, "omero": {"channels": [{"label": "DAPI"}, {"label": "GFP"}]}}
    group = zarr.open_group(str(tmp_path / "a.ome.zarr"), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update(metadata if version == "0.4" else {"ome": {"version": version, **metadata}})
    group.create_array("0", data=image)
    group.create_array("1", data=image[..., ::2, ::2])
    file = read_image(tmp_path / "a.ome.zarr")
    assert file.axes == "TCZYX"
    assert file.array.shape == image.shape
    assert file.channel_names == ("DAPI", "GFP")
    assert file.pixel_size == PixelSize(y=0.5, x=0.25, unit="micrometer", z=2)


def test_zarr_group_without_an_image(tmp_path):
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w")
    with pytest.raises(InputError, match="no array"):
        read_image(tmp_path / "a.zarr")
    group.create_array("one", data=GREY)
    assert read_image(tmp_path / "a.zarr").axes == "YX"
    group.create_array("two", data=GREY)
    with pytest.raises(InputError, match="'one', 'two'"):
        read_image(tmp_path / "a.zarr")


def test_damaged_chunk_of_a_zarr_is_an_input_error_when_it_is_read(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), data=STACK, chunks=STACK.shape)
    chunk = next(path for path in (tmp_path / "a.zarr" / "c").rglob("*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:50])
    file = read_image(tmp_path / "a.zarr")
    with pytest.raises(InputError, match=r"a\.zarr"):
        file.array[0]
    for read in (read_labels, lambda path: read_image(path, lazy=False)):
        with pytest.raises(InputError, match=r"a\.zarr"):
            read(tmp_path / "a.zarr")


def test_zarr_can_be_read_like_any_other_file(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), data=STACK[None, None], dimension_names=list("tczyx"))
    check_array = read_image(tmp_path / "a.zarr", lazy=False)
    assert check_array.axes == "ZYX"
    np.testing.assert_array_equal(check_array.array, STACK)


@pytest.mark.parametrize("content", ["", "{", '{"zarr_format": 9, "node_type": "array"}', "[]"])
def test_damaged_zarr(tmp_path, content):
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text(content)
    with pytest.raises(InputError, match=r"a.zarr"):
        read_image(tmp_path / "a.zarr")


def test_missing_and_forbidden_files(tmp_path):
    with pytest.raises(InputError, match="no file"):
        read_image(tmp_path / "a.png")
    (tmp_path / "a.xyz").write_text("x")
    with pytest.raises(InputError, match="suffix"):
        read_image(tmp_path / "a.xyz")


@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_labels_are_whole_numbers_as_they_were_saved(tmp_path, suffix):
    from napari_fcn.io import write_labels

    for dtype in (bool, np.uint8, np.uint16):
        labels = (GREY > 100).astype(dtype) * dtype(1 if dtype is bool else 200)
        write_labels(tmp_path / f"a.{suffix}", labels, overwrite=True)
        read = read_labels(tmp_path / f"a.{suffix}")
        assert read.dtype.kind == "u"
        np.testing.assert_array_equal(read, labels)


def test_black_and_white_png_is_zero_and_one(tmp_path):
    Image.fromarray(GREY > 100).save(tmp_path / "a.png")
    read = read_labels(tmp_path / "a.png")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, GREY > 100)


def test_labels_of_a_zarr_are_read_and_squeezed(tmp_path):
    zarr.create_array(str(tmp_path / "a.zarr"), data=STACK[None, None, 0], dimension_names=["t", "z", "y", "x"])
    np.testing.assert_array_equal(read_labels(tmp_path / "a.zarr"), STACK[0])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("suffix", ["tif", "npy"])
def test_decimal_labels_are_refused_with_how_to_convert(tmp_path, suffix, dtype):
    array = GREY.astype(dtype)
    if suffix == "tif":
        tifffile.imwrite(tmp_path / "a.tif", array)
    else:
        np.save(tmp_path / "a.npy", array)
    with pytest.raises(InputError, match=r"whole numbers.*astype"):
        read_labels(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_overlays_are_refused_with_what_labels_are(tmp_path, mode):
    Image.fromarray(COLOUR).convert(mode).save(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"one whole number a pixel.*grey PNG"):
        read_labels(tmp_path / "a.png")


def test_jpeg_labels_are_refused(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.jpg")
    with pytest.raises(InputError, match=r"JPEG.*PNG"):
        read_labels(tmp_path / "a.jpg")
