"""Images that lie in every way in which napari can put them: pixels, options of the layer, channels, axes."""

from typing import Any

import dask.array as da
import numpy as np

__all__ = ["IMAGES"]

RANDOM = np.random.default_rng(0)

IMAGES: dict[str, tuple[Any, dict[str, Any], int, str]] = {
    "plain": (RANDOM.random((24, 32)), {"scale": (0.5, 0.25), "translate": (3, 4)}, 1, "YX"),
    "rotated": (RANDOM.random((24, 32)), {"rotate": 30, "shear": [0.1], "affine": np.diag([2, 3, 1])}, 1, "YX"),
    "micrometres": (RANDOM.random((24, 32)), {"units": ("um", "um"), "axis_labels": ("y", "x")}, 1, "YX"),
    "colours": (RANDOM.random((24, 32, 3)), {"rgb": True, "scale": (2, 3)}, 3, "YXC"),
    "channels": (RANDOM.random((5, 24, 32)), {"scale": (1, 2, 3), "units": ("pixel", "um", "um")}, 5, "CYX"),
    "turned in space": (
        RANDOM.random((5, 24, 32)),
        {"rotate": (10, 20, 30), "scale": (4, 0.5, 0.5), "translate": (1, 2, 3), "units": ("um", "um", "um")},
        1,
        "ZYX",
    ),
    "slices": (RANDOM.random((5, 24, 32)), {"scale": (9, 2, 3), "units": ("um", "um", "um")}, 1, "ZYX"),
    "time and slices": (RANDOM.random((2, 3, 24, 32)), {"translate": (1, 2, 3, 4)}, 1, "TZYX"),
    "dask": (da.from_array(RANDOM.random((3, 24, 32))), {}, 1, "ZYX"),
    "colours over time": (
        RANDOM.random((2, 24, 32, 3)),
        {"rgb": True, "scale": (9, 2, 3), "axis_labels": ("t", "y", "x")},
        3,
        "TYXC",
    ),
    "channels between": (
        RANDOM.random((2, 5, 24, 32)),
        {"scale": (4, 1, 2, 3), "axis_labels": ("z", "c", "y", "x"), "units": ("um", "pixel", "um", "um")},
        5,
        "ZCYX",
    ),
    "pyramid of channels from dask": (
        [da.from_array(RANDOM.random((5, 64, 64))), da.from_array(RANDOM.random((5, 32, 32)))],
        {"multiscale": True, "scale": (1, 2, 3), "translate": (0, 4, 5), "axis_labels": ("c", "y", "x")},
        5,
        "CYX",
    ),
    "pyramid": ([RANDOM.random((64, 64)), RANDOM.random((32, 32))], {"multiscale": True, "scale": (2, 3)}, 1, "YX"),
}
