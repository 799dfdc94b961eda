import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image, Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_fcn.data import ClassTable, LabelClass
from napari_fcn.errors import InputError
from napari_fcn.widgets import layers


@pytest.mark.parametrize(
    ("shape", "known", "axes"),
    [
        ((64, 64), {}, "YX"),
        ((64, 64, 3), {"rgb": True}, "YXC"),
        ((5, 64, 64, 4), {"rgb": True}, "ZYXC"),
        ((5, 64, 64, 3), {"rgb": True, "axis_labels": ("t", "y", "x")}, "TYXC"),
        ((5, 64, 64), {}, "ZYX"),
        ((5, 64, 64), {"labels": (5, 64, 64)}, "ZYX"),
        ((5, 64, 64), {"labels": (64, 64)}, "CYX"),
        ((5, 64, 64), {"channels": 5}, "CYX"),
        ((64, 64, 6), {}, "YXC"),
        ((9, 5, 64, 64), {}, "TZYX"),
        ((9, 5, 64, 64), {"labels": (9, 64, 64)}, "ZCYX"),
        ((9, 5, 64, 64), {"axis_labels": ("Time", "Channel", "y", "x")}, "TCYX"),
        ((9, 5, 64, 64), {"axis_labels": ("-4", "-3", "-2", "-1")}, "TZYX"),
    ],
)
def test_axes_are_guessed_from_what_the_layer_says(shape: tuple[int, ...], known: dict, axes: str) -> None:
    assert layers.guess_axes(shape, **known) == axes


@given(st.lists(st.integers(1, 40), min_size=2, max_size=5), st.booleans())
def test_a_guess_names_every_axis_once(shape: list[int], colours: bool) -> None:
    rgb = colours and len(shape) > 2
    axes = layers.guess_axes(tuple(shape), rgb=rgb)
    assert layers.check_axes(axes, tuple(shape), "any") == axes


def test_what_the_metadata_say_comes_first() -> None:
    image = Image(np.zeros((5, 40, 40)), metadata={"napari_fcn": {"axes": "TYX"}})
    assert layers.image_axes(image) == "TYX"


@pytest.mark.parametrize("axes", ["", "YY", "YXQ", "ZC", "Y"])
def test_axes_that_are_none_are_refused(axes: str) -> None:
    with pytest.raises(InputError, match="`axes` must"):
        layers.check_axes(axes, (4, 4), "cells")


def test_shapes_that_do_not_fit_are_both_named() -> None:
    image, labels = (
        Image(np.zeros((64, 48, 3)), rgb=True, name="cells"),
        Labels(np.zeros((64, 40), int), name="painted"),
    )
    with pytest.raises(InputError, match=r"'cells' is 64 x 48 x 3 .* labels are 64 x 48\. Got 64 x 40 in 'painted'"):
        layers.check_labels("YXC", image, labels)


def test_the_finest_level_of_a_pyramid_counts() -> None:
    image = Image([np.zeros((64, 64)), np.zeros((32, 32))], multiscale=True)
    assert layers.array(image).shape == (64, 64)


TURNED_4D = np.eye(4)
TURNED_4D[2:, 2:] = [[np.cos(0.5), -np.sin(0.5)], [np.sin(0.5), np.cos(0.5)]]
GEOMETRIES = {
    "anisotropic": ((6, 20, 30), {"scale": (4, 0.5, 0.5), "translate": (1, 2, 3)}, "ZYX"),
    "rotated": ((20, 30), {"rotate": 30, "shear": [0.2], "scale": (2, 3)}, "YX"),
    "rotated in 3D": ((6, 20, 30), {"rotate": (10, 20, 30), "shear": (0.1, 0.2, 0.3)}, "ZYX"),
    "affine": ((20, 30), {"affine": [[1, 0.3, 4], [0.1, 2, 5], [0, 0, 1]]}, "YX"),
    "micrometres": ((20, 30), {"scale": (0.2, 0.2), "units": ("um", "um"), "axis_labels": ("y", "x")}, "YX"),
    "colours": ((20, 30, 3), {"rgb": True, "scale": (2, 3), "units": ("mm", "mm")}, "YXC"),
    "colours over time": ((4, 20, 30, 3), {"rgb": True, "scale": (9, 2, 3), "axis_labels": ("t", "y", "x")}, "TYXC"),
    "channels first": (
        (5, 20, 30),
        {"scale": (7, 2, 3), "translate": (1, 2, 3), "units": ("pixel", "um", "um")},
        "CYX",
    ),
    "channels last": ((20, 30, 5), {"scale": (2, 3, 7), "translate": (2, 3, 1), "units": ("um", "um", "pixel")}, "YXC"),
    "slices over time": (
        (3, 6, 20, 30),
        {"scale": (60, 4, 0.5, 0.5), "translate": (5, 1, 2, 3), "units": ("s", "um", "um", "um")},
        "TZYX",
    ),
    "slices over time, turned": ((3, 6, 20, 30), {"rotate": TURNED_4D, "scale": (60, 4, 0.5, 0.5)}, "TZYX"),
    "channels over time": ((3, 5, 20, 30), {"scale": (60, 1, 2, 3), "axis_labels": ("t", "c", "y", "x")}, "TCYX"),
    "channels between": ((4, 5, 20, 30), {"scale": (4, 7, 2, 3), "axis_labels": ("z", "c", "y", "x")}, "ZCYX"),
}


