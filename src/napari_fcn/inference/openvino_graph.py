"""A network computed by OpenVINO: a graph of its own for each size of tiles.

Recording a graph follows one image through the network, and whatever depends on that image's size, such as padding,
stays as it was. Each size has its graph, which also lets OpenVINO plan its memory and join operations: for tiles of
1056 pixels it needs less than half the memory, and a third less time, than with one graph for all sizes. Most networks
need not be recorded at that size: what was recorded from a small image is given the size of the tiles, once it is seen
to be right for another size.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import MissingExtraError
from ..models.enlarged import use_transposed
from .fold import folded
from .memory import give_back

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["OpenvinoLogits", "has_openvino"]

RECORDED, TRIED = (4, 4), (5, 7)
"""Sizes, in strides of the network, at which its graph is recorded, and at which it is tried."""
CLOSE = 1e-3
"""Largest difference of logits there, as a part of the largest one."""
KEPT = 2
"""Graphs that are kept: tiles have one size, and turned by a quarter another one."""
_general_graphs: OrderedDict[str, Any] = OrderedDict()
"""Of the networks that were used last, without memory for any size; an image after the other is segmented by one."""


def has_openvino() -> bool:
    """Whether the extra `openvino` is installed."""
    return importlib.util.find_spec("openvino") is not None


class OpenvinoLogits:
    """Standardised images `(N, C, h, w)` to logits `(N, K, h, w)`; nothing is sent to anybody.

    Parameters
    ----------
    network : fp32, on the CPU; it is not changed.
    channels : of its images.
    precision : "f32" or "bf16".

    Raises
    ------
    MissingExtraError
        OpenVINO is not installed.
    """

    def __init__(self, network: nn.Module, channels: int, precision: str) -> None:
        if not has_openvino():
            raise MissingExtraError(
                "The engine 'openvino' needs OpenVINO, which is not installed; install it with "
                "pip install 'napari-fcn[openvino]'."
            )
        self._network, self._channels, self._precision = network, channels, precision
        self._requests: OrderedDict[tuple[int, int], Any] = OrderedDict()

    def __call__(self, images: Tensor) -> Tensor:
        """Compute one image after the other: on a CPU, several at once are no faster."""
        request = self._request(images.shape[-2], images.shape[-1])
        found = []
        for image in images:
            values = np.ascontiguousarray(image.numpy()[None])
            found.append(torch.from_numpy(request.infer({0: values}, share_inputs=True)[0].copy()))
        return torch.cat(found) if len(found) > 1 else found[0]

    def _request(self, height: int, width: int) -> Any:
        size = height, width
        if size not in self._requests:
            while len(self._requests) >= KEPT:
                self._requests.popitem(last=False)
            self._requests[size] = self._compiled(*size).create_infer_request()
            give_back()
        self._requests.move_to_end(size)
        return self._requests[size]

    def _compiled(self, height: int, width: int) -> Any:
        stride = int(getattr(self._network, "stride", 32))
        smallest = max(int(getattr(self._network, "smallest_size", 1)), RECORDED[0] * stride)
        if height % stride == width % stride == 0 and min(height, width) >= smallest == RECORDED[0] * stride:
            model = self._general(stride)
            if model is not None:
                return self._compile(self._sized(model, height, width), self._precision)
        return self._compile(self._recorded(self._quick(), height, width), self._precision)

    def _general(self, stride: int) -> Any:
        """A graph that may be given any size of whole strides; None where it is right for one size only."""
        from .choose import fingerprint

        key = f"{fingerprint(self._network)}:{self._channels}"
        if key not in _general_graphs:
            while len(_general_graphs) >= KEPT:
                _general_graphs.popitem(last=False)
            _general_graphs[key] = self._tried(stride)
        return _general_graphs[key]

    def _tried(self, stride: int) -> Any:
        network = self._quick()
        model = self._recorded(network, *(count * stride for count in RECORDED), free=True)
        height, width = (count * stride for count in TRIED)
        noise = torch.randn(1, self._channels, height, width, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            expected = network(noise)
        try:
            found = self._compile(self._sized(model, height, width), "f32")({0: noise.numpy()})[0]
        except RuntimeError:  # a size inside of it stayed as it was
            return None
        same = found.shape == tuple(expected.shape)
        return model if same and np.abs(found - expected.numpy()).max() <= CLOSE * expected.abs().max() else None

    def _quick(self) -> nn.Module:
        return use_transposed(folded(self._network, self._channels))

    def _recorded(self, network: nn.Module, height: int, width: int, *, free: bool = False) -> Any:
        """The network's graph, recorded from an image of this size."""
        openvino = _openvino()
        shape = (1, self._channels, height, width)
        known = [1, self._channels, -1, -1] if free else list(shape)
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about sizes that the graph takes for constants, as it may
            graph = torch.jit.trace(network, torch.zeros(shape), check_trace=False)  # type: ignore[no-untyped-call]
            return openvino.convert_model(graph, input=[openvino.PartialShape(known)])

    def _sized(self, model: Any, height: int, width: int) -> Any:
        model = model.clone()
        model.reshape([1, self._channels, height, width])
        return model

    def _compile(self, model: Any, precision: str) -> Any:
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        return _openvino().Core().compile_model(model, "CPU", settings)


def _openvino() -> Any:
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report each use
    import openvino

    return openvino
