"""Standardised values do not depend on units or dtype, and missing pixels take no part."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.data import Normalization, Planes
from napari_fcn.data.normalization import statistics
from napari_fcn.errors import InputError

BASE = np.random.default_rng(0).integers(0, 200, (2, 40, 50))


@given(
    st.sampled_from(["uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]),
    st.sampled_from([0, 20, 40]),
)
def test_the_same_picture_in_any_dtype_looks_the_same(dtype: str, offset: int) -> None:
    planes = Planes((BASE + offset).astype(dtype), "CYX")
    normalization = Normalization("image")
    values, gone = normalization.apply(planes.read(0), normalization.fit(planes))
    expected = (BASE - BASE.mean(axis=(1, 2), keepdims=True)) / BASE.std(axis=(1, 2), keepdims=True)
    assert gone is None
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, expected, atol=1e-3)


def test_contrast_on_top_of_a_large_offset_survives() -> None:
    planes = Planes(BASE + 10**9, "CYX")
    normalization = Normalization("image")
    values, _ = normalization.apply(planes.read(0), normalization.fit(planes))
    np.testing.assert_allclose(values.std(axis=(1, 2)), 1, atol=0.01)


def test_booleans_and_constant_channels_are_fine() -> None:
    array = np.zeros((2, 8, 8), bool)
    array[1, :4] = True
    planes = Planes(array, "CYX")
    normalization = Normalization("image")
    values, _ = normalization.apply(planes.read(0), normalization.fit(planes))
    assert np.isfinite(values).all()
    assert (values[0] == 0).all()


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf, -9999.0])
def test_missing_pixels_change_no_statistics_and_are_told(hole: float) -> None:
    whole = BASE.astype(np.float32)
    holed = whole.copy()
    holed[:, 10:20, 10:30] = hole
    normalization = Normalization("image", nodata=-9999.0)
    fitted = normalization.fit(Planes(holed, "CYX"))
    values, gone = normalization.apply(holed, fitted)
    assert gone is not None
    assert gone.sum() == 200
    assert np.isfinite(values).all()
    assert (values[:, gone] == 0).all()
    seen = whole.reshape(2, -1)[:, ~gone.ravel()]
    np.testing.assert_allclose(fitted.mean, seen.mean(axis=1), rtol=1e-3)


def test_an_image_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="every pixel is NaN, infinite or the nodata value"):
        statistics([Planes(np.full((5, 5), np.nan), "YX")], None)


def test_a_large_image_is_sampled_not_read_whole() -> None:
    class Watched:
        shape, dtype, read = (20_000, 1000), np.dtype(np.uint16), 0

        def __getitem__(self, key):
            rows, columns = np.arange(20_000)[key[0]], np.arange(1000)[key[1]]
            Watched.read += rows.size * columns.size
            return (rows[:, None] + columns[None]).astype(np.uint16)

    fitted = statistics([Planes(Watched(), "YX")], None)
    assert Watched.read < 2_000_000
    assert fitted.mean[0] == pytest.approx(10_500, rel=0.01)


def test_the_record_survives_json() -> None:
    planes = Planes(BASE, "CYX")
    normalization = Normalization("dataset", 0.4, -0.1, nodata=0.0, dataset=statistics([planes], 0.0))
    again = Normalization.from_json(json.loads(json.dumps(normalization.to_json())))
    np.testing.assert_array_equal(
        again.apply(BASE, again.fit(planes))[0], normalization.apply(BASE, normalization.fit(planes))[0]
    )
