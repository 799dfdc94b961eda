"""Live mode's head, without a window: what is looked at when."""

from __future__ import annotations

import numpy as np
import pytest

from napari_fcn import samples
from napari_fcn.config import DataConfig, ModelConfig, TrainingConfig
from napari_fcn.models.pixel_network import PixelNetwork
from napari_fcn.training.live import LivePixels
from napari_fcn.training.preview import Window

SIZE = 96
WHOLE = Window(0, (), slice(0, SIZE), slice(0, SIZE))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows with every window whose features are computed."""
    found, features = [], PixelNetwork.features

    def noted(self: PixelNetwork, images: object) -> object:
        found.append(len(found))
        return features(self, images)  # type: ignore[arg-type]

    monkeypatch.setattr(PixelNetwork, "features", noted)
    return found


def live(count: int = 1, **data: str) -> tuple[LivePixels, list[np.ndarray]]:
    """Of so many images, and strokes of three classes on them."""
    sample = samples.load("nuclei")
    images = [image[:SIZE, :SIZE] for image in sample.train_images[:count]]
    labels = [label[:SIZE, :SIZE].astype(np.uint8) + 1 for label in sample.train_labels[:count]]
    for label in labels:
        label[::2], label[:8, :8] = 0, 3
    settings = DataConfig(zero="unlabelled", **data)
    model = ModelConfig(architecture="pixel")
    return LivePixels(images, "YXC", model=model, data=settings, config=TrainingConfig(transfer="head")), labels


@pytest.mark.slow
def test_what_was_looked_at_before_the_first_stroke_is_not_looked_at_again(looks: list[int]) -> None:
    ready, labels = live()
    steps = list(ready.get_ready(WHOLE))
    assert len(steps) > 2  # so that a stroke need not wait for the end
    assert looks
    assert not ready.fitted
    looks.clear()
    ready.update(labels)
    seen = ready.see(WHOLE)
    assert looks == []
    other, _ = live()
    other.update(labels)
    assert seen is not None
    expected = other.see(WHOLE)
    assert expected is not None
    np.testing.assert_array_equal(seen.labels, expected.labels)


@pytest.mark.parametrize(("count", "data"), [(2, {}), (1, {"normalization": "dataset"})])
def test_how_values_are_standardised_is_not_guessed(looks: list[int], count: int, data: dict[str, str]) -> None:
    ready, _ = live(count, **data)
    list(ready.get_ready(WHOLE))
    assert looks == []
