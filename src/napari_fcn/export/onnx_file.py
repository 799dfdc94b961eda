"""ONNX: a segmenter as a file that QGIS's Deepness, ONNX Runtime and this program run.

The graph takes standardised images and gives probabilities. What it takes to standardise them, and what the classes
are, stands in the file's metadata: in the keys that Deepness reads, each value JSON, and as this program's document.
"""

from __future__ import annotations

import dataclasses
import json
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import parse_reflectance
from ..data.normalization import Normalization, Statistics
from ..errors import InputError, MissingExtraError, OutputError
from ..io.atomic import atomic, check_output
from ..segmenter import KEY, Segmenter

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import torch
    from torch import Tensor

__all__ = ["OPSET", "TILE", "agreement", "deepness_metadata", "export_onnx", "fixed_statistics", "onnx_modules"]

OPSET = 17
INPUT, OUTPUT = "image", "probabilities"
LEAST_AGREEMENT = 0.999
LEAST_OVERLAP, MOST_OVERLAP = 15, 50
TRACED = 128
"""Side of the images that the graph is recorded with when it takes any; a multiple of every network's stride."""
TILE = 768
"""Side of the tiles that Deepness is asked for when nobody says it: a U-Net sees further than half of 256 pixels."""


def onnx_modules() -> tuple[Any, Any]:
    """The modules onnx and onnxruntime.

    Raises
    ------
    MissingExtraError
        They are not installed.
    """
    try:
        import onnx
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError(
            "ONNX files need the packages onnx and onnxruntime; install them with: pip install 'napari-fcn[onnx]'."
        ) from error
    return onnx, onnxruntime


def fixed_statistics(segmenter: Segmenter) -> Statistics:
    """Mean and deviation that stand for all images, for programs that do not measure each image first.

    Raises
    ------
    InputError
        The segmenter has none: it was trained by a version that did not keep them.
    """
    statistics = segmenter.normalization.dataset
    if statistics is None:
        raise InputError(
            "This segmenter standardises each image by itself and does not know what its training images had in "
            "common; name an image like them with --images, whose mean and deviation are taken."
        )
    text = segmenter.training.get("reflectance")
    if text is None:
        return statistics
    scale, offset = parse_reflectance(text)  # in the image's own units, which other programs read
    return Statistics((statistics.mean - offset) / scale, statistics.std / scale)


def export_onnx(
    segmenter: Segmenter,
    path: str | Path,
    *,
    side: int | None = None,
    resolution: float | None = None,
    overwrite: bool = False,
) -> float:
    """Write a segmenter as one ONNX file, and run it beside the segmenter's own network.

    The graph's input `image` is float32 `(batch, C, height, width)`: channels less their mean, divided by their
    deviation. The output `probabilities` is float32 `(batch, K, height, width)` in [0, 1], sum 1. Batch, height and
    width are free.

    Parameters
    ----------
    segmenter : from `train` or a file.
    path : ends in .onnx.
    side : height and width that the graph is fixed to, a multiple of 32. Deepness refuses graphs of free size.
    resolution : centimetres a pixel, for Deepness, which asks for it where None is given.
    overwrite : whether an existing file may be replaced.

    Returns
    -------
    float
        The share of pixels with the same class in ONNX Runtime and torch, on random images.

    Raises
    ------
    InputError
        The segmenter has no fixed statistics, or its network cannot be recorded.
    OutputError
        The file cannot be written, or it would compute something else than the segmenter.
    MissingExtraError
        onnx or onnxruntime is not installed.
    """
    onnx, _ = onnx_modules()
    target = Path(path)
    if target.suffix != ".onnx":
        raise OutputError(f"An ONNX file ends in .onnx. Got {str(path)!r}.")
    if side is not None and (side < 32 or side % 32):
        raise InputError(f"The side of the tiles must be a multiple of 32. Got {side}.")
    check_output(target, overwrite)
    metadata = deepness_metadata(segmenter, side=side, resolution=resolution)
    metadata[KEY] = json.dumps(document_of(segmenter), allow_nan=False)
    with atomic(target, overwrite=overwrite) as temporary:
        _record(segmenter, temporary, side)
        model = onnx.load(temporary)
        for name, value in metadata.items():
            model.metadata_props.add(key=name, value=value)
        model.producer_name, model.doc_string = "napari-fcn", segmenter.describe()
        shape = model.graph.output[0].type.tensor_type.shape.dim
        shape[1].dim_value = len(segmenter.classes)
        if side is not None:  # Deepness compares what is declared
            shape[2].dim_value = shape[3].dim_value = side
        onnx.checker.check_model(model)
        onnx.save(model, temporary)
        same = agreement(segmenter, temporary, side)
        if same < LEAST_AGREEMENT:
            raise OutputError(
                f"The ONNX file would give another class for {1 - same:.2%} of the pixels than the segmenter; "
                f"nothing was written."
            )
    return same


def document_of(segmenter: Segmenter) -> dict[str, Any]:
    """The segmenter's own document."""
    return segmenter.to_json()


def deepness_metadata(segmenter: Segmenter, *, side: int | None, resolution: float | None) -> dict[str, str]:
    """What Deepness reads, each value as JSON; it divides all images by 255, whatever their type."""
    statistics = fixed_statistics(segmenter)
    tile = side or TILE
    values: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": {index: entry.name for index, entry in enumerate(segmenter.classes)},
        "tile_size": tile,
        "tiles_size": tile,  # as the manual has it
        "tiles_overlap": _overlap(segmenter, tile),
        "standardization_mean": [float(value) / 255 for value in statistics.mean],
        "standardization_std": [float(value) / 255 for value in statistics.std],
        "seg_thresh": 0.0,  # every pixel gets its most likely class
        "seg_small_segment": 0,
    }
    if resolution is not None:
        values["resolution"] = resolution
    return {name: json.dumps(value) for name, value in values.items()}


