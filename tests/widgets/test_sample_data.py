from collections.abc import Callable
from typing import Any

import napari
import numpy as np
import pytest

from napari_fcn import samples


@pytest.mark.parametrize("name", samples.names())
def test_every_sample_opens_with_named_and_coloured_classes(
    make_napari_viewer: Callable[[], napari.Viewer], name: str
) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-fcn", name)
    sample = samples.load(name)
    labels = viewer.layers[f"{name} labels"]
    names = dict(zip(labels.features["index"], labels.features["name"], strict=True))
    assert names == {0: sample.zero} | {entry.value: entry.name for entry in sample.classes}
    for entry in sample.classes:
        if entry.value:
            shown = (np.asarray(labels.colormap.map(entry.value)).ravel()[:3] * 255).round().astype(int).tolist()
            assert "#{:02x}{:02x}{:02x}".format(*shown) == entry.colour
    np.testing.assert_array_equal(labels.data.squeeze(), np.stack(sample.train_labels).squeeze())


def pixels(layer: Any) -> list[tuple[float, ...]]:
    """Where a layer's first and last pixel lie in the world, in the plane."""
    last = [size - 1 for size in layer.data.shape[: layer.ndim]]
    return [tuple(layer.data_to_world([0] * layer.ndim)[-2:]), tuple(layer.data_to_world(last)[-2:])]


@pytest.mark.parametrize("name", samples.names())
def test_labels_lie_on_the_image_to_learn_from(make_napari_viewer: Callable[[], napari.Viewer], name: str) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-fcn", name)
    image, labels = viewer.layers[name], viewer.layers[f"{name} labels"]
    assert pixels(image) == pixels(labels)
    assert image.units[-2:] == labels.units[-2:]
    assert image.metadata["napari_fcn"]["zero"] == samples.load(name).zero


def test_all_bands_are_there_to_learn_from(make_napari_viewer: Callable[[], napari.Viewer]) -> None:
    viewer = make_napari_viewer()
    viewer.open_sample("napari-fcn", "landsat")
    np.testing.assert_array_equal(
        np.moveaxis(viewer.layers["landsat"].data, 0, -1), samples.load("landsat").train_images[0]
    )
