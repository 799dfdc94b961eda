"""A file that was cut short is an error or still the right image, never a partly black one."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_fcn.errors import InputError
from napari_fcn.io import read_image, read_labels

random = np.random.default_rng(0)
GREY = random.integers(1, 256, (40, 50), dtype=np.uint8)  # no zeros, which a missing part would look like
COLOUR = random.integers(1, 256, (40, 50, 3), dtype=np.uint8)
STACK = random.integers(1, 256, (5, 20, 30), dtype=np.uint8)


def tiff(array, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def pillow(array, kind, mode=None, **options):
    buffer = io.BytesIO()
    image = Image.fromarray(array)
    if mode == "P":
        image = image.quantize(16)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def archive(**arrays):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def single(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def attempt(read, path):
    """What was read, or the message of the only error that is allowed."""
    try:
        return read(path), ""
    except InputError as error:
        return None, str(error)


FILES = {
    "strips.tif": tiff(GREY, photometric="minisblack", rowsperstrip=8),
    "deflate.tif": tiff(GREY, photometric="minisblack", compression="zlib", rowsperstrip=8),
    "lzw.tif": tiff(GREY, photometric="minisblack", compression="lzw"),
    "jpeg.tif": tiff(COLOUR, photometric="rgb", compression="jpeg"),
    "tiles.tif": tiff(GREY, photometric="minisblack", tile=(16, 16)),
    "big.tif": tiff(GREY, photometric="minisblack", bigtiff=True),
    "motorola.tif": tiff(GREY, photometric="minisblack", byteorder=">"),
    "planes.tif": tiff(STACK, photometric="minisblack", metadata={"axes": "ZYX"}),
    "squashed_planes.tif": tiff(STACK, photometric="minisblack", metadata={"axes": "ZYX"}, compression="zlib"),
    "pages.tif": tiff(STACK, photometric="minisblack", metadata=None),
    "imagej.tif": tiff(STACK, imagej=True, metadata={"axes": "ZYX"}),
    "microscope.ome.tif": tiff(STACK, photometric="minisblack", metadata={"axes": "ZYX"}, ome=True),
    "bands.tif": tiff(STACK, photometric="minisblack", planarconfig="separate"),
    "pillow.tif": pillow(GREY, "TIFF"),
    "pillow_squashed.tif": pillow(COLOUR, "TIFF", compression="tiff_lzw"),
    "grey.png": pillow(GREY, "PNG"),
    "colour.png": pillow(COLOUR, "PNG"),
    "palette.png": pillow(COLOUR, "PNG", "P"),
    "deep.png": imagecodecs.png_encode((COLOUR * np.uint16(257)).astype(np.uint16)),
    "deep_grey.png": pillow(GREY * np.uint16(257), "PNG"),
    "photo.jpg": pillow(COLOUR, "JPEG"),
    "photo_progressive.jpg": pillow(COLOUR, "JPEG", progressive=True),
    "grey.bmp": pillow(GREY, "BMP"),
    "colour.bmp": pillow(COLOUR, "BMP"),
    "array.npy": single(GREY),
    "archive.npz": archive(image=GREY),
}


@pytest.mark.parametrize("name", FILES)
def test_cut_short_at_any_length(name, tmp_path):
    content, path = FILES[name], tmp_path / name
    path.write_bytes(content)
    whole = read_image(path).array
    lengths = sorted({*range(0, len(content), max(1, len(content) // 60)), *range(len(content) - 20, len(content))})
    for length in lengths:
        path.write_bytes(content[:length])
        read, message = attempt(read_image, path)
        if message:
            assert path.name in message
            assert "\n" not in message
        else:
            assert np.array_equal(read.array, whole), f"{length} of {len(content)} bytes"
            assert length > len(content) / 2


@pytest.mark.parametrize("name", FILES)
def test_damage_anywhere_is_an_image_or_an_input_error(name, tmp_path):
    path = tmp_path / name
    for position in random.integers(0, len(FILES[name]), 25):
        content = bytearray(FILES[name])
        content[position : position + 4] = random.bytes(4)
        path.write_bytes(content)
        for read in (read_image, read_labels):
            _, message = attempt(read, path)
            assert "\n" not in message


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif", ".tiff", ".ome.tif", ".npy", ".npz"])
@pytest.mark.parametrize("content", [b"", b"x", b"not an image at all, but a text\n" * 20, b"\0" * 500])
def test_what_is_no_image_is_an_input_error(suffix, content, tmp_path):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=f"file{suffix}"):
        read_image(path)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".bmp", ".png"])
def test_name_of_another_format_is_an_input_error(suffix, tmp_path):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(FILES["array.npy" if suffix != ".npy" else "grey.png"])
    with pytest.raises(InputError, match="file"):
        read_image(path)


def test_damaged_files_say_nothing_on_the_terminal(tmp_path, capfd):
    path = tmp_path / "pages.tif"
    for length in range(8, len(FILES["pages.tif"]), 50):
        path.write_bytes(FILES["pages.tif"][:length])
        attempt(read_image, path)
    assert capfd.readouterr() == ("", "")
