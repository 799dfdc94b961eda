"""Filters of images: what they compute is compared with scikit-image; what all must hold is asked of each."""

from typing import Any

import numpy as np
import pytest
import skimage
from scipy import ndimage
from skimage import exposure, morphology, restoration

from napari_fcn.imaging import Chain
from napari_fcn.registry import filters

BEFORE = [name for name, entry in filters.items() if entry.details["stage"] == "before"]
GREY = skimage.data.camera()[100:164, 200:280]
COLOUR = np.moveaxis(skimage.data.astronaut()[:60, 200:270], -1, 0)


def alone(text: str, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return Chain.parse(text).like(image[None])[0]


def test_percentile_is_the_stretch_of_scikit_image() -> None:
    low, high = np.percentile(GREY, [2, 90])
    expected = exposure.rescale_intensity(GREY.astype(float), (low, high), (0, 255))
    np.testing.assert_allclose(alone("percentile:low=2,high=90", GREY), expected, atol=0.51)
    expected = exposure.rescale_intensity(GREY * 3.5, (low * 3.5, high * 3.5), (0, 1))
    np.testing.assert_allclose(alone("percentile:low=2,high=90", GREY * 3.5), expected, atol=1e-6)


def test_clahe_is_that_of_scikit_image() -> None:
    image = GREY.astype(np.float32)
    low, high = image.min(), image.max()
    expected = exposure.equalize_adapthist((image - low) / (high - low), kernel_size=32, clip_limit=0.02)
    np.testing.assert_allclose(alone("clahe:tile=32,limit=0.02", image), low + expected * (high - low), rtol=1e-4)


def test_a_small_ball_is_that_of_scikit_image_and_a_large_one_is_near_it() -> None:
    low, high = GREY.min(), GREY.max()
    landscape = (GREY - low) * (255 / (high - low))
    for radius, most, mean in ((8, 0.51, 0.5), (20, 20, 3)):
        expected = (landscape - restoration.rolling_ball(landscape, radius=radius)) / 255 * (high - low)
        difference = np.abs(alone(f"background:radius={radius}", GREY) - expected)
        assert difference.max() <= most
        assert difference.mean() <= mean


def test_a_tilted_ground_is_taken_away_and_spots_stay() -> None:
    rows, columns = np.mgrid[:80, :90]
    tilt = 100.0 + 0.4 * rows + 0.2 * columns
    spots = np.zeros(tilt.shape)
    spots[20:24, 30:34] = spots[60:64, 70:74] = 80
    for image, ground in ((tilt + spots, "dark"), (500 - tilt - spots, "bright")):
        flat = alone(f"background:radius=15,ground={ground}", image)
        flat = flat if ground == "dark" else flat.max() - flat
        # The edge is where a ball cannot reach below the slope.
        assert np.abs(flat - spots)[8:-8, 8:-8].max() < 6


def test_gaussian_median_and_gamma_are_those_of_other_libraries() -> None:
    np.testing.assert_allclose(
        alone("gaussian:sigma=1.5", GREY * 1.0), ndimage.gaussian_filter(GREY * 1.0, 1.5), rtol=1e-5
    )
    expected = ndimage.median_filter(GREY, footprint=morphology.disk(3), mode="reflect")
    np.testing.assert_array_equal(alone("median:radius=3", GREY), expected)
    np.testing.assert_allclose(
        alone("gamma:exponent=0.5", GREY), exposure.adjust_gamma(GREY, 0.5).astype(float), atol=1
    )


def test_nl_means_takes_away_noise_that_it_measures() -> None:
    clean = np.where(np.add.outer(np.arange(80), np.arange(80)) // 16 % 2, 200.0, 50.0)
    noisy = clean + np.random.default_rng(0).normal(0, 12, clean.shape)
    expected = restoration.denoise_nl_means(noisy, 5, 6, h=0.8 * 12, sigma=12, fast_mode=True)
    result = alone("nl_means", noisy)
    assert np.sqrt(np.mean((result - clean) ** 2)) < 6
    assert np.sqrt(np.mean((result - expected) ** 2)) < 2  # the noise was measured, not told


@pytest.mark.parametrize("name", BEFORE)
@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint16", "int16", "int32", "float32", "float64"])
def test_every_type_and_number_of_channels(name: str, dtype: str) -> None:
    image = (COLOUR[:, :24, :20] > 90) if dtype == "bool" else COLOUR[:, :24, :20].astype(dtype)
    chain = Chain.parse(name)
    for channels in (image[:1], np.concatenate([image, image, image[:1]])):
        before = channels.copy()
        result = chain.like(channels)
        assert result.shape == channels.shape
        assert result.dtype == chain.image_dtype(dtype)
        np.testing.assert_array_equal(channels, before)
        floats = chain.image(channels)
        assert floats.dtype in (np.float32, np.float64)
        assert np.isfinite(floats).all()
    flat = np.full((2, 16, 16), 1, dtype)
    assert np.isfinite(chain.image(flat)).all()
    tiny = chain.image(image[:, :2, :1])
    assert tiny.shape == (3, 2, 1)


@pytest.mark.parametrize("name", BEFORE)
def test_missing_pixels_stay_missing_and_do_not_bleed(name: str) -> None:
    image = GREY.astype(np.float64)[None]
    hole = np.zeros(GREY.shape, bool)
    hole[20:30, 30:45] = True
    chain = Chain.parse(name)
    results = []
    for missing in (np.nan, -1e6, np.inf):
        given = np.where(hole, missing, image)
        result = chain.image(given, nodata=-1e6)
        assert np.isnan(result[:, hole]).all()
        assert np.isfinite(result[:, ~hole]).all()
        results.append(result)
        np.testing.assert_array_equal(chain.like(given, nodata=-1e6)[:, hole], given[:, hole])
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_data_never_becomes_the_value_of_missing_pixels() -> None:
    image = np.array([[[5, 5, 9], [50, 70, 90], [0, 0, 200]]], np.uint8)
    chain = Chain.parse("percentile:low=10,high=90")
    result = chain.like(image, nodata=0)
    assert (result == 0).sum() == 2
    floats = chain.image(image, nodata=0)
    assert np.isnan(floats).sum() == 2
    assert (floats != 0).all()
    everything = np.zeros((1, 4, 4), np.uint8)
    np.testing.assert_array_equal(chain.like(everything, nodata=0), everything)
    assert np.isnan(chain.image(everything, nodata=0)).all()


def test_large_integers_keep_their_contrast() -> None:
    image = (np.arange(256, dtype=np.int32).reshape(1, 16, 16) + 2**30).astype(np.int32)
    result = Chain.parse("gaussian:sigma=0.1").like(image)
    np.testing.assert_array_equal(result, image)
