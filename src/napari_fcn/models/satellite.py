"""Encoders that learnt from satellite images: clouds and their shadows in Sentinel-2 and Landsat scenes.

The package ukis-csmask carries four U-Nets with an EfficientNet-B4 encoder as half-precision ONNX files (Wieland, Li
and Martinis 2019, Multi-sensor cloud and cloud shadow segmentation with a convolutional neural network; Wieland,
Fichtner and Martinis 2022). They were trained on standardised reflectance of four or six bands, before ("l1c") or after
("l2a") correction for the atmosphere.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InputError
from .packaged import PackagedFile

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

__all__ = ["BANDS", "ENCODER", "SATELLITE", "SatelliteWeights", "initializers", "published_statistics"]

ENCODER = "efficientnet-b4"
FIRST_KERNEL = "encoder._conv_stem.weight"
FEWEST = 3
"""Bands that a network can be cut to: blue, green and red are a picture that it still knows something of."""
BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")


@dataclass(frozen=True)
class SatelliteWeights:
    """One of the published networks.

    Attributes
    ----------
    bands : that its images have, in this order.
    level : what their values are, "top-of-atmosphere reflectance" or "surface reflectance".
    file : where its tensors are.
    facts : where the mean and deviation of its bands are.
    """

    bands: tuple[str, ...]
    level: str
    file: PackagedFile
    facts: PackagedFile

    def check_channels(self, name: str, in_channels: int) -> None:
        """Raise `InputError` unless images have as many channels as bands, or the first three or more of them."""
        if not FEWEST <= in_channels <= len(self.bands):
            fewer = " or the first of these, at least 3" if len(self.bands) > FEWEST else ""
            raise InputError(
                f"The weights {name!r} need {len(self.bands)} channels: {', '.join(self.bands)}, in this order{fewer}. "
                f"Got {in_channels}."
            )

    def for_channels(self, tensors: dict[str, Tensor], in_channels: int) -> dict[str, Tensor]:
        """The tensors of a network for the first `in_channels` bands: as if the others were at their mean."""
        return {name: tensor[:, :in_channels] if name == FIRST_KERNEL else tensor for name, tensor in tensors.items()}


_FACTS = {
    "4b_l1c": "5577e4e5f2bec02fa4478ed6788f91dc71c8345404a7c552779183fd844e2fcd",
    "4b_l2a": "ac4108ce3b80ee70393df313faada01a7bcbe1be603965a44120e929c975f024",
    "6b_l1c": "b575f242f91699f8e2836161ebb362fba7043423cf2741d45ef58a02976b6b7f",
    "6b_l2a": "89b0df80fd67c33eb99843512f3703f3bb0415cc7f58157ce49c00d3ef88aae3",
}


def _published(bands: int, level: str, sha256: str) -> SatelliteWeights:
    file = PackagedFile(
        "ukis-csmask", "ukis_csmask", f"model_{bands}b_{level}.onnx", sha256, extra="satellite", reader="onnx"
    )
    name, checksum = f"model_{bands}b_{level}.json", _FACTS[f"{bands}b_{level}"]
    facts = PackagedFile("ukis-csmask", "ukis_csmask", name, checksum, extra="satellite")
    words = {"l1c": "top-of-atmosphere reflectance", "l2a": "surface reflectance"}
    return SatelliteWeights(BANDS[:bands], words[level], file, facts)


SATELLITE = {
    "csmask-4b-l1c": _published(4, "l1c", "81611f290adc315b86bb7e7c69b0f2496b3abe0390c2a5c8e9e9da9622e8a0c8"),
    "csmask-4b-l2a": _published(4, "l2a", "3884d75ca497ec59d8335973477bd31eb038857007bbb36fb2aba1ad375ee043"),
    "csmask-6b-l1c": _published(6, "l1c", "aa79e9a0f02ff8e0243d93771d1daf6a8d1166b7ac06c3771560b83367c6c573"),
    "csmask-6b-l2a": _published(6, "l2a", "d11c530978637ca420eedc40791c62bf78997dd39e1201777e2527e4bd94904e"),
}


def published_statistics(weights: str, channels: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and deviation `(channels,)` of the reflectance that a network learnt from, in the order of its bands.

    Raises
    ------
    InputError
        The weights are no satellite network's, or have fewer bands.
    MissingExtraError
        The package is not installed.
    """
    import numpy as np

    if weights not in SATELLITE:
        raise InputError(
            f"`normalization` 'weights' needs weights with statistics of their own: {', '.join(SATELLITE)}. "
            f"Got {weights!r}."
        )
    published = SATELLITE[weights]
    published.check_channels(weights, channels)
    document = json.loads(published.facts.read(f"The weights {weights!r}"))
    mean, std = (np.array(values, np.float64) for values in document["data"]["dataset_statistics"]["img"])
    return mean[:channels], std[:channels]


def initializers(name: str) -> dict[str, Tensor]:
    """All tensors of the network `name` in single precision, named as segmentation-models-pytorch's U-Net has them.

    Raises
    ------
    MissingExtraError, InputError
        The package is not installed, or its file is damaged.
    """
    content = SATELLITE[name].file.read(f"The weights {name!r}")
    import numpy as np
    import torch
    from onnx import load_model_from_string
    from onnx.numpy_helper import to_array

    graph = load_model_from_string(content).graph
    return {
        tensor.name.removeprefix("model."): torch.from_numpy(to_array(tensor).astype(np.float32))
        for tensor in graph.initializer
    }
