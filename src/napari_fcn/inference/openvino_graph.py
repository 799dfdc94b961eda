"""A network computed by OpenVINO: a graph of its own for each size of tiles.

Recording a graph follows one image through the network, and whatever depends on that image's size, such as padding,
stays as it was. So each size has its graph, which also lets OpenVINO plan its memory and join operations: for tiles of
1056 pixels it needs less than half the memory, and a third less time, than with one graph for all sizes.
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

KEPT = 2
"""Graphs that are kept: tiles have one size, and turned by a quarter another one."""


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
        if "openvino" not in sys.modules:
            sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would report each use
        import openvino

        shape = (1, self._channels, height, width)
        network = use_transposed(folded(self._network, self._channels))
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about sizes that the graph takes for constants, as it may
            graph = torch.jit.trace(network, torch.zeros(shape), check_trace=False)  # type: ignore[no-untyped-call]
            model = openvino.convert_model(graph, input=[openvino.PartialShape(list(shape))])
        del graph, network
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": self._precision,
            "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        }
        return openvino.Core().compile_model(model, "CPU", settings)
