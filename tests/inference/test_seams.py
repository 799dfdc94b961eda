"""Tiles leave no seams in what a trained network segments."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_fcn
from napari_fcn.io import read_image, read_labels

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_along_borders_of_tiles_nothing_is_worse_than_elsewhere() -> None:
    spec = importlib.util.spec_from_file_location("seams", ROOT / "benchmarks" / "seams.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    folder = ROOT / "src" / "napari_fcn" / "samples" / "nuclei"
    images, masks = [], []
    for path in sorted((folder / "images").iterdir())[:6]:
        image = np.asarray(read_image(path).array)
        image = image[..., :3].mean(-1).astype(np.uint8) if image.ndim == 3 else image
        label = next((folder / "labels").glob(f"{path.stem}.*"))
        images.append(image[:256, :256])
        masks.append((np.asarray(read_labels(label))[:256, :256] > 0).astype(np.uint8))
    segmenter = napari_fcn.train(
        images[:4], masks[:4], axes="YX", device="cpu", zero="background", steps=30, patch_size=64, batch_size=4, seed=0
    )
    apart = benchmark.seams(segmenter, images[4:], masks[4:], tile=128, overlap=0)
    usual = benchmark.seams(segmenter, images[4:], masks[4:], tile=160, overlap=64)
    wide = benchmark.seams(segmenter, images[4:], masks[4:], tile=192, overlap=96)

    def not_worse(found: dict[str, Any], name: str) -> bool:
        along, elsewhere = found[name]
        noise = 3 * np.sqrt(max(elsewhere, 1e-4) / found["border pixels"])
        return bool(along <= 1.1 * elsewhere + noise)

    for found in (usual, wide):
        for name in ("wrong", "other than in one pass", "changes"):
            assert not_worse(found, name), (name, found)
        assert found["wrong"][1] < 0.2  # it has learnt something
        assert found["changes"][1] > 0  # and finds both classes
    assert not not_worse(apart, "changes")  # seams would be seen
    assert usual["other than in one pass"][0] < apart["other than in one pass"][0] / 3
