"""What is surprising about images is said in one sentence, and nothing is said about the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_fcn.cli.remarks import empty_part, other_scale, remark
from napari_fcn.io import ImageFile

from .conftest import QUICK

REMEDY = "say {value}"


def file(array: Any, name: str = "a.tif") -> ImageFile:
    return ImageFile(Path(name), array, None)


def scene(empty: float, bands: int = 4, fill: int = 0, side: int = 200) -> np.ndarray:
    """`(C, H, W)`, empty at its left and right."""
    values = np.random.default_rng(0).integers(1, 200, (bands, side, side)).astype(np.uint16)
    border = round(side * empty / 2)
    values[:, :, :border] = values[:, :, side - border :] = fill
    return values


@pytest.mark.parametrize("kind", ["uint8", "uint16", "int16"])
def test_images_of_another_scale_are_named(kind: str) -> None:
    random = np.random.default_rng(0)
    bytes_, part = random.integers(0, 256, (40, 30, 3)), random.random((40, 30, 3), np.float32)
    files = [file(bytes_.astype(kind), "bytes.tif"), file(part, "part.tif"), file(part / 2, "other.tif")]
    sentence = other_scale(files)
    assert sentence is not None
    assert "up to 255 in bytes.tif" in sentence or "up to 254 in bytes.tif" in sentence
    assert "in part.tif (float32)" in sentence
    assert sentence.count(".") < 10
    assert other_scale(files[1:]) is None
    assert other_scale([files[0], file(bytes_.astype(np.float32), "whole.tif")]) is None  # the same numbers
    dark = file((bytes_ // 100).astype(kind), "dark.tif")
    assert other_scale([files[0], dark]) is None  # an exposure, not another scale
    assert other_scale([files[0], file(np.full((5, 5), np.nan, np.float32))]) is None


@pytest.mark.parametrize("fill", [0, 7])
def test_a_scene_that_is_mostly_empty_is_told(fill: int) -> None:
    sentence = empty_part(file(scene(0.8, fill=fill)), "CYX", None, REMEDY)
    assert sentence is not None
    assert sentence.startswith(f"a.tif: about 80% of the pixels are exactly {fill} in all 4 bands")
    assert sentence.endswith(f"say {fill}.")


@pytest.mark.parametrize("placed", [True, False])
def test_of_one_band_only_a_map_is_told(placed: bool) -> None:
    """Most of a microscope's plane may be black, and a background."""
    plane = scene(0.8, bands=1)[0]
    sentence = empty_part(ImageFile(Path("a.tif"), plane, "YX", placed=placed), "YX", None, REMEDY)
    assert (sentence is not None) == placed
    assert not placed or "exactly 0 in its band" in str(sentence)


class Pieces:
    """An array that is read when it is sliced."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, 0

    def __getitem__(self, key: Any) -> np.ndarray:
        part = self.array[key]
        self.read += part.size
        return part


def test_a_large_scene_is_looked_at_in_a_few_places() -> None:
    pieces = Pieces(scene(0.8, side=2000).transpose(1, 2, 0))
    sentence = empty_part(file(pieces), "YXC", None, REMEDY)
    assert sentence is not None
    assert 0.6 < int(sentence.split("about ")[1].split("%")[0]) / 100 < 0.95
    assert pieces.read < 0.05 * pieces.array.size
    assert empty_part(file(Pieces(scene(0.3, side=2000))), "CYX", None, REMEDY) is None


@pytest.mark.parametrize(
    ("array", "nodata"),
    [
        (scene(0.8), 0.0),  # it is known
        (scene(0.4), None),
        (scene(0.8, bands=3), None),  # a picture with a black background
        (np.where(np.arange(4)[:, None, None] == 2, 5, scene(0.8)), None),  # no number that all bands share
    ],
    ids=["stated", "less than half", "picture", "one band has data"],
)
def test_other_images_are_not_remarked_upon(array: np.ndarray, nodata: float | None) -> None:
    assert empty_part(file(array), "CYX", nodata, REMEDY) is None


def test_many_files_take_a_few_lines(capsys: pytest.CaptureFixture[str]) -> None:
    remark([file(scene(0.8, side=40), f"{number}.tif") for number in range(20)], "CYX", None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[-1] == "The same holds for 17 more."
    remark([file(scene(0.8, side=40))], "CYX", 0)
    assert capsys.readouterr().err == ""


def test_train_and_predict_say_it(run: Any, tmp_path: Path) -> None:
    """A raster with four bands, of which the last one is marked as alpha, and a border that nobody declared."""
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    values = scene(0.7, side=96).transpose(1, 2, 0)
    values[:, 40:56, 3] = 255  # with the empty border, opaque or not in most pixels
    for name, image in (("a", values.astype(np.uint8)), ("b", np.float32(values[..., :3] / 255))):
        tifffile.imwrite(
            tmp_path / "images" / f"{name}.tif", image, photometric="rgb",
            extrasamples=["unassalpha"] if image.shape[-1] == 4 else None,
        )  # fmt: skip
        tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", (values[..., 0] > 99).astype(np.uint8))
    model = tmp_path / "model.safetensors"
    paths = ("--images", tmp_path / "images", "--labels", tmp_path / "labels")
    lines = run("train", *paths, "--output", model, *QUICK).err.splitlines()
    assert [line for line in lines if line.startswith("a.tif: band 4 is marked as alpha")]
    assert [line for line in lines if line.startswith("Images of different types are learnt from together")]

    tifffile.imwrite(
        tmp_path / "six.tif", np.repeat(values, 2, axis=2)[..., :6].transpose(2, 0, 1), photometric="minisblack"
    )
    bands = tmp_path / "bands.safetensors"
    paths = ("--images", tmp_path / "six.tif", "--labels", tmp_path / "labels" / "a.tif", "--axes", "CYX")
    outcome = run("train", *paths, "--output", bands, *QUICK)
    assert "six.tif: about 71% of the pixels are exactly 0 in all 6 bands" in outcome.err, outcome.err
    assert "--nodata 0" in outcome.err
    stated = run("train", *paths, "--output", bands, "--nodata", "0", "--overwrite", *QUICK)
    assert "exactly 0" not in stated.err
    labels = tmp_path / "result.tif"
    found = run("predict", "--model", bands, "--images", tmp_path / "six.tif", "--output", labels)
    assert (found.code, "exactly 0" in found.err) == (0, False)  # the segmenter knows
    run("train", *paths, "--output", bands, "--overwrite", *QUICK)
    found = run("predict", "--model", bands, "--images", tmp_path / "six.tif", "--output", labels, "--overwrite")
    assert "gdal_edit.py -a_nodata 0" in found.err
