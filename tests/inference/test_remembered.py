"""Graphs that were recorded once are read the next time, and never trusted when they are damaged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_fcn.inference import openvino_graph, remembered

from .conftest import small_segmenter

pytest.importorskip("openvino")

IMAGE = torch.randn(1, 1, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[torch.nn.Module]:
    """Networks whose graph was recorded, as in a process that has not recorded any."""
    found: list[torch.nn.Module] = []
    record = openvino_graph.OpenvinoLogits._recorded

    def counting(self, network, height, width, **options):
        found.append(network)
        return record(self, network, height, width, **options)

    monkeypatch.setattr(openvino_graph.OpenvinoLogits, "_recorded", counting)
    monkeypatch.setattr(remembered, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr(openvino_graph, "_general_graphs", type(openvino_graph._general_graphs)())
    return found


def logits(network: torch.nn.Module) -> torch.Tensor:
    """As a new process computes them."""
    openvino_graph._general_graphs.clear()
    return openvino_graph.OpenvinoLogits(network, 1, "f32")(IMAGE).clone()


def test_a_graph_is_recorded_once(recorded, tmp_path) -> None:
    network = small_segmenter().network
    with torch.inference_mode():
        expected = network(IMAGE)
    for _ in range(2):
        torch.testing.assert_close(logits(network), expected, atol=1e-4, rtol=1e-4)
    assert len(recorded) == 1
    (graph,) = (tmp_path / "cache" / "graphs").iterdir()
    (graph / "graph.xml").write_text((graph / "graph.xml").read_text()[:300])
    torch.testing.assert_close(logits(network), expected, atol=1e-4, rtol=1e-4)
    assert len(recorded) == 2


def test_only_some_graphs_are_kept_and_no_place_is_no_obstacle(recorded, monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(remembered, "KEPT", 1)
    first, second = small_segmenter().network, small_segmenter().network
    with torch.no_grad():
        second.head.weight *= 2
    for network in (first, second, second):
        logits(network)
    assert len(recorded) == 2
    assert len(list((tmp_path / "cache" / "graphs").iterdir())) == 1
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(remembered, "cache_folder", lambda: tmp_path / "file")
    assert logits(first).shape == (1, 3, 64, 96)
