"""A viewer with the plugin, small layers, and a segmenter that needs no network."""

import copy
from collections.abc import Callable, Generator, Iterator
from typing import Any

import napari
import numpy as np
import pytest
import segmentation_models_pytorch  # noqa: F401 (now, so that garbage collection leaves it and torch out)
from napari.utils.notifications import notification_manager

from napari_fcn.data import ClassTable, LabelClass
from napari_fcn.data.axes import spatial_axes
from napari_fcn.imaging import Chain
from napari_fcn.widgets import Classes, Segment, Train
from napari_fcn.widgets.preferences import FOLDER_VARIABLE
from napari_fcn.widgets.store import segmenters


class Threshold:
    """Stands in for a segmenter: 3 where the mean over the channels is above the middle, else 0."""

    classes = ClassTable((LabelClass(0, "background", "#404040"), LabelClass(3, "bright", "#ff8000")))
    nodata_value = 255
    postprocess = Chain()

    def __init__(self, channels: int = 1, rows: int = 4, error: Exception | None = None) -> None:
        self.channels, self.rows, self.error = channels, rows, error
        self.middle: float | None = None
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def predict_steps(
        self, image: Any, axes: str, **options: Any
    ) -> Generator[float, None, tuple[np.ndarray[Any, Any], Any]]:
        self.calls.append((axes, options))
        image = np.asarray(image, dtype=float)
        for row in range(self.rows):
            yield (row + 1) / self.rows
            if self.error is not None:
                raise self.error
        if "C" in axes:
            image = image.mean(axis=axes.index("C"))
        assert image.ndim == len(spatial_axes(axes))
        middle = image.mean() if self.middle is None else self.middle
        labels = np.where(image > middle, 3, 0).astype(np.uint8)
        chance = np.clip(0.5 + image - middle, 0, 1).astype(np.float32)
        return labels, np.stack([1 - chance, chance]) if options.get("probabilities") else None

    def settled_on(self, image: Any, axes: str) -> Any:
        settled = copy.copy(self)
        settled.middle = np.asarray(image, dtype=float).mean()
        return settled

    def describe(self) -> str:
        return "a threshold"


@pytest.fixture(autouse=True)
def remembers_nothing(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """What widgets remember and rescue goes where no other test and no user looks."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("memory")))


@pytest.fixture
def viewer(make_napari_viewer: Callable[..., napari.Viewer]) -> Iterator[napari.Viewer]:
    for name in list(segmenters):
        segmenters.remove(name)
    notification_manager.records.clear()
    yield make_napari_viewer()
    for name in list(segmenters):
        segmenters.remove(name)


@pytest.fixture
def train(viewer: napari.Viewer) -> Train:
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
    return widget


@pytest.fixture
def segment(viewer: napari.Viewer) -> Segment:
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Segment")
    return widget


@pytest.fixture
def classes(viewer: napari.Viewer) -> Classes:
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Classes")
    return widget


def start_anew(viewer: napari.Viewer, segment: Segment) -> None:
    """As if both had just been opened, which takes longer."""
    viewer.layers.clear()
    for name in list(segmenters):
        segmenters.remove(name)
    segment.scope.value = "layer"
    for extra in ("probabilities", "uncertainty", "objects"):
        getattr(segment, f"with_{extra}").value = False
