"""Images and labels from files: one reading function for all formats, one kind of error for all damage."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..errors import FcnError, InputError
from .files import FORMATS, suffix
from .image_file import ImageFile, complete

__all__ = ["read_image", "read_labels"]


def read_image(path: str | Path, *, lazy: bool = True) -> ImageFile:
    """Read an image: PNG, JPEG, BMP, TIFF, OME-TIFF, GeoTIFF, .npy, .npz, Zarr or OME-Zarr.

    Palettes become RGB, an alpha channel that says how opaque pixels are is dropped, axes of size 1 are squeezed. A
    band of a TIFF that is only marked as alpha is kept; `notes` say what was made of it. Where a file does not name its
    axes, two are YX, and three of which the last has size 3 or 4 are YXC when they are uint8 or uint16.

    Parameters
    ----------
    path : the file.
    lazy : open a Zarr and a TIFF of more than 64 MB without reading it: `array` is its full resolution with all axes,
        also those of size 1, and reads what it is sliced for. Otherwise they are read like every other file.

    Raises
    ------
    InputError
        When the file is missing, damaged, cut short or no image. Nothing else is raised for any content of a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(f"{folder}/cells.npy", np.zeros((40, 50, 3), np.uint8))
    ...     file = read_image(f"{folder}/cells.npy")
    >>> file.array.shape, file.axes
    ((40, 50, 3), 'YXC')
    """
    file = _read(Path(path), labels=False, lazy=lazy)
    return file if lazy else _in_memory(file)


def read_labels(path: str | Path) -> npt.NDArray[np.integer]:
    """Read labels: whole numbers over the image's axes without channels.

    Of a picture with a palette these are the palette's indices; True and False are 1 and 0.

    Raises
    ------
    InputError
        When the file cannot be read, is a colour picture, or holds decimal numbers, even if they are all whole:
        nobody but its author knows what the others would have meant.
    """
    path = Path(path)
    file = _read(path, labels=True)
    if file.axes and "C" in file.axes:
        channels = file.array.shape[file.axes.index("C")]
        raise InputError(
            f"Labels must be one whole number a pixel, and {str(path)!r} has {channels} values a pixel, like a colour "
            "picture; save the class of each pixel as 1, 2, 3 ... in a grey PNG or TIFF."
        )
    if file.array.dtype.kind == "f":
        raise InputError(
            f"Labels must be whole numbers, and {str(path)!r} holds {file.array.dtype} values; "
            "convert them first, for example with labels.astype('uint8')."
        )
    array: npt.NDArray[np.integer] = _in_memory(file).array
    return array.astype(np.uint8) if array.dtype.kind == "b" else array


def _in_memory(file: ImageFile) -> ImageFile:
    if isinstance(file.array, np.ndarray):
        return file
    with _readable(file.path):
        return complete(replace(file, array=np.asarray(file.array[...])))


def _read(path: Path, labels: bool, lazy: bool = False) -> ImageFile:
    """The readers are imported when they are needed: a command that only asks for help stays quick."""
    with _readable(path):
        if path.is_dir():
            from .zarr_files import read_zarr

            return complete(read_zarr(path))
        match suffix(path):
            case ".png" | ".jpg" | ".jpeg" | ".bmp":
                from .pictures import read_picture

                return complete(read_picture(path, labels=labels))
            case ".tif" | ".tiff":
                from .tiff import read_tiff

                return complete(read_tiff(path, labels=labels, lazy=lazy))
            case ".npy" | ".npz":
                from .numpy_files import read_numpy

                return complete(read_numpy(path, labels=labels))
    raise InputError(f"{str(path)!r} has no suffix of an image; known are {FORMATS}.")


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever a decoder raises into a sentence."""
    try:
        if not path.exists():
            raise InputError(f"There is no file {str(path)!r}.")
        if path.is_file() and path.stat().st_size == 0:
            raise InputError(f"{str(path)!r} is empty.")
        yield
    except FcnError:
        raise
    except MemoryError:
        raise InputError(f"{str(path)!r} does not fit into the memory of this machine.") from None
    except PermissionError:
        raise InputError(f"{str(path)!r} may not be read: permission denied.") from None
    except Exception as error:  # noqa: BLE001 - decoders raise anything: struct.error, zlib.error, SyntaxError ...
        if "allow_pickle" in str(error) or "pickle" in str(error):
            raise InputError(
                f"{str(path)!r} holds a pickled Python object, which is not opened because it could run a program; "
                "save a plain array with numpy.save."
            ) from None
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise InputError(f"{str(path)!r} is damaged, cut short or no image of its kind: {reason}.") from None
