"""Registries: one list, filled without torch, that answers a wrong name with the nearest."""

from __future__ import annotations

import subprocess
import sys

import pytest

from napari_fcn import registry
from napari_fcn.errors import UnknownNameError


def test_a_name_taken_twice_is_refused() -> None:
    colours = registry.Registry("colour", owner="napari_fcn.registry")
    colours.register("red", summary="warm")(lambda: 1)
    again = colours.register("red", summary="again")
    with pytest.raises(ValueError, match="twice"):
        again(lambda: 2)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="no architecture 'unt'; the nearest is 'unet'"):
        registry.architectures["unt"]
    with pytest.raises(UnknownNameError, match="known are nearest, bilinear"):
        registry.upsampling["qqqqqq"]


def test_choices_are_there_without_torch_and_qt() -> None:
    code = (
        "import sys; from napari_fcn import registry, config, training, data; "
        "names = [list(r) for r in (registry.architectures, registry.encoders, registry.weights, registry.losses, "
        "registry.augmentations, registry.upsampling)]; assert all(names), names; "
        "config.TrainingConfig(); "
        "print(sorted({'torch', 'timm', 'qtpy', 'napari', 'segmentation_models_pytorch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
