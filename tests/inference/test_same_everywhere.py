"""However the work is cut, a pixel gets the same: one plain loop over the tiles is what everything is compared with."""

from __future__ import annotations

import math
from pathlib import Path

import dask.array
import numpy as np
import pytest
import torch
import zarr
import zarr.storage
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_fcn.inference.predict import uncertainty
from napari_fcn.inference.predictor import Output
from napari_fcn.io.pieces import ArraySink
from napari_fcn.io.store import StoreSink

from .conftest import small_segmenter

SMALL = small_segmenter()


def plain(plane, *, tile: int, overlap: int, border: int, blending: str, flips: bool) -> np.ndarray:
    """Probabilities `(3, h, w)` of a plane, by a loop in double precision that remembers the whole image."""
    plane = plane.astype(np.float64)
    low, high = np.percentile(plane, [0.1, 99.9])
    cut = plane.clip(low, high)
    plane = ((plane - cut.mean()) / (cut.std() or 1)).clip(-6, 6)
    height, width = (side + 2 * border for side in plane.shape)
    beyond = 32  # tiles begin at multiples of that where they can, and the last one may end after the plane
    padded = np.pad(plane, ((border, border + beyond),) * 2, mode="reflect")
    total, weight = np.zeros((3, height + beyond, width + beyond)), np.zeros((height + beyond, width + beyond))

    def sides(length: int):
        size = min(tile, length)
        count = 1 if length <= tile else math.ceil((length - overlap) / (tile - overlap))
        step = math.ceil((length - size) / max(count - 1, 1))
        last = length - size
        if count > 1 and math.ceil(step / 32) * 32 <= tile - overlap:
            step, last = math.ceil(step / 32) * 32, math.ceil(last / 32) * 32
        first = [min(i * step, last) for i in range(count)]
        if blending == "constant" or (overlap == 0 and count > 1 and first[1] == size):
            return size, first, np.ones(size)
        deviation = size / 8
        if count > 1:
            common = size - first[1]
            deviation = min(deviation, math.sqrt((size - common) * common / 7))
        distance = np.arange(size) + 0.5 - size / 2
        return size, first, np.maximum(np.exp(-(distance**2) / (2 * deviation**2)), 1e-30)

    (tall, tops, down), (wide, lefts, across) = sides(height), sides(width)
    network = SMALL.network.double()
    try:
        for top in tops:
            for left in lefts:
                window = torch.from_numpy(padded[None, None, top : top + tall, left : left + wide].copy())
                views = [(0, False), (0, True), (2, False), (2, True)] if flips else [(0, False)]
                mean = 0
                for turn, mirror in views:
                    view = torch.rot90(window, turn, (2, 3))
                    with torch.inference_mode():
                        found = network(view.flip(3) if mirror else view).softmax(1)
                    mean = mean + torch.rot90(found.flip(3) if mirror else found, -turn, (2, 3))[0].numpy() / len(views)
                share = np.outer(down, across)
                total[:, top : top + tall, left : left + wide] += share * mean
                weight[top : top + tall, left : left + wide] += share
    finally:
        network.float()
    inside = (slice(None), slice(border, height - border), slice(border, width - border))
    return total[inside] / weight[inside[1:]]


def in_zarr(image: np.ndarray) -> zarr.Array:
    return zarr.create_array(
        zarr.storage.MemoryStore(), data=image, chunks=tuple(min(50, size) for size in image.shape)
    )


@settings(max_examples=25)
@given(data=st.data())
def test_strips_windows_and_stores_are_the_plain_loop(data, tmp_path_factory) -> None:
    height, width = data.draw(st.integers(20, 200)), data.draw(st.integers(20, 200))
    tile, overlap = data.draw(st.sampled_from([64, 96, 128])), data.draw(st.integers(0, 32))
    border = data.draw(st.sampled_from([0, 0, 16]))
    blending = data.draw(st.sampled_from(["gaussian", "constant"]))
    dtype = data.draw(st.sampled_from(["uint8", "int16", "uint16", "float32", "float64", "bool"]))
    axes = data.draw(st.sampled_from(["YX", "XY", "ZYX", "YXT", "XZY"]))
    tta = data.draw(st.sampled_from(["none", "none", "flips"]))
    sizes = {"Y": height, "X": width, "Z": 2, "T": 2}
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    image = random.integers(0, 2 if dtype == "bool" else 200, [sizes[a] for a in axes]).astype(dtype)
    options = {"tile_size": tile, "overlap": overlap, "border": border, "blending": blending, "tta": tta}

    labels, scores = SMALL.predict(image, axes, probabilities=True, device="cpu", **options)
    np.testing.assert_allclose(scores.sum(axis=0), 1, atol=1e-5)
    np.testing.assert_array_equal(labels, np.array([3, 7, 9])[scores.argmax(axis=0)])

    source = data.draw(st.sampled_from(["numpy", "dask", "zarr"]))
    pieces = {"numpy": np.asarray, "dask": dask.array.from_array, "zarr": in_zarr}[source](image)
    predictor = SMALL.predictor(pieces, axes, device="cpu", engine="float32", **options)
    frame = predictor.frame
    plane = data.draw(st.integers(0, len(frame.planes) - 1))
    if "Z" not in axes and "T" not in axes:
        expected = plain(
            predictor.planes.read(0)[0],
            tile=tile,
            overlap=overlap,
            border=border,
            blending=blending,
            flips=tta != "none",
        )
        every = (slice(None), *frame.key(0, slice(0, height), slice(0, width)))
        np.testing.assert_allclose(frame.turned(scores[every]), expected, atol=1e-4)

    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = slice(top, data.draw(st.integers(top + 1, height))), slice(left, data.draw(st.integers(left + 1, width)))
    again = np.full(scores.shape, np.nan, np.float32)
    sink = ArraySink(again, frame)
    for region in predictor.regions(first=(plane, *window)):
        place = (slice(None), *frame.key(region.plane, region.rows, region.columns))
        assert np.isnan(again[place]).all()
        sink.write(region.plane, region.rows, region.columns, region.probabilities)
    np.testing.assert_allclose(again, scores, atol=1e-5)

    folder: Path = tmp_path_factory.mktemp("store")
    stores = [
        StoreSink(folder / "labels.zarr", frame, labels.dtype),
        StoreSink(folder / "scores.zarr", frame, "float32", classes=3),
    ]
    outputs = [Output("labels", stores[0]), Output("probabilities", stores[1])]
    assert list(predictor.write(outputs))[-1] == 1
    for store in stores:
        store.finish()
    np.testing.assert_array_equal(zarr.open_array(folder / "labels.zarr")[...], labels)
    np.testing.assert_allclose(zarr.open_array(folder / "scores.zarr")[...], scores, atol=1e-5)
    assert sorted(path.name for path in folder.iterdir()) == ["labels.zarr", "scores.zarr"]


