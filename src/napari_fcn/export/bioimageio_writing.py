"""BioImage.IO: a segmenter as a package for ilastik, deepImageJ and other programs that share models.

The package follows the model description 0.5: weights as ONNX, TorchScript and a PyTorch state dict, tensors to test
them with, a cover picture and a documentation.
"""

from __future__ import annotations

import hashlib
import io
import json
import keyword
import re
import tempfile
import warnings
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import OutputError
from ..io.atomic import atomic, check_output
from ..segmenter import KEY, Segmenter, now
from .onnx_file import INPUT, OPSET, OUTPUT, export_onnx, fixed_statistics, onnx_modules

__all__ = ["export_bioimageio"]

FORMAT = "0.5.4"
SIDE = 128
"""Side of the test tensors; a multiple of every network's stride."""
STEP = 32
README = "README.md"


def export_bioimageio(
    segmenter: Segmenter,
    path: str | Path,
    *,
    author: str = "unknown",
    licence: str | None = None,
    sample: npt.NDArray[Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a segmenter as a BioImage.IO model package.

    Parameters
    ----------
    segmenter : with the statistics of its training images.
    path : ends in .zip.
    author : whose model it is.
    licence : SPDX identifier, such as CC-BY-4.0.
    sample : an image `(C, 128, 128)` to test and to picture it with; a made one when None.
    overwrite : whether an existing file may be replaced.

    Raises
    ------
    InputError
        The segmenter has no fixed statistics, or its network cannot be recorded.
    OutputError
        The file cannot be written.
    MissingExtraError
        onnx or onnxruntime is not installed.
    """
    target = Path(path)
    if target.suffix != ".zip":
        raise OutputError(f"A BioImage.IO package is a .zip file. Got {str(path)!r}.")
    check_output(target, overwrite)
    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory(prefix="napari-fcn-") as folder:
        graph = Path(folder, "weights.onnx")
        export_onnx(segmenter, graph)
        files["weights.onnx"] = graph.read_bytes()
        image, result = _tensors(segmenter, graph, sample)
    files |= {"test_input.npy": _npy(image), "test_output.npy": _npy(result), **_torch_weights(segmenter)}
    files["cover.png"] = _cover(segmenter, image, result)
    files[README] = _readme(segmenter).encode()
    files["rdf.yaml"] = _yaml(_description(segmenter, files, author, licence))
    with atomic(target, overwrite=overwrite) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content, zipfile.ZIP_DEFLATED)


def _tensors(
    segmenter: Segmenter, graph: Path, sample: npt.NDArray[Any] | None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """An image `(1, C, 128, 128)`, and the probabilities that ONNX Runtime gives for it, prepared as described."""
    from .onnx_file import _texture

    _, onnxruntime = onnx_modules()
    statistics = fixed_statistics(segmenter)
    mean, std = (each[None, :, None, None] for each in (statistics.mean, statistics.std))
    image = sample
    if image is None:
        image = mean[0] + std[0] * _texture(np.random.default_rng(0), segmenter.channels, SIDE, SIDE)[0]
    whole = np.asarray(image, np.float32)[None]
    if segmenter.normalization.mode == "image":
        mean, std = (f(whole.astype(np.float64), axis=(2, 3), keepdims=True) for f in (np.mean, np.std))
    values = ((whole - mean) / (std + EPS)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(graph), providers=["CPUExecutionProvider"])
    return whole, session.run(None, {INPUT: values})[0]


EPS = 1e-6


def _torch_weights(segmenter: Segmenter) -> dict[str, bytes]:
    import torch

    from .traceable import Exported

    normalization = segmenter.normalization
    module = Exported(segmenter.network, normalization.gain, normalization.offset)
    state, script = io.BytesIO(), io.BytesIO()
    torch.save(module.state_dict(), state)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about what is fixed while it is recorded, and about the recorder's age
        example = torch.zeros(1, segmenter.channels, SIDE, SIDE)
        traced = torch.jit.trace(module, example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(traced, script)
    return {"weights.pt": script.getvalue(), "weights.pth": state.getvalue()}


def _description(segmenter: Segmenter, files: dict[str, bytes], author: str, licence: str | None) -> dict[str, Any]:
    import torch

    def file(name: str) -> dict[str, str]:
        return {"source": name, "sha256": hashlib.sha256(files[name]).hexdigest()}

    normalization = segmenter.normalization
    released = ".".join(torch.__version__.split("+")[0].split(".")[:3])
    axes = [{"type": "space", "id": name, "size": {"min": 2 * STEP, "step": STEP}} for name in "yx"]
    result_axes = [{"type": "space", "id": name, "size": {"tensor_id": INPUT, "axis_id": name}} for name in "yx"]
    document: dict[str, Any] = {
        "type": "model",
        "format_version": FORMAT,
        "name": f"Segmentation into {' and '.join(_plain(entry.name) for entry in segmenter.classes)}"[:120].strip(),
        "description": segmenter.describe().splitlines()[0],
        "timestamp": now(),
        "authors": [{"name": author}],
        "documentation": README,
        "covers": ["cover.png"],
        "tags": ["semantic-segmentation", "2d", "pytorch", segmenter.model.architecture],
        "inputs": [
            {
                "id": INPUT,
                "description": "the image, in its own units",
                "axes": [{"type": "batch"}, _channels(_channel_names(segmenter)), *axes],
                "data": {"type": "float32"},
                "test_tensor": file("test_input.npy"),
                "preprocessing": [_standardization(segmenter)],
            }
        ],
        "outputs": [
            {
                "id": OUTPUT,
                "description": "the probability of each class; their sum is 1",
                "axes": [{"type": "batch"}, _channels([entry.name for entry in segmenter.classes]), *result_axes],
                "data": {"type": "float32", "range": [0.0, 1.0]},
                "test_tensor": file("test_output.npy"),
            }
        ],
        "weights": {
            "onnx": {**file("weights.onnx"), "opset_version": OPSET, "parent": "pytorch_state_dict"},
            "torchscript": {
                **file("weights.pt"),
                "pytorch_version": released,
                "parent": "pytorch_state_dict",
            },
            "pytorch_state_dict": {
                **file("weights.pth"),
                "pytorch_version": released,
                "architecture": {
                    "import_from": "napari_fcn.export.architecture",
                    "callable": "exported_network",
                    "kwargs": {
                        "model": segmenter.model.to_json(),
                        "channels": segmenter.channels,
                        "classes": len(segmenter.classes),
                        "gain": normalization.gain,
                        "offset": normalization.offset,
                        **({"beside": True} if hasattr(segmenter.network, "beside") else {}),
                    },
                },
            },
        },
        "config": {KEY: json.dumps(segmenter.to_json(), allow_nan=False)},
    }
    if licence:
        document["license"] = licence
    return document


def _standardization(segmenter: Segmenter) -> dict[str, Any]:
    """The step that brings an image to mean 0 and deviation 1, as the segmenter does it or nearly so."""
    if segmenter.normalization.mode == "image":
        return {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"], "eps": EPS}}
    statistics = fixed_statistics(segmenter)
    if segmenter.channels == 1:  # one number each, for no axis
        return {
            "id": "fixed_zero_mean_unit_variance",
            "kwargs": {"mean": float(statistics.mean[0]), "std": float(statistics.std[0])},
        }
    return {
        "id": "fixed_zero_mean_unit_variance",
        "kwargs": {
            "axis": "channel",
            "mean": [float(value) for value in statistics.mean],
            "std": [float(value) for value in statistics.std],
        },
    }


def _channel_names(segmenter: Segmenter) -> list[str]:
    bands = segmenter.training.get("bands")
    if bands:
        return [part.partition("=")[0].strip() for part in bands.split(",")]
    return [f"channel{number}" for number in range(segmenter.channels)]


def _channels(names: list[str]) -> dict[str, Any]:
    """An axis of channels; the description allows names that Python would, each once."""
    found: list[str] = []
    for name in names:
        plain = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "channel"
        if plain[0].isdigit() or keyword.iskeyword(plain):
            plain = f"n_{plain}"
        while plain in found:
            plain += "_"
        found.append(plain)
    return {"type": "channel", "channel_names": found}


def _plain(name: str) -> str:
    return re.sub(r"[^\w\- ]+", " ", name, flags=re.ASCII).strip() or "class"


def _npy(array: npt.NDArray[Any]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.asarray(array, np.float32))
    return stream.getvalue()


def _cover(segmenter: Segmenter, image: npt.NDArray[Any], result: npt.NDArray[Any]) -> bytes:
    """Twice as wide as high: the image's first channel, and the classes in their colours."""
    from PIL import Image

    plane = image[0, 0]
    low, high = np.percentile(plane, [1, 99])
    grey = (255 * np.clip((plane - low) / max(high - low, 1e-9), 0, 1)).astype(np.uint8)
    colours = np.array([[int(entry.color[n : n + 2], 16) for n in (1, 3, 5)] for entry in segmenter.classes], np.uint8)
    picture = np.concatenate([np.repeat(grey[..., None], 3, axis=2), colours[result[0].argmax(axis=0)]], axis=1)
    stream = io.BytesIO()
    Image.fromarray(picture).resize((1024, 512), Image.Resampling.NEAREST).save(stream, "PNG")
    return stream.getvalue()


def _readme(segmenter: Segmenter) -> str:
    """What the segmenter is, how it was trained, and how good it was."""
    scores = segmenter.history.get("scores") or {}
    rows = "\n".join(
        f"| {row['value']} | {row['name']} | {'' if row.get('iou') is None else format(row['iou'], '.3f')} |"
        for row in scores.get("classes", [{"value": e.value, "name": e.name} for e in segmenter.classes])
    )
    mean = scores.get("mean_iou")
    score = "Nothing was held out." if mean is None else f"Mean IoU on held-out pixels: {mean:.3f}."
    data = json.dumps(segmenter.history.get("data"), indent=2, default=str)
    return (
        f"# A segmenter made with napari-fcn {version('napari-fcn')}\n\n{segmenter.describe()}\n\n"
        "The input is standardised as the description says; the output are class probabilities.\n\n"
        f"## Training data\n\n```json\n{data}\n```\n\n"
        f"## Validation\n\n{score} On other images, compare with labels of your own.\n\n"
        f"| label value | class | IoU |\n| --- | --- | --- |\n{rows}\n"
    )


def _yaml(document: dict[str, Any]) -> bytes:
    import yaml

    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return text.encode()
