"""What a training can start from, besides segmenters: whole networks of other programs, BioImage.IO packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..segmenter import KEY, Segmenter
from .reading import is_package

__all__ = ["read_start"]


def read_start(path: str | Path, options: Mapping[str, Any]) -> tuple[Segmenter | None, dict[str, Any], str]:
    """The segmenter to start from, options that the file decides, and a sentence about what fitted.

    Where only the encoder of a file fits, there is no segmenter, but the options name the encoder and, as its weights,
    the file. For a segmenter's own file the sentence is empty: the training says what it takes over.

    Parameters
    ----------
    path : a segmenter's file, a BioImage.IO package, a folder of `save_pretrained`, or a state dict.
    options : as given to `train`; `architecture` and `encoder` say what a state dict is of.

    Raises
    ------
    InputError
        It is missing, damaged or fits nothing.
    """
    from ..models.weights_file import read_document

    given = Path(path).expanduser()
    if given.suffix.lower() == ".onnx":
        raise InputError(
            f"{str(path)!r} is an ONNX file, which can be predicted with, but whose layers, merged for that, become no "
            f"segmenter and learn nothing more; take the weights that it was made of."
        )
    if is_package(given):
        from .bioimageio_start import start_from_package

        return start_from_package(given, options)
    foreign = given.is_dir() or given.suffix.lower() in (".pth", ".pt")
    if not foreign and (given.suffix.lower() != ".safetensors" or not given.is_file() or _own(given, read_document)):
        return Segmenter.load(path), {}, ""
    from .whole_networks import find_network, segmenter_of

    found = find_network(path, architecture=options.get("architecture"), encoder=options.get("encoder"))
    if found.whole:
        return segmenter_of(found, str(path)), {}, found.report
    return None, {"encoder": found.model.encoder, "weights": str(path)}, found.report


def _own(path: Path, read_document: Any) -> bool:
    """Whether this program wrote a file; damaged ones count, and are refused where they are read."""
    from ..errors import FcnError

    try:
        document = read_document(str(path))
    except FcnError:
        return True
    return bool(document) or KEY in document
