"""The engine that is taken is the fastest one that agrees, and is measured once."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from napari_fcn.inference import choose, predictor
from napari_fcn.inference.engine import Engine
from napari_fcn.inference.fold import folded
from napari_fcn.inference.footprint import bytes_per_pixel, largest_tile

from .conftest import small_segmenter

NETWORK = small_segmenter().network
ENGINE = Engine("cpu", "float32")
# Seconds that each way takes, and the part of the pixels whose label it changes.
SPEEDS = {"float32": (0.03, 0.0), "contiguous": (0.06, 0.0), "quick": (0.001, 0.0), "careless": (0.0, 0.002)}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The ways that are made in order to be measured, by a clock that nothing else moves."""
    made: list[str] = []
    clock = [0.0]

    def make(network, channels, way, engine):
        made.append(way)
        seconds, wrong = SPEEDS[way]

        def forward(windows):
            clock[0] += seconds
            scores = torch.zeros(1, 2, 100, 100)
            scores[0, 1].view(-1)[: round(wrong * 10000)] = 1
            return scores

        return forward

    monkeypatch.setattr(choose, "time", SimpleNamespace(perf_counter=lambda: clock[0]))
    monkeypatch.setattr(choose, "make_forward", make)
    monkeypatch.setattr(choose, "memory_file", lambda: tmp_path / "cache" / "engines.json")
    return made


def sample() -> np.ndarray:
    return np.zeros((1, 100, 100), np.float32)


def test_the_fastest_that_agrees_is_taken_and_remembered(measured, monkeypatch) -> None:
    monkeypatch.setattr(choose, "possible_ways", lambda engine: list(SPEEDS))
    assert choose.choose_way(NETWORK, 1, ENGINE, sample) == "quick"
    assert measured == list(SPEEDS)
    assert choose.choose_way(NETWORK, 1, ENGINE, lambda: pytest.fail("It was measured again.")) == "quick"
    # Other weights, or a way that was not there before, are measured anew.
    assert choose.choose_way(small_segmenter(2).network, 1, ENGINE, sample) == "quick"
    assert len(measured) == 8
    monkeypatch.setattr(choose, "possible_ways", lambda engine: ["float32", "contiguous"])
    assert choose.choose_way(NETWORK, 1, ENGINE, sample) == "float32"
    assert len(measured) == 10


def test_a_busy_machine_does_not_decide() -> None:
    """One of two times is ten times as long as on an idle machine; the shortest ones agree, and no more are taken."""
    busy = iter([1.0, 0.1, 0.9, 0.105, 0.1])
    assert choose._seconds(lambda: next(busy), 0.2) == 0.1
    assert list(busy) == [0.1]
    hopeless = iter([1.0, 0.5, 0.1])
    assert choose._seconds(lambda: next(hopeless), 0.2) == 0.5
    never = iter([8.0, 4.0, 2.0, 1.0, 0.5, 0.25, 0.1])
    assert choose._seconds(lambda: next(never), 9) == 0.25


ALL = ["float32", "contiguous", "bfloat16", "openvino"]


@pytest.mark.parametrize(("pixels", "measured"), [(900, []), (1200, [["float32", "bfloat16"]]), (4100, [ALL])])
def test_small_images_are_not_worth_measuring(monkeypatch, pixels: int, measured: list[list[str]]) -> None:
    given = []

    def choosing(network, channels, engine, sample, ways):
        given.append(ways)
        return "float32"

    monkeypatch.setattr(predictor, "possible_ways", lambda engine: ALL)
    monkeypatch.setattr(predictor, "choose_way", choosing)
    small_segmenter().predictor(np.zeros((pixels, pixels), np.uint8), "YX", device="cpu")
    assert given == measured


def test_a_damaged_or_unwritable_memory_is_no_obstacle(measured, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(choose, "possible_ways", lambda engine: ["float32", "quick"])
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "engines.json").write_text("{")
    assert choose.choose_way(NETWORK, 1, ENGINE, sample) == "quick"
    monkeypatch.setattr(choose, "memory_file", lambda: tmp_path / "cache" / "engines.json" / "below" / "a.json")
    assert choose.choose_way(NETWORK, 1, ENGINE, sample) == "quick"


def test_folding_changes_nothing_but_the_normalisation() -> None:
    network = small_segmenter().network
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.running_mean)
            torch.nn.init.uniform_(module.running_var, 0.5, 2)
    quick = folded(network, 1)
    assert any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in quick.modules())
    image = torch.randn(1, 1, 70, 50)
    with torch.inference_mode():
        torch.testing.assert_close(quick(image), network(image), atol=1e-4, rtol=1e-4)


def test_a_normalisation_that_follows_something_else_is_left_alone() -> None:
    class Misleading(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(1, 4, 3, padding=1)
            self.normalise = torch.nn.BatchNorm2d(4)

        def forward(self, images):
            return self.normalise(self.first(images).relu())

    network = Misleading().eval()
    torch.nn.init.normal_(network.normalise.running_mean)
    image = torch.randn(1, 1, 20, 20)
    with torch.inference_mode():
        torch.testing.assert_close(folded(network, 1)(image), network(image))


def test_the_features_of_two_convolutions_are_counted() -> None:
    """Image, first result and second result: at most two of 8 channels and the image are there at once."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 1), torch.nn.Conv2d(8, 8, 1))
    assert bytes_per_pixel(network, 1) == pytest.approx(1.25 * 4 * (8 + 8), rel=0.15)
    assert largest_tile(100, 100 * 1000**2) == 992
    assert largest_tile(1e9, 1) == 256
