"""Labels and probabilities to files, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import OutputError
from .atomic import atomic
from .files import WRITABLE, suffix
from .image_file import AXES

__all__ = ["check_labels_format", "write_array", "write_image", "write_labels"]

_CLASSIC_TIFF = 2**32 - 2**25  # bytes that fit, with some room for directories


def write_labels(path: str | Path, labels: npt.ArrayLike, *, axes: str | None = None, overwrite: bool = False) -> None:
    """Write label values in the format of the suffix: PNG, TIFF, .npy or .zarr.

    Parameters
    ----------
    path : where to; missing folders are made.
    labels : integers; a PNG takes a plane of values from 0 to 65535.
    axes : letters of `TZYX`; YX, ZYX or TZYX when not given.
    overwrite : whether an existing file may be replaced.

    Raises
    ------
    OutputError
        When the format cannot hold these labels, is not known, or the place cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from napari_fcn.io import read_labels
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_labels(f"{folder}/cells.tif", [[0, 7], [7, 300]])
    ...     read_labels(f"{folder}/cells.tif").tolist()
    [[0, 7], [7, 300]]
    """
    array = np.asarray(labels)
    if array.dtype.kind == "b":
        array = array.astype(np.uint8)
    if array.dtype.kind not in "iu":
        raise OutputError(f"Labels must be whole numbers to be written. Got {array.dtype}.")
    low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
    check_labels_format(path, array.shape, low, high)
    if suffix(path) == ".png" and array.dtype not in (np.uint8, np.uint16):
        array = array.astype(np.uint8 if high < 256 else np.uint16)
    _write(Path(path), array, axes or "TZYX"[-array.ndim :], overwrite)


def write_array(path: str | Path, array: npt.ArrayLike, *, axes: str, overwrite: bool = False) -> None:
    """Write numbers such as probabilities in the format of the suffix: TIFF, .npy or .zarr.

    Parameters
    ----------
    path : where to; missing folders are made.
    array : any integers or floats.
    axes : one letter of `TZCYX` for each axis, such as CYX for the probabilities of a plane.
    overwrite : whether an existing file may be replaced.

    Raises
    ------
    OutputError
        When the format is not known or cannot hold the array, or the place cannot be written.
    """
    numbers = np.asarray(array)
    if suffix(path) == ".png":
        raise OutputError(
            f"A PNG cannot hold {numbers.dtype} numbers with axes {axes}; give {str(path)!r} the suffix '.tif'."
        )
    _write(Path(path), numbers, axes, overwrite)


def write_image(path: str | Path, image: npt.ArrayLike, *, axes: str, overwrite: bool = False) -> None:
    """Write an image in the format of the suffix: TIFF, .npy, .zarr, or PNG for pictures.

    Parameters
    ----------
    path : where to; missing folders are made.
    image : any integers or floats; a PNG takes uint8 and uint16 with axes YX, and uint8 colours with axes YXC.
    axes : one letter of `TZCYX` for each axis.
    overwrite : whether an existing file may be replaced.

    Raises
    ------
    OutputError
        When the format is not known or cannot hold the image, or the place cannot be written.
    """
    pixels = np.asarray(image)
    grey = axes == "YX" and pixels.dtype in (np.uint8, np.uint16)
    colours = axes == "YXC" and pixels.dtype == np.uint8 and pixels.shape[-1] in (3, 4)
    if suffix(path) == ".png" and (grey or colours):
        _write(Path(path), pixels, axes, overwrite)
    else:
        write_array(path, pixels, axes=axes, overwrite=overwrite)


def check_labels_format(path: str | Path, shape: tuple[int, ...], low: int, high: int) -> None:
    """Raise `OutputError` when the format of `path` cannot hold labels of this shape with values from low to high.

    Call it before the work whose result goes there.
    """
    if suffix(path) not in WRITABLE:
        raise OutputError(f"{str(path)!r} has no suffix that can be written; use one of {', '.join(WRITABLE)}.")
    if suffix(path) != ".png":
        return
    if len(shape) != 2:
        raise OutputError(
            f"A PNG holds one plane, and the labels have shape {shape}; give {str(path)!r} the suffix '.tif'."
        )
    if low < 0 or high > 65535:
        raise OutputError(
            f"A PNG holds values from 0 to 65535, and the labels go from {low} to {high}; "
            f"give {str(path)!r} the suffix '.tif'."
        )


def _write(path: Path, array: npt.NDArray[Any], axes: str, overwrite: bool) -> None:
    writer = _WRITERS.get(suffix(path))
    if writer is None:
        raise OutputError(f"{str(path)!r} has no suffix that can be written; use one of {', '.join(WRITABLE)}.")
    if len(axes) != array.ndim or not set(axes) <= set(AXES):
        raise OutputError(f"`axes` must have one letter of {AXES} for each axis of shape {array.shape}. Got {axes!r}.")
    with atomic(path, overwrite=overwrite) as temporary:
        writer(temporary, array, axes)


def _write_png(path: Path, array: npt.NDArray[Any], axes: str) -> None:
    from PIL import Image

    Image.fromarray(array).save(path, format="PNG")


def _write_tiff(path: Path, array: npt.NDArray[Any], axes: str) -> None:
    import tifffile

    # One plane a page: without these two words three or four classes would be taken for colours.
    tifffile.imwrite(
        path,
        array,
        bigtiff=array.nbytes > _CLASSIC_TIFF,
        photometric="minisblack",
        compression="zlib",
        metadata={"axes": axes},
    )


def _write_npy(path: Path, array: npt.NDArray[Any], axes: str) -> None:
    with path.open("wb") as stream:
        np.save(stream, array, allow_pickle=False)


def _write_zarr(path: Path, array: npt.NDArray[Any], axes: str) -> None:
    import zarr

    zarr.create_array(
        str(path),
        data=array,
        chunks=tuple(min(size, 512) if letter in "YX" else 1 for size, letter in zip(array.shape, axes, strict=True)),
        dimension_names=[letter.lower() for letter in axes],
    )


_WRITERS: dict[str, Callable[[Path, npt.NDArray[Any], str], None]] = {
    ".png": _write_png,
    ".tif": _write_tiff,
    ".tiff": _write_tiff,
    ".npy": _write_npy,
    ".zarr": _write_zarr,
}
