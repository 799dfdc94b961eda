"""BioImage.IO packages of other people: 2D semantic segmentation, run from their ONNX weights."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from ..config import ModelConfig
from ..data import ClassTable
from ..data.classes import LabelClass, default_color
from ..data.normalization import Normalization, Statistics
from ..errors import FcnError, InputError
from ..segmenter import KEY, Segmenter

__all__ = ["class_names", "open_package", "own_document", "read_bioimageio"]

DESCRIPTIONS = ("rdf.yaml", "bioimageio.yaml")


def read_bioimageio(path: Path) -> Segmenter:
    """A segmenter from a package: a .zip file, its folder, or the description in it.

    Raises
    ------
    InputError
        It is missing, damaged, no model of a plane's classes, or needs what is not known here; the message says which.
    """
    from .foreign import ForeignSegmenter, RuntimeNetwork
    from .reading import open_session

    document, read = open_package(path)
    try:
        (entry,), (result,) = document["inputs"], document["outputs"]
        weights = document["weights"]
        version = str(document["format_version"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{str(path)!r} must describe a model with one input, one output and weights, and does not."
        ) from error
    if not version.startswith("0.5"):
        raise InputError(f"{str(path)!r} has the description format {version}; known is 0.5.")
    if "onnx" not in weights:
        raise InputError(f"{str(path)!r} has no ONNX weights, which are what can be run. It has {', '.join(weights)}.")
    axes = [[str(axis.get("id", axis.get("type"))) for axis in part["axes"]] for part in (entry, result)]
    if axes != [["batch", "channel", "y", "x"]] * 2:
        raise InputError(f"{str(path)!r} must take and give axes batch, channel, y, x. Got {axes[0]} and {axes[1]}.")
    with tempfile.TemporaryDirectory(prefix="napari-fcn-") as folder:
        graph = Path(folder, "weights.onnx")
        graph.write_bytes(read(weights["onnx"]["source"]))
        session, _ = open_session(graph)
    names, classes = (part["axes"][1].get("channel_names") for part in (entry, result))
    size = entry["axes"][2].get("size")
    side = size if isinstance(size, int) else None
    network: Any = RuntimeNetwork(
        session,
        side=side,
        multiple=int(size.get("step", 1)) if isinstance(size, Mapping) else 1,
        smallest=int(size.get("min", 1)) if isinstance(size, Mapping) else 1,
        **_activation(path, result),
    )
    own = own_document(document)
    if own is not None:
        stored = Normalization.from_json(own["normalization"])
        normalization = Normalization(stored.mode, nodata=stored.nodata, dataset=stored.dataset)
        table = ClassTable.from_json(own["classes"])
    else:
        normalization = _normalization(path, entry.get("preprocessing", []), len(names))
        labels = list(classes) if len(classes) > 1 else ["background", *classes]
        table = ClassTable(tuple(LabelClass(n, str(name), default_color(n)) for n, name in enumerate(labels)))
    return ForeignSegmenter(
        network=network,
        model=ModelConfig(weights="none"),
        channels=len(names),
        classes=table,
        normalization=normalization,
        training={} if own is None else own["training"],
        source=str(path),
    )


def own_document(document: Mapping[str, Any]) -> dict[str, Any] | None:
    """What this program wrote about its segmenter, where it did."""
    text: Any = (document.get("config") or {}).get(KEY)
    try:
        own: dict[str, Any] = json.loads(text)
        Normalization.from_json(own["normalization"])
        ClassTable.from_json(own["classes"])
    except (TypeError, ValueError, KeyError, FcnError):
        return None
    return own


def open_package(path: Path) -> tuple[dict[str, Any], Any]:
    """The description, and a function that gives the content of a file beside it."""
    import yaml

    if not path.exists():
        raise InputError(f"There is no BioImage.IO package {str(path)!r}.")

    def read(name: Any) -> bytes:
        inside = PurePosixPath(str(name))
        if inside.is_absolute() or ".." in inside.parts or "://" in str(name):
            raise InputError(
                f"{str(path)!r} keeps its weights outside the package, at {str(name)!r}; download the whole package."
            )
        try:
            if path.is_file() and path.suffix.lower() == ".zip":
                with zipfile.ZipFile(path) as archive:
                    return archive.read(str(inside))
            return (path if path.is_dir() else path.parent).joinpath(*inside.parts).read_bytes()
        except (KeyError, OSError) as error:
            raise InputError(f"{str(path)!r} lacks the file {str(name)!r}.") from error

    try:
        if path.suffix.lower() == ".zip" and path.is_file():
            with zipfile.ZipFile(path) as archive:
                there: Sequence[str] = archive.namelist()
        else:
            there = [each.name for each in (path if path.is_dir() else path.parent).iterdir()]
        known = [name for name in DESCRIPTIONS if name in there]
        if not known:
            raise InputError(f"{str(path)!r} is no BioImage.IO package: it lacks {DESCRIPTIONS[0]}.")
        document = yaml.safe_load(read(known[0]))
    except (zipfile.BadZipFile, yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} is damaged or no BioImage.IO package.") from error
    if not isinstance(document, dict) or document.get("type") != "model":
        raise InputError(f"{str(path)!r} describes no model.")
    return document, read


def class_names(document: Mapping[str, Any]) -> list[str]:
    """What a description calls its classes, in their order; of one, the second of two. Empty when it does not say."""
    try:
        names = [str(name) for name in document["outputs"][0]["axes"][1].get("channel_names") or ()]
    except (KeyError, TypeError, IndexError, AttributeError):
        return []
    return ["background", *names] if len(names) == 1 else names


def _activation(path: Path, result: Mapping[str, Any]) -> dict[str, Any]:
    """Whether the network gives probabilities or logits, from the steps that follow it."""
    steps = [step["id"] for step in result.get("postprocessing", [])]
    count = len(result["axes"][1].get("channel_names") or [])
    known = {"softmax", "sigmoid", "ensure_dtype"}
    if set(steps) - known:
        raise InputError(
            f"{str(path)!r} ends in {', '.join(sorted(set(steps) - known))}, which is no way to give classes here; "
            f"known are softmax and sigmoid."
        )
    if not count:
        raise InputError(f"{str(path)!r} does not say which classes it gives.")
    return {"probabilities": "softmax" not in steps, "single": count == 1, "sigmoid": "sigmoid" in steps}


def _normalization(path: Path, steps: Sequence[Mapping[str, Any]], channels: int) -> Normalization:
    """The preparation of images that a description asks for; several steps only where one does nothing."""
    from .foreign import SCALE, PercentileRange

    steps = [step for step in steps if step["id"] != "ensure_dtype"]
    if len(steps) > 1:
        raise InputError(f"{str(path)!r} prepares images in {len(steps)} steps; at most one is known here.")
    name, facts = (steps[0]["id"], steps[0].get("kwargs") or {}) if steps else ("scale_linear", {})

    def each(value: Any) -> Any:
        return np.broadcast_to(np.asarray(value, np.float64), (channels,)).copy()

    match name:
        case "scale_linear":
            gain, offset = each(facts.get("gain", 1.0)), each(facts.get("offset", 0.0))
            return Normalization("dataset", gain=SCALE, dataset=Statistics(-offset / gain, SCALE / gain))
        case "fixed_zero_mean_unit_variance":
            return Normalization(
                "dataset", gain=SCALE, dataset=Statistics(each(facts["mean"]), each(facts["std"]) * SCALE)
            )
        case "zero_mean_unit_variance":
            return Normalization("image")
        case "scale_range":
            ends = float(facts.get("min_percentile", 0)), float(facts.get("max_percentile", 100))
            return PercentileRange("image", gain=SCALE, percentiles=ends)
    raise InputError(
        f"{str(path)!r} prepares images by {name!r}; known are scale_linear, scale_range, zero_mean_unit_variance and "
        f"fixed_zero_mean_unit_variance."
    )
