"""Regions are those of the whole image, whatever strips it is read in, and no more than a strip is read at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_fcn.geo import GeoInfo, polygonize
from napari_fcn.geo.connected import find_regions, rows_at_once

NAMES = {7: "a", 2: "b", 200: "c"}


class Watched:
    """An array that is sliced, and knows the most values that were asked for at once."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.most = array, array.shape, 0

    def __getitem__(self, key: Any) -> Any:
        found = self.array[key]
        self.most = max(self.most, found.size)
        return found


def picture(blur: float) -> tuple[Any, Any]:
    """Labels with a value that is no class, and probabilities of the classes."""
    from scipy import ndimage

    random = np.random.default_rng(0)
    scores = random.normal(size=(4, 50, 70))
    scores = ndimage.gaussian_filter(scores, (0, blur, blur)) if blur else scores
    labels = np.array([*NAMES, 0], np.uint8)[scores.argmax(axis=0)]
    chances = random.dirichlet(np.ones(3), (50, 70)).transpose(2, 0, 1).astype(np.float32)
    chances[:, labels == 0] = np.nan
    return labels, chances


@pytest.mark.parametrize("rows", [1, 7, 64])
@pytest.mark.parametrize("blur", [0, 3])
def test_strips_find_the_regions_of_the_whole(rows: int, blur: int) -> None:
    from scipy import ndimage

    labels, chances = picture(blur)
    found = find_regions(labels, list(NAMES), chances, rows=rows)
    numbers = np.concatenate([strip for _, strip in found.strips()])
    seen = 0
    for place, value in enumerate(NAMES):
        inside = labels == value
        regions, count = ndimage.label(inside)  # the oracle: one pass over the whole image
        seen += count
        pairs = np.unique(np.stack([regions[inside], numbers[inside]]), axis=1)
        assert len(pairs[0]) == count == len(np.unique(pairs[1]))
        theirs = pairs[1] - 1
        assert (found.classes[theirs] == place).all()
        np.testing.assert_array_equal(found.pixels[theirs], np.bincount(regions[inside])[1:])
        means = ndimage.mean(chances[place], regions, range(1, count + 1))
        np.testing.assert_allclose(found.probability[theirs], means, rtol=1e-6)
    assert len(found) == seen
    assert (numbers[labels == 0] == 0).all()
    np.testing.assert_array_equal(np.unique(numbers[numbers > 0], return_index=True)[0], np.arange(1, seen + 1))


def test_a_snake_through_all_strips_is_one_region() -> None:
    """Its parts meet only at the image's ends, so that each strip has many of them."""
    labels = np.full((9, 30), 7, np.int16)
    labels[:, 1::4], labels[:, 3::4] = -5, -5
    labels[0, 1::4] = labels[-1, 3::4] = 7
    found = find_regions(labels, [7], rows=2)
    assert found.pixels.tolist() == [(labels == 7).sum()]
    assert len(find_regions(np.zeros((4, 4), np.uint8), [7, 9])) == 0


def test_polygons_read_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels, chances = picture(3)
    utm = pytest.importorskip("rasterio").crs.CRS.from_epsg(32615).to_wkt()
    grid = GeoInfo(utm, (2.0, 0.0, 100.0, 0.0, -2.0, 900.0), *labels.shape, "uint8", ())
    for path in (tmp_path / "whole.geojson", tmp_path / "strips.geojson"):
        watched = Watched(labels), Watched(chances)
        assert polygonize(watched[0], grid, path, names=NAMES, probabilities=watched[1]) > 5
        monkeypatch.setattr("napari_fcn.geo.connected.STRIP_BYTES", 4 * 70 * (40 + 12))
    assert [each.most for each in watched] == [4 * 70, 3 * 4 * 70]
    assert (tmp_path / "whole.geojson").read_text() == (tmp_path / "strips.geojson").read_text()


def test_a_strip_is_bounded() -> None:
    for width in (100, 10_980, 100_000, 10_000_000):
        rows = rows_at_once(width, 20)
        assert rows == 1 or rows * width * 60 <= 150_000_000
    assert rows_at_once(10_980, 4 * 2) == 256
