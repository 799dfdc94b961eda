"""A large TIFF is read where it is sliced, whatever its layout."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_fcn.errors import InputError
from napari_fcn.io import read_image, tiff
from napari_fcn.io.tiff_pieces import PiecewiseTiff

PIXELS = np.random.default_rng(0).integers(0, 1 << 16, (3, 70, 90), np.uint16)
LAYOUTS: dict[str, dict[str, Any]] = {
    "one block of bytes": {},
    "the other byte order": {"byteorder": ">"},
    "strips": {"rowsperstrip": 16, "compression": "zlib"},
    "tiles": {"tile": (32, 48), "compression": "zlib"},
    "BigTIFF": {"tile": (32, 32), "bigtiff": True},
    "OME-TIFF": {"tile": (32, 32), "ome": True},
}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "LARGE", 1)


@pytest.mark.usefixtures("large")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_windows_are_those_of_the_whole(tmp_path: Path, layout: str) -> None:
    path = tmp_path / "a.ome.tif" if "ome" in LAYOUTS[layout] else tmp_path / "a.tif"
    tifffile.imwrite(path, PIXELS, photometric="minisblack", metadata={"axes": "ZYX"}, **LAYOUTS[layout])
    file = read_image(path, lazy=True)
    assert isinstance(file.array, PiecewiseTiff)
    assert (file.axes, file.array.shape, file.array.dtype) == ("ZYX", PIXELS.shape, PIXELS.dtype)
    for array in (file.array, copy.copy(file.array)):  # as a worker of a cluster gets it
        for key in (
            (1, slice(5, 40), slice(10, 80)),
            (1, slice(5, 40), slice(80, 90)),
            (slice(0, 2), slice(69, 70), slice(0, 1)),
            (..., slice(3, 33)),
            2,
        ):
            np.testing.assert_array_equal(array[key], PIXELS[key])
        np.testing.assert_array_equal(np.asarray(array), PIXELS)


@pytest.mark.usefixtures("large")
def test_a_damaged_part_is_an_input_error_when_it_is_read(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", PIXELS[0], tile=(32, 32), compression="zlib")
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        offset = file.pages.first.dataoffsets[0]
    with (tmp_path / "a.tif").open("r+b") as stream:
        stream.seek(offset)
        stream.write(b"\xff" * 200)
    array = read_image(tmp_path / "a.tif", lazy=True).array
    np.testing.assert_array_equal(array[40:60, 40:60], PIXELS[0, 40:60, 40:60])
    with pytest.raises(InputError, match="damaged"):
        array[:10, :10]
