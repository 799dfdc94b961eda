"""A network computed by OpenVINO: a graph of its own for each size of tiles.

Recording a graph follows one image through the network, and whatever depends on that image's size, such as padding,
stays as it was. Each size has its graph, which also lets OpenVINO plan its memory and join operations: for tiles of
1056 pixels it needs less than half the memory, and a third less time, than with one graph for all sizes. Most networks
need not be recorded at that size: what was recorded from a small image is given the size of the tiles, once it is seen
to be right for another size. Such a graph is kept on the disk too: recording it takes two seconds, reading it a moment.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
import warnings
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import MissingExtraError
from ..models.enlarged import use_transposed
from .fold import folded
from .memory import give_back, trim
from .remembered import keep_graph, known_graph
from .ways import streams_of

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
        self._compiled: OrderedDict[tuple[int, int], Any] = OrderedDict()
        self._lock = threading.Lock()
        self._own = threading.local()

    def __call__(self, images: Tensor) -> Tensor:
        """Compute one image after the other; several threads may do so at once, for which there are streams.

        The logits of a single image are where OpenVINO has them: good until the next call of the same thread.
        """
        request = self._request(images.shape[-2], images.shape[-1])
        found = []
        for image in images:
            values = np.ascontiguousarray(image.numpy()[None])
            logits = torch.from_numpy(request.infer({0: values}, share_inputs=True, share_outputs=True)[0])
            found.append(logits if len(images) == 1 else logits.clone())
        return torch.cat(found) if len(found) > 1 else found[0]

    def _request(self, height: int, width: int) -> Any:
        """The thread's own request for images of a size."""
        size = height, width
        with self._lock:
            if size not in self._compiled:
                while len(self._compiled) >= KEPT:
                    self._compiled.popitem(last=False)
                self._compiled[size] = self._compile_for(*size)
                trim()
            self._compiled.move_to_end(size)
            compiled = self._compiled[size]
        if getattr(self._own, "compiled", None) is not compiled:
            self._own.compiled, self._own.request = compiled, compiled.create_infer_request()
        return self._own.request

    def _compile_for(self, height: int, width: int) -> Any:
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

        name = f"{fingerprint(self._network)}-{self._channels}"
        if name not in _general_graphs:
            while len(_general_graphs) >= KEPT:
                _general_graphs.popitem(last=False)
            model = known_graph(_openvino(), name)
            if model is None:
                model = self._tried(stride)
                if model is not None:
                    keep_graph(_openvino(), name, model)
            _general_graphs[name] = model
        return _general_graphs[name]

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
            model = openvino.convert_model(graph, input=[openvino.PartialShape(known)])
        del graph, network
        give_back()
        return model

    def _sized(self, model: Any, height: int, width: int) -> Any:
        model = model.clone()
        model.reshape([1, self._channels, height, width])
        return model

    def _compile(self, model: Any, precision: str) -> Any:
        settings = {
            "PERFORMANCE_HINT": "THROUGHPUT",
            "NUM_STREAMS": streams_of("openvino"),
            "INFERENCE_PRECISION_HINT": precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        return _openvino().Core().compile_model(model, "CPU", settings)


def _openvino() -> Any:
    if "openvino" not in sys.modules:
        sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report each use
    import openvino

    return openvino
