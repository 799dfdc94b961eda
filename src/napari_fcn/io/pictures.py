"""PNG, JPEG and BMP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .image_file import ImageFile

__all__ = ["read_picture"]


def read_picture(path: Path, *, labels: bool = False) -> ImageFile:
    """Read a picture as YX or YXC (red, green, blue); alpha is dropped.

    Parameters
    ----------
    path : the file; its contents say which of the three formats it is.
    labels : give the indices of a palette instead of its colours, and refuse what is compressed with loss.
    """
    with path.open("rb") as stream:
        start = stream.read(32)
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        pixels = _png(path, start, labels)
    elif start.startswith((b"\xff\xd8", b"BM")):
        if labels and start.startswith(b"\xff\xd8"):
            raise InputError(f"Labels cannot be a JPEG, which changes values; save {str(path)!r} anew as PNG or TIFF.")
        pixels = _pillow(path, "JPEG" if start.startswith(b"\xff\xd8") else "BMP", labels)
    else:
        raise InputError(f"{str(path)!r} is no PNG, JPEG or BMP, whatever its name says.")
    return ImageFile(path, pixels, "YX" if pixels.ndim == 2 else "YXC")


def _png(path: Path, start: bytes, labels: bool) -> npt.NDArray[np.generic]:
    bits, colour = start[24], start[25]  # of the header chunk, which comes first
    if bits == 16 and colour in (2, 4, 6):  # Pillow would cut these to 8 bits
        import imagecodecs

        pixels = np.asarray(imagecodecs.png_decode(path.read_bytes()))
        return pixels[..., :3] if colour != 4 else pixels[..., 0]
    return _pillow(path, "PNG", labels)


def _pillow(path: Path, kind: str, labels: bool) -> npt.NDArray[np.generic]:
    from PIL.BmpImagePlugin import BmpImageFile
    from PIL.ImageFile import ImageFile as PillowFile
    from PIL.JpegImagePlugin import JpegImageFile
    from PIL.PngImagePlugin import PngImageFile

    # Not Image.open, which refuses large pictures: those are what this package is for.
    openers: dict[str, Callable[[BinaryIO], PillowFile]] = {
        "PNG": PngImageFile,
        "JPEG": JpegImageFile,
        "BMP": BmpImageFile,
    }
    with path.open("rb") as stream, openers[kind](stream) as picture:
        picture.load()
        match picture.mode:
            case "P" if labels:
                return np.array(picture)
            case "1" | "L" | "RGB" | "I" | "I;16" | "I;16B" | "F":
                return np.array(picture)
            case "LA" | "La":
                return np.array(picture)[..., 0]
            case "RGBA":
                return np.array(picture)[..., :3]
            case "P":  # by way of RGBA, which leaves the colours of transparent pixels as they are
                return np.array(picture.convert("RGBA"))[..., :3]
            case _:
                return np.array(picture.convert("RGB"))
