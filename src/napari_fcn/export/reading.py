"""Whatever can segment, from its file: this program's own, ONNX, BioImage.IO packages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..config import ModelConfig
from ..data import ClassTable
from ..data.classes import LabelClass, default_color
from ..data.normalization import Normalization, Statistics
from ..errors import FcnError, InputError
from ..segmenter import FORMAT, KEY, Segmenter
from .onnx_file import onnx_modules

__all__ = ["is_package", "keeps_weights_elsewhere", "load_any", "read_onnx"]

DESCRIPTION = "config.json"
"""In the folders of other programs' whole networks."""


def load_any(path: str | Path) -> Segmenter:
    """A segmenter from a file of this program, of ONNX, a BioImage.IO package, or a whole network of another program.

    These are told by their endings: .safetensors, .onnx, .zip or a folder with a description, and a folder of
    `save_pretrained` or a state dict in .pth or .pt.

    Raises
    ------
    InputError
        The file is missing, damaged, of another kind, or cannot be predicted with.
    """
    given = Path(path).expanduser()
    if given.suffix.lower() == ".onnx":
        return read_onnx(given)
    if given.suffix.lower() in (".pth", ".pt") or (given / DESCRIPTION).is_file():
        from .whole_networks import read_network

        return read_network(path)[0]
    if is_package(given):
        from .bioimageio_reading import read_bioimageio

        return read_bioimageio(given)
    return Segmenter.load(path)


def is_package(path: Path) -> bool:
    """Whether a path is meant as a BioImage.IO package."""
    if path.is_dir():
        return not (path / DESCRIPTION).is_file()
    return path.suffix.lower() == ".zip" or path.name in ("rdf.yaml", "bioimageio.yaml")


def read_onnx(path: Path) -> Segmenter:
    """A segmenter that ONNX Runtime computes, from a file of this program or one with Deepness's metadata.

    Raises
    ------
    InputError
        The file is missing, damaged, keeps its weights in other files, or does not say what it takes and gives.
    MissingExtraError
        onnx or onnxruntime is not installed.
    """
    from .foreign import ForeignSegmenter, RuntimeNetwork

    session, metadata = open_session(path)
    shape, output = session.get_inputs()[0].shape, session.get_outputs()[0].shape
    channels, side = _whole(shape[1]), _whole(shape[2])
    network: Any = RuntimeNetwork(session, side=side)
    if KEY in metadata:
        document = _document(path, metadata[KEY])
        try:
            stored = Normalization.from_json(document["normalization"])
            return ForeignSegmenter(
                network=network,
                model=ModelConfig.from_json(document["model"]),
                channels=int(document["channels"]),
                classes=ClassTable.from_json(document["classes"]),
                # What the encoder gets is part of the graph.
                normalization=Normalization(stored.mode, nodata=stored.nodata, dataset=stored.dataset),
                training=document["training"],
                history=document["history"],
                pixel_size=document["pixel_size"],
                source=str(path),
            )
        except (KeyError, TypeError, ValueError, FcnError) as error:
            raise InputError(f"{str(path)!r} has an incomplete description of its segmenter ({error}).") from error
    count = _whole(output[1])
    if channels is None or count is None or count < 2:
        raise InputError(
            f"{str(path)!r} was written by another program and does not say how many channels and classes it has."
        )
    return ForeignSegmenter(
        network=network,
        model=ModelConfig(weights="none"),
        channels=channels,
        classes=_classes(path, metadata, count),
        normalization=_standardization(path, metadata, channels),
        source=str(path),
    )


def open_session(path: Path) -> tuple[Any, Mapping[str, str]]:
    """An ONNX Runtime session, and the file's metadata, from a file that is complete by itself."""
    onnx, onnxruntime = onnx_modules()
    if not path.is_file():
        raise InputError(f"There is no ONNX file {str(path)!r}.")
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:
        raise InputError(f"{str(path)!r} is damaged or no ONNX file.") from error
    if keeps_weights_elsewhere(model):
        raise InputError(
            f"{str(path)!r} keeps its weights in other files, whose paths are not followed because they could lead "
            f"anywhere; save it as one file, for example with onnx.save(model, path, save_as_external_data=False)."
        )
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    except Exception as error:
        raise InputError(f"{str(path)!r} cannot be computed: {_short(error)}.") from error
    shapes = [len(part.shape) for part in (*session.get_inputs(), *session.get_outputs())]
    if shapes != [4, 4]:
        raise InputError(
            f"{str(path)!r} is no network that segments planes: it must have one input and one output with 4 axes. "
            f"Got {len(session.get_inputs())} and {len(session.get_outputs())}, with {shapes} axes."
        )
    return session, metadata


def keeps_weights_elsewhere(message: Any) -> bool:
    """Whether a tensor in any part of an ONNX model, or of what is in it, lies in another file."""
    if message.DESCRIPTOR.name == "TensorProto" and (message.data_location == 1 or message.external_data):  # EXTERNAL
        return True
    return any(
        keeps_weights_elsewhere(part)
        for field, value in message.ListFields()
        if field.message_type is not None
        for part in ([value] if hasattr(value, "ListFields") else value)
    )


def _document(path: Path, text: str) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(text)
        newest = int(document["format"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{str(path)!r} has a damaged description of its segmenter.") from error
    if newest > FORMAT:
        raise InputError(f"{str(path)!r} was written by a newer napari-fcn (format {newest}); update napari-fcn.")
    return document


def _classes(path: Path, metadata: Mapping[str, str], count: int) -> ClassTable:
    """Classes 0 to K - 1 with Deepness's names."""
    names: dict[int, str] = {}
    if "class_names" in metadata:
        try:
            names = {int(key): str(value) for key, value in json.loads(metadata["class_names"]).items()}
        except (ValueError, AttributeError) as error:
            raise InputError(f"{str(path)!r} has `class_names` that are no JSON object of names by number.") from error
    return ClassTable(tuple(LabelClass(n, names.get(n, f"class {n}"), default_color(n)) for n in range(count)))


def _standardization(path: Path, metadata: Mapping[str, str], channels: int) -> Normalization:
    """As Deepness prepares images: divided by 255, less the mean, divided by the deviation."""
    from .foreign import SCALE

    try:
        mean = np.array(json.loads(metadata.get("standardization_mean", json.dumps([0.0] * channels))), np.float64)
        std = np.array(json.loads(metadata.get("standardization_std", json.dumps([1.0] * channels))), np.float64)
    except ValueError as error:
        raise InputError(f"{str(path)!r} has a standardisation that is no JSON list of numbers.") from error
    if mean.shape != (channels,) or std.shape != (channels,) or not (std > 0).all():
        raise InputError(f"{str(path)!r} needs a mean and a deviation above 0 for each of its {channels} channels.")
    return Normalization("dataset", gain=SCALE, dataset=Statistics(mean * 255, std * 255 * SCALE))


def _whole(size: Any) -> int | None:
    return size if isinstance(size, int) else None


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