def _overlap(segmenter: Segmenter, side: int) -> int:
    """Percent of a tile's side by which tiles overlap: as much as the network sees, at least 15 and at most 50.

    Of the overlap each tile gives the half that is nearer to it. What is farther than that from a tile's edge should be
    what it would be without the edge. Tiles begin at multiples of the network's stride: a network that halves its
    images and doubles them again gives another result for an image that is moved by less.
    """
    stride = segmenter.network.stride
    strides = {each: side - int(side * each / 100 * 2) // 2 for each in range(LEAST_OVERLAP, MOST_OVERLAP + 1)}
    fitting = [each for each, step in strides.items() if step % stride == 0]
    if not fitting:
        return LEAST_OVERLAP
    same = _same_beyond_an_edge(segmenter, side)
    return next((each for each in fitting if same((side - strides[each]) // 2) >= LEAST_AGREEMENT), fitting[-1])


def _same_beyond_an_edge(segmenter: Segmenter, side: int) -> Callable[[int], float]:
    """A function of a distance in pixels: the share of pixels farther than that from an edge that it does not change.

    Measured by segmenting a random image, and the same without its first rows and columns. Classes are taken to be
    equally likely, so that it has borders between all of them.
    """
    import torch

    stride, normalization = segmenter.network.stride, segmenter.normalization
    cut = -(-side // 4 // stride) * stride
    texture = _texture(np.random.default_rng(0), segmenter.channels, side, side)
    image = torch.from_numpy(texture * np.float32(normalization.gain) + np.float32(normalization.offset))
    with torch.inference_mode():
        whole = segmenter.network(image)[0, :, cut:, cut:]
        part = segmenter.network(image[..., cut:, cut:].contiguous())[0]
    usual = whole.mean(dim=(1, 2), keepdim=True)
    same = ((whole - usual).argmax(dim=0) == (part - usual).argmax(dim=0)).numpy()
    return lambda distance: float(same[distance:, distance:].mean())


def _record(segmenter: Segmenter, path: Path, side: int | None) -> None:
    import torch

    from .traceable import Cut, Exported

    normalization = segmenter.normalization
    module: torch.nn.Module = Exported(segmenter.network, normalization.gain, normalization.offset)
    if side is not None:
        module = Cut(module, *_fills(segmenter), segmenter.network.stride).eval()
    free = {0: "batch"} if side else {0: "batch", 2: "height", 3: "width"}
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about what is fixed while it is recorded: `agreement` judges that
            torch.onnx.export(
                module,
                (torch.zeros(2, segmenter.channels, side or TRACED, side or TRACED),),
                path,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: free, OUTPUT: free},
            )
    except (RuntimeError, ValueError, TypeError) as error:  # all that the recorder raises derives from RuntimeError
        reason = str(error).strip().splitlines()[0].split(". ")[0].rstrip(".")
        raise InputError(
            f"The network {segmenter.model.architecture!r} on {segmenter.model.encoder!r} cannot be written as ONNX "
            f"({reason})."
        ) from error


def _fills(segmenter: Segmenter) -> tuple[Tensor, Tensor]:
    """Standardised values `(F, C)` that mean nothing: what is filled in beyond an image's end, and missing pixels."""
    import torch

    typical, nodata = fixed_statistics(segmenter), segmenter.normalization.nodata
    missing = [] if nodata is None or not np.isfinite(nodata) else [nodata]
    found = [(np.array(each) - typical.mean) / typical.std for each in {0.0, *missing}]
    values = torch.from_numpy(np.stack(found)).float()
    stated = torch.from_numpy(np.array([(each - typical.mean) / typical.std for each in missing])).float()
    return values, stated.reshape(len(missing), len(typical.mean))


def agreement(segmenter: Segmenter, path: Path, side: int | None) -> float:
    """The share of pixels that get the same class in ONNX Runtime as in torch, on random images of several sizes."""
    import torch

    _, onnxruntime = onnx_modules()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(0)
    sizes = [(side, side)] if side else [(96, 160), (75, 50), (TRACED, TRACED)]
    same = total = 0
    for height, width in sizes:
        image = _texture(random, segmenter.channels, height, width)
        (found,) = session.run(None, {INPUT: image})
        normalization = segmenter.normalization
        values = torch.from_numpy(image * np.float32(normalization.gain) + np.float32(normalization.offset))
        with torch.inference_mode():
            expected = segmenter.network(values).argmax(dim=1).numpy()
        same += int((found.argmax(axis=1) == expected).sum())
        total += expected.size
    return same / total


def _texture(random: np.random.Generator, channels: int, height: int, width: int) -> npt.NDArray[np.float32]:
    """A standardised image `(1, C, H, W)` with coarse and fine structure."""
    coarse = random.normal(size=(1, channels, -(-height // 16), -(-width // 16)))
    image = coarse.repeat(16, axis=2).repeat(16, axis=3)[..., :height, :width] + random.normal(
        size=(1, channels, height, width)
    )
    texture: npt.NDArray[np.float32] = np.clip(image / np.sqrt(2), -5, 5).astype(np.float32)
    return texture


def with_statistics(segmenter: Segmenter, statistics: Statistics) -> Segmenter:
    """The segmenter with fixed statistics, which exports take."""
    normalization: Normalization = dataclasses.replace(segmenter.normalization, dataset=statistics)
    return dataclasses.replace(segmenter, normalization=normalization)
