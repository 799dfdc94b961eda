"""Reading a file of weights that the user brings, without running what may be in it."""

from __future__ import annotations

import json
import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["DAMAGE", "SUFFIXES", "check_file", "innermost", "is_file_name", "read_document", "read_tensors"]

SUFFIXES = (".safetensors", ".pth", ".pt")
KEY = "napari_fcn"
DAMAGE = (
    OSError,
    ValueError,
    RuntimeError,
    EOFError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    struct.error,
)
"""What torch raises, among others, when it reads something that it has not written."""
FOLDER_FILE = "model.safetensors"
NESTED = ("state_dict", "model", "model_state_dict")


def is_file_name(text: str) -> bool:
    """Whether `text` is meant as a path and not as a name."""
    return Path(text).suffix.lower() in SUFFIXES or "/" in text or "\\" in text


def check_file(text: str) -> Path:
    """The path `text`, if a file of a known kind is there; else `InputError`."""
    path = Path(text).expanduser()
    if path.is_dir():  # as segmentation-models-pytorch's `save_pretrained` makes them
        path = path / FOLDER_FILE
        if not path.is_file():
            raise InputError(f"The folder {text!r} holds no {FOLDER_FILE}, as `save_pretrained` writes it.")
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"A file of weights ends in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}. Got {text!r}.")
    if not path.is_file():
        raise InputError(f"There is no file of weights {text!r}.")
    return path


def read_document(text: str) -> Mapping[str, Any]:
    """What this package wrote about a file beside its tensors; empty for files of other programs.

    Raises
    ------
    InputError
        The file is missing or damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = check_file(text)
    if path.suffix.lower() != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="numpy") as file:
            document = json.loads((file.metadata() or {}).get(KEY, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise _damaged(text, error) from error
    return document if isinstance(document, dict) else {}


def read_tensors(text: str) -> dict[str, Tensor]:
    """All tensors of a file, by name.

    Raises
    ------
    InputError
        The file is missing, damaged, holds no tensors, or holds Python objects, which could run code.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = check_file(text)
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            # torch gives advice here that ends in running what is in the file.
            warnings.simplefilter("ignore")
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{text!r} is damaged, or holds Python objects beside tensors and is not opened, because these can run "
            f"code; save the network's `state_dict()`."
        ) from error
    except (SafetensorError, *DAMAGE) as error:
        raise _damaged(text, error) from error
    named = innermost(loaded)
    tensors = {str(name): tensor for name, tensor in named.items() if isinstance(tensor, torch.Tensor)}
    if not tensors:
        raise InputError(f"{text!r} holds no tensors with names; save the network's `state_dict()`.")
    return tensors


def innermost(loaded: Any) -> Mapping[Any, Any]:
    """The mapping of tensors inside what a training script saved; an empty one when there is none."""
    if not isinstance(loaded, Mapping):
        return {}
    for key in NESTED:
        if isinstance(loaded.get(key), Mapping):
            return innermost(loaded[key])
    return loaded


def _damaged(text: str, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".")
    return InputError(f"{text!r} is damaged or no file of weights ({reason}).")
