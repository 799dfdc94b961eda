"""Starting a training from a BioImage.IO package: its PyTorch or ONNX weights, where they fit a network of here."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import ModelConfig
from ..data import ClassTable
from ..data.normalization import Normalization
from ..errors import FcnError, InputError
from ..models import NetworkSpec
from ..models.build import build_with
from ..segmenter import Segmenter
from .bioimageio_reading import class_names, open_package, own_document

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["start_from_package"]


def start_from_package(path: Path, options: Mapping[str, Any]) -> tuple[Segmenter | None, dict[str, Any], str]:
    """As `read_start`, for a package.

    Packages of this program are the segmenters that they were made of. Of others, the tensors are looked through as
    those of a state dict; Python code that a package brings to build its network is not run.

    Raises
    ------
    InputError
        The package is damaged, or its weights are of a network that is not known here.
    """
    document, read = open_package(path)
    weights = document.get("weights") or {}
    own = own_document(document)
    if own is not None and "pytorch_state_dict" in weights:
        return _own_segmenter(path, own, _state(path, weights, read)), {}, ""
    tensors = _state(path, weights, read) if "pytorch_state_dict" in weights else _graph(path, weights, read)
    from .whole_networks import find_in, segmenter_of

    found = find_in(tensors, repr(str(path)), architecture=options.get("architecture"), encoder=options.get("encoder"))
    if not found.whole:
        raise InputError(f"{found.report} Only packages whose whole network is known here can be started from.")
    names = class_names(document)
    return segmenter_of(found, str(path), names if len(names) == max(2, found.classes) else None), {}, found.report


def _own_segmenter(path: Path, own: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Segmenter:
    try:
        model, classes = ModelConfig.from_json(own["model"]), ClassTable.from_json(own["classes"])
        channels = int(own["channels"])
        own_tensors = {name.removeprefix("network."): tensor for name, tensor in tensors.items()}
        network = build_with(NetworkSpec(model, channels, len(classes)), own_tensors)
        network.load_state_dict(own_tensors)
        return Segmenter(
            network.eval(),
            model,
            channels,
            classes,
            Normalization.from_json(own["normalization"]),
            own["training"],
            own["history"],
            own["pixel_size"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError, FcnError) as error:
        raise InputError(f"{str(path)!r} does not hold the segmenter that it describes.") from error


def _state(path: Path, weights: Mapping[str, Any], read: Any) -> dict[str, Tensor]:
    import torch

    from ..models.weights_file import DAMAGE, innermost

    content = read(weights["pytorch_state_dict"]["source"])
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, *DAMAGE) as error:
        raise InputError(
            f"The PyTorch weights of {str(path)!r} are damaged, or hold Python objects, which could run code."
        ) from error
    return {str(name): tensor for name, tensor in innermost(loaded).items() if isinstance(tensor, torch.Tensor)}


def _graph(path: Path, weights: Mapping[str, Any], read: Any) -> dict[str, Tensor]:
    """The tensors of an ONNX graph, by the names that the exporter kept."""
    import numpy as np
    import torch

    from .onnx_file import onnx_modules
    from .reading import keeps_weights_elsewhere

    if "onnx" not in weights:
        raise InputError(
            f"{str(path)!r} has neither PyTorch nor ONNX weights, which training can start from. It has "
            f"{', '.join(weights) or 'none'}."
        )
    onnx, _ = onnx_modules()
    try:
        model = onnx.load_model_from_string(read(weights["onnx"]["source"]))
    except Exception as error:
        raise InputError(f"The ONNX weights of {str(path)!r} are damaged.") from error
    if keeps_weights_elsewhere(model):
        raise InputError(f"The ONNX weights of {str(path)!r} are in other files, whose paths are not followed.")
    tensors = model.graph.initializer
    return {tensor.name: torch.from_numpy(np.array(onnx.numpy_helper.to_array(tensor))) for tensor in tensors}
