"""The file of an autoencoder, as far as it can be read without making the network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import InputError, SegmenterFileError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FORMAT", "WHAT", "is_autoencoder", "read_autoencoder"]

FORMAT = 1
"""Version of the file format; a file of a higher one is refused."""
WHAT = "autoencoder"
"""What the file says that it is."""


def is_autoencoder(path: str | Path) -> bool:
    """Whether a file says that it is an autoencoder; also False for files that cannot be read."""
    from .models.weights_file import read_document

    try:
        return read_document(str(path)).get("what") == WHAT
    except InputError:
        return False


def read_autoencoder(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The document and the tensors of an autoencoder's file.

    Raises
    ------
    SegmenterFileError
        There is no such file, or it is damaged, of another kind or of a newer format.
    """
    from .models.weights_file import read_document, read_tensors

    if not path.is_file():
        raise SegmenterFileError(f"There is no autoencoder file {str(path)!r}.")
    try:
        document, tensors = dict(read_document(str(path))), read_tensors(str(path))
    except InputError as error:
        raise SegmenterFileError(str(error)) from error
    if document.get("what") != WHAT:
        kind = "a segmenter" if "classes" in document else "no autoencoder: it was written by another program"
        raise SegmenterFileError(f"{str(path)!r} is {kind}; an autoencoder is what `pretrain` writes.")
    newest = document.get("format")
    if not isinstance(newest, int) or newest > FORMAT:
        raise SegmenterFileError(
            f"{str(path)!r} was written by a newer napari-fcn (format {newest}, this one reads up to {FORMAT}); update "
            f"napari-fcn."
        )
    return document, tensors
