"""Arrays that numpy saved: .npy and .npz, never unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .image_file import ImageFile

__all__ = ["read_numpy"]

_IMAGE_KEYS = ("image", "img", "arr_0")
_LABEL_KEYS = ("labels", "label", "mask", "masks", "msk", "arr_0")


def read_numpy(path: Path, *, labels: bool = False) -> ImageFile:
    """Read the array of a .npy, or of a .npz the only one or the one called image, img or arr_0.

    Parameters
    ----------
    path : the file.
    labels : look for labels, label, mask, masks, msk or arr_0 in a .npz instead.
    """
    with path.open("rb") as stream:  # numpy leaves a damaged file open
        loaded = np.load(stream, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return ImageFile(path, loaded, None)
        return ImageFile(path, _choose(path, loaded, labels), None)


def _choose(path: Path, archive: Any, labels: bool) -> npt.NDArray[Any]:
    with archive:
        keys = list(archive.keys())
        wanted = _LABEL_KEYS if labels else _IMAGE_KEYS
        chosen = keys[0] if len(keys) == 1 else next((key for key in wanted if key in keys), None)
        if chosen is None:
            raise InputError(
                f"{str(path)!r} holds the arrays {', '.join(map(repr, keys)) or '(none)'}; "
                f"name the one to use {wanted[0]!r}, or save it alone."
            )
        array: npt.NDArray[Any] = archive[chosen]
        return array