@pytest.mark.filterwarnings("ignore:Non-orthogonal slicing")  # napari shows such layers as well as it can
@pytest.mark.parametrize("name", GEOMETRIES)
def test_labels_lie_where_their_image_lies(name: str) -> None:
    shape, options, axes = GEOMETRIES[name]
    image = Image(np.zeros(shape), **options)
    labels = Labels(np.zeros(layers.labels_shape(axes, shape), int), **layers.geometry(image, axes))
    visible = axes[:-1] if image.rgb else axes
    kept = [index for index, axis in enumerate(visible) if axis != "C"]
    for corner in np.ndindex(*(2,) * len(kept)):
        position = [0] * image.ndim
        for index, part in zip(kept, corner, strict=True):
            position[index] = 10 * part
        expected = np.asarray(image.data_to_world(position))[kept]
        np.testing.assert_allclose(labels.data_to_world([10 * part for part in corner]), expected)
    assert labels.units == tuple(image.units[index] for index in kept)
    assert labels.axis_labels == tuple(image.axis_labels[index] for index in kept)


@pytest.mark.parametrize(
    ("scale", "unit", "size"), [(0.5, "um", 0.5), (500, "nm", 0.5), (30, "m", 30), (1, "km", 1000), (1, "pixel", None)]
)
def test_pixels_are_measured_in_micrometres_or_metres(scale: float, unit: str, size: float | None) -> None:
    image = Image(np.zeros((8, 8)), scale=(scale, scale), units=(unit, unit))
    assert layers.pixel_size(image, "YX") == (size if size is None else pytest.approx(size))
    assert layers.pixel_size(Image(np.zeros((8, 8)), scale=(1, 2), units=("um", "um")), "YX") is None


def test_class_names_and_colours_go_into_a_layer_and_come_back() -> None:
    table = ClassTable((LabelClass(2, "nucleus", "#ff8000"), LabelClass(7, "cell", "#0080ff")))
    style = layers.class_style(table, nodata=0)
    layer = Labels(np.array([[0, 2], [7, 2]]), **style)
    assert layers.class_names(layer) == {2: "nucleus", 7: "cell"}
    assert layers.class_colors(layer.colormap, [0, 2, 7]) == {2: "#ff8000", 7: "#0080ff"}
    assert layer.colormap.map(0)[..., 3] == 0


@pytest.mark.parametrize(
    ("features", "names"),
    [
        ({}, {}),
        ({"area": [1.0, 2.0]}, {}),
        ({"name": ["sky", "sea"]}, {0: "sky", 1: "sea"}),
        ({"index": [4, 9], "area": [1.0, 2.0], "kind": ["sky", "sea"]}, {4: "sky", 9: "sea"}),
    ],
)
def test_class_names_are_found_in_features(features: dict, names: dict[int, str]) -> None:
    assert layers.class_names(Labels(np.zeros((4, 4), int), features=features)) == names


def test_every_colormap_of_labels_gives_colours() -> None:
    cyclic = Labels(np.array([[0, 1], [2, 3]]))
    direct = Labels(
        np.array([[0, 1]]), colormap=DirectLabelColormap(color_dict={None: "red", 0: "black", 1: "#123456"})
    )
    assert set(layers.class_colors(cyclic.colormap, [0, 1, 2])) == {1, 2}
    assert layers.class_colors(direct.colormap, [1, 5]) == {1: "#123456", 5: "#ff0000"}


def test_a_snapshot_does_not_change_with_the_layer() -> None:
    layer = Labels(np.zeros((4, 4), int))
    copy = layers.snapshot(layer)
    layer.data_setitem((np.array([1]), np.array([1])), 5)
    assert not copy.any()