def test_tiles_of_one_value_and_missing_ones_are_not_computed_anew() -> None:
    image = np.zeros((400, 400), np.float32)
    image[:130, :130] = np.random.default_rng(0).normal(size=(130, 130))
    image[270:] = np.nan
    predictor = SMALL.predictor(image, "YX", tile_size=64, overlap=0, device="cpu")
    count = 0
    compute = predictor._forward

    def counting(windows):
        nonlocal count
        count += len(windows)
        return compute(windows)

    predictor._forward = counting
    labels = np.zeros(image.shape, np.uint8)
    for _ in predictor.write([Output("labels", ArraySink(labels, predictor.frame))]):
        pass
    everything = len(predictor.grid.rows) * len(predictor.grid.columns)
    touched = sum(row < 130 or 207 <= row < 270 for row in predictor.grid.rows)
    assert everything == 49
    assert count <= 9 + 7 + 1 + (7 if touched > 3 else 0)
    np.testing.assert_array_equal(labels == 0, np.isnan(image))
    np.testing.assert_array_equal(labels, SMALL.predict(image, "YX", tile_size=64, overlap=0, device="cpu"))


def test_empty_parts_are_what_the_plain_loop_says() -> None:
    image = np.full((500, 430), 7, np.uint8)
    image[200:290, 100:220] = np.random.default_rng(0).integers(0, 200, (90, 120))
    scores = SMALL.predict(image, "YX", tile_size=64, overlap=24, device="cpu", probabilities=True)[1]
    expected = plain(image, tile=64, overlap=24, border=0, blending="gaussian", flips=False)
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_uncertainty_is_shannons_and_the_lead() -> None:
    from scipy.stats import entropy

    scores = np.random.default_rng(0).dirichlet(np.ones(4), size=(5, 6)).transpose(2, 0, 1).astype(np.float32)
    np.testing.assert_allclose(uncertainty(scores), entropy(scores, base=4, axis=0), atol=1e-6)
    best = np.sort(scores, axis=0)
    np.testing.assert_allclose(uncertainty(scores, "margin"), 1 - (best[-1] - best[-2]), atol=1e-6)
    assert (uncertainty(np.zeros((3, 2, 2), np.float32)) == 0).all()


def test_closing_stops_after_the_tile_under_way() -> None:
    reads = []

    class Counting:
        shape, dtype = (64, 64 * 50), np.dtype("uint8")

        def __getitem__(self, key):
            reads.append(key)
            return np.random.default_rng(0).integers(0, 9, (64, key[1].indices(self.shape[1])[1] - (key[1].start or 0)))

    predictor = SMALL.predictor(Counting(), "YX", tile_size=64, overlap=0, device="cpu")
    reads.clear()
    regions = predictor.regions()
    next(regions)
    regions.close()
    assert len(reads) <= 4
    assert len(reads) >= 1


@pytest.mark.parametrize("way", ["float32", "contiguous", "openvino"])
def test_engines_give_the_same(way: str) -> None:
    if way == "openvino":
        pytest.importorskip("openvino")
    image = np.random.default_rng(0).normal(size=(101, 91))  # no multiple of the network's stride
    expected = SMALL.predict(image, "YX", probabilities=True, engine="float32", device="cpu")[1]
    with torch.inference_mode():
        values = SMALL.predictor(image, "YX", device="cpu")
        window = values.normalization.apply(image[None], values.statistics)[0]
        direct = SMALL.network(torch.from_numpy(window[None])).softmax(1)[0].numpy()
    np.testing.assert_allclose(expected, direct, atol=1e-5)
    scores = SMALL.predict(image, "YX", probabilities=True, engine=way, device="cpu")[1]
    np.testing.assert_allclose(scores, expected, atol=1e-4)
