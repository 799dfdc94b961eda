"""One `.safetensors` file for a network and the document that says how to use it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import OutputError
from .atomic import atomic, check_output

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["KEY", "save_tensors"]

KEY = "napari_fcn"
"""The metadata key under which the document stands."""


def save_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any], *, what: str, overwrite: bool = False
) -> Path:
    """Write tensors and a document, complete or not at all.

    Parameters
    ----------
    path : ends in `.safetensors`.
    tensors : by name, of any shape, on any device.
    document : JSON, without NaN or infinities.
    what : the thing that is saved, such as "A segmenter", for messages.
    overwrite : whether a file that is there may be replaced.

    Returns
    -------
    Path
        Where it is.

    Raises
    ------
    OutputError
        The file exists and `overwrite` is not set, or the place cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = Path(path)
    if target.suffix != ".safetensors":
        raise OutputError(f"{what} is saved as a .safetensors file. Got {str(path)!r}.")
    check_output(target, overwrite)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with atomic(target, overwrite=overwrite) as temporary:
        try:
            save_file(plain, temporary, metadata={KEY: json.dumps(document, allow_nan=False)})
        except SafetensorError as error:
            raise OutputError(f"{str(target)!r} cannot be written: {error}.") from error
    return target
