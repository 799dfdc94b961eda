"""The checkpoint: all that it takes to go on with a training exactly where it was, as one file without pickle."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ..errors import InputError, OutputError, SegmenterFileError
from ..io import atomic

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Parameter
    from torch.optim import Optimizer

__all__ = ["FORMAT", "KEY", "load_checkpoint", "pack_optimizer", "save_checkpoint", "unpack_optimizer"]

FORMAT = 1
"""Version of the file format; a file of a higher one is refused."""
KEY = "napari_fcn_checkpoint"
"""The document's place in the file's metadata."""
PREFIX = "optimizer."
"""What the names of an optimizer's tensors begin with."""
NamesOf: TypeAlias = "Mapping[Parameter, str] | Iterable[tuple[str, Parameter]]"
COMPUTING = frozenset({"params", "param_names", "fused", "foreach", "capturable", "differentiable"})
"""What belongs to an optimizer on this machine, and not to what it has learnt."""


def save_checkpoint(path: str | Path, tensors: Mapping[str, Tensor], document: Mapping[str, Any]) -> None:
    """Write tensors and a document to one safetensors file, complete or not at all; an existing one is replaced.

    Parameters
    ----------
    path : where to.
    tensors : of any dtype, shape, device and memory format. They come back on the CPU and contiguous.
    document : what JSON can hold. NaN, infinities and whole numbers of any size come back as they were.

    Raises
    ------
    OutputError
        The place cannot be written; the checkpoint that was there is what it was.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    text = json.dumps({"format": FORMAT, "document": dict(document)})
    whole = _separate(tensors)
    with atomic(path) as temporary:
        try:
            save_file(whole, temporary, metadata={KEY: text})
        except SafetensorError as error:
            raise OutputError(f"{str(path)!r} cannot be written: {error}.") from error


def load_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the document that `save_checkpoint` wrote.

    Raises
    ------
    SegmenterFileError
        There is no such file, or it is damaged, of another kind or of a newer format.
    """
    from safetensors import SafetensorError, safe_open

    shown = repr(str(path))
    if not Path(path).is_file():
        raise SegmenterFileError(f"There is no checkpoint {shown}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copies: the tensors would otherwise lie in the file, which the next checkpoint is to replace.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, OSError, ValueError) as error:
        raise SegmenterFileError(
            f"{shown} is damaged or no checkpoint; a checkpoint is a .safetensors file that a training wrote."
        ) from error
    if KEY not in metadata:
        raise SegmenterFileError(f"{shown} holds tensors, but is no checkpoint: it cannot be resumed from.")
    try:
        envelope = json.loads(metadata[KEY])
        newest = int(envelope["format"])
        if newest > FORMAT:
            raise SegmenterFileError(
                f"{shown} was written by a newer napari-fcn (format {newest}, this one reads up to {FORMAT}); update "
                f"napari-fcn."
            )
        return tensors, dict(envelope["document"])
    except SegmenterFileError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise SegmenterFileError(f"{shown} is not a complete checkpoint ({type(error).__name__}: {error}).") from error


def pack_optimizer(optimizer: Optimizer, names_of: NamesOf) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What an optimizer remembers, by the names of the parameters.

    Parameters
    ----------
    optimizer : AdamW, SGD or another one that keeps tensors and numbers for each parameter.
    names_of : the name of every parameter that it learns, such as `network.named_parameters()`.

    Returns
    -------
    tensors : copies on the CPU, contiguous, of the exact dtype; each name begins with "optimizer.".
    document : the rest, for JSON: kind of optimizer, settings of its groups, and what each parameter has. A parameter
        that has never had a gradient has nothing.

    Raises
    ------
    ValueError
        A parameter has no name.
    """
    tensors: dict[str, Tensor] = {}
    groups = []
    for group, names in zip(optimizer.param_groups, _names(optimizer, names_of), strict=True):
        entries = []
        for parameter, name in zip(group["params"], names, strict=True):
            packed, rest = _pack(optimizer.state.get(parameter, {}))
            tensors |= {f"{PREFIX}{name}.{key}": tensor for key, tensor in packed.items()}
            entries.append({"name": name, "shape": list(parameter.shape), "tensors": list(packed), "values": rest})
        settings = {key: value for key, value in group.items() if key not in COMPUTING}
        groups.append({"settings": settings, "parameters": entries})
    return tensors, {"kind": type(optimizer).__name__, "groups": groups}


def unpack_optimizer(
    optimizer: Optimizer, names_of: NamesOf, tensors: Mapping[str, Tensor], document: Mapping[str, Any]
) -> None:
    """Give an optimizer back what `pack_optimizer` took from one like it.

    Each remembered tensor is laid out in memory like its parameter, which fused optimizers rely on, and lies on its
    device. How the optimizer computes (fused, foreach) stays as it is.

    Parameters
    ----------
    optimizer : made of the same groups of parameters, of the same names and shapes.
    names_of : as for `pack_optimizer`.
    tensors : those of `pack_optimizer`; others among them are left alone.
    document : that of `pack_optimizer`, also after JSON.

    Raises
    ------
    InputError
        It is of another kind, has other parameters, or a tensor is missing; then nothing was changed.
    ValueError
        A parameter has no name.
    """
    kind = type(optimizer).__name__
    if document["kind"] != kind:
        raise InputError(
            f"The checkpoint was written with the optimizer {document['kind']!r}, this training has {kind!r}; resume "
            f"with the settings that the run was started with."
        )
    groups = list(document["groups"])
    theirs = [[(entry["name"], tuple(entry["shape"])) for entry in group["parameters"]] for group in groups]
    ours = [
        [(name, tuple(parameter.shape)) for name, parameter in zip(names, group["params"], strict=True)]
        for names, group in zip(_names(optimizer, names_of), optimizer.param_groups, strict=True)
    ]
    if theirs != ours:
        raise InputError(
            f"The checkpoint's optimizer learns {sum(map(len, theirs))} parameters in {len(theirs)} groups, which are "
            f"not the {sum(map(len, ours))} in {len(ours)} groups of this training; resume with the settings that the "
            f"run was started with."
        )
    state: dict[Tensor, dict[str, Any]] = {}
    for group, saved in zip(optimizer.param_groups, groups, strict=True):
        for parameter, entry in zip(group["params"], saved["parameters"], strict=True):
            if entry["tensors"] or entry["values"]:
                on_device = bool(group.get("fused") or group.get("capturable"))
                state[parameter] = _unpack(parameter, entry, tensors, on_device) | entry["values"]
    optimizer.state.clear()
    optimizer.state.update(state)
    for group, saved in zip(optimizer.param_groups, groups, strict=True):
        for key, value in saved["settings"].items():
            group[key] = tuple(value) if isinstance(value, list) else value


def _names(optimizer: Optimizer, names_of: NamesOf) -> list[list[str]]:
    """The names of the parameters, group by group."""
    pairs = names_of.items() if isinstance(names_of, Mapping) else ((each, name) for name, each in names_of)
    names = {id(parameter): name for parameter, name in pairs}
    for parameter in (parameter for group in optimizer.param_groups for parameter in group["params"]):
        if id(parameter) not in names:
            raise ValueError(f"A parameter of shape {tuple(parameter.shape)} that is learnt has no name.")
    return [[names[id(parameter)] for parameter in group["params"]] for group in optimizer.param_groups]


def _pack(state: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of one parameter's state, and what is none."""
    import torch

    tensors, rest = {}, {}
    for key, value in state.items():
        if isinstance(value, torch.Tensor):
            tensors[key] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        else:
            rest[key] = value
    return tensors, rest


def _unpack(
    parameter: Parameter, entry: Mapping[str, Any], tensors: Mapping[str, Tensor], on_device: bool
) -> dict[str, Tensor]:
    """The tensors of one parameter's state; `on_device` says where the number of steps is counted."""
    import torch

    state = {}
    for key in entry["tensors"]:
        name = f"{PREFIX}{entry['name']}.{key}"
        if name not in tensors:
            raise InputError(f"The checkpoint is not complete: {name!r} is missing.")
        saved = tensors[name]
        if key == "step":
            state[key] = saved.to(parameter.device if on_device else "cpu", copy=True)
        elif saved.shape == parameter.shape:
            state[key] = torch.empty_like(parameter, dtype=saved.dtype, requires_grad=False).copy_(saved)
        else:
            raise InputError(
                f"The checkpoint's {name!r} has shape {tuple(saved.shape)}, its parameter {tuple(parameter.shape)}."
            )
    return state


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors on the CPU that share no memory, as safetensors wants them."""
    separate, seen = {}, set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu().contiguous()
        place = plain.untyped_storage().data_ptr()
        separate[name] = plain.clone() if place in seen else plain
        seen.add(place)
    return separate
