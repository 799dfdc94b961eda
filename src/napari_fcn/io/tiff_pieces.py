"""A TIFF that is read where it is sliced: strips and tiles of one page are decoded when they are needed."""

from __future__ import annotations

import threading
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from ..errors import InputError

__all__ = ["LARGE", "PiecewiseTiff"]

LARGE = 64_000_000
"""Bytes of pixels from which on a TIFF is read by pieces."""


class PiecewiseTiff:
    """The first series of a TIFF, with `shape`, `dtype`, `ndim`, `chunks` and slicing.

    Where the file is stored in strips as wide as the image, a narrow window is cut out of rows that are kept until
    others are asked for, so that neighbouring windows do not decode the same strips again.

    Parameters
    ----------
    path : the file.
    shape, dtype : of the series, with the axes that `axes` names.
    axes : letters, Y and X among them.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any, axes: str) -> None:
        self.path, self.shape, self.axes = path, shape, axes
        self.dtype, self.ndim = np.dtype(dtype), len(shape)
        self._open()
        self.chunks: tuple[int, ...] = tuple(self._source.chunks)

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        key = self._full(key)
        try:
            if self._plain is not None:  # mapped anew each time, so that what was read does not stay in memory
                offset, stored = self._plain
                return np.array(np.memmap(self.path, stored, "r", offset, self.shape)[key], self.dtype)
            x, y = self.axes.index("X"), self.axes.index("Y")
            narrow = isinstance(key[x], slice) and key[x] != slice(None)
            if narrow and isinstance(key[y], slice) and self.chunks[x] == self.shape[x]:
                return self._from_rows(key, x)
            return np.asarray(self._source[key])
        except (IndexError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - each compression has errors of its own
            reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
            raise InputError(f"A part of {str(self.path)!r} is damaged: {reason}.") from None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return np.asarray(self[...], dtype=dtype)

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "shape": self.shape, "dtype": self.dtype, "axes": self.axes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    def _open(self) -> None:
        import zarr

        with tifffile.TiffFile(self.path) as tiff:
            offset = tiff.series[0].dataoffset
            stored = self.dtype.newbyteorder(tiff.byteorder)
        self._plain = None if offset is None else (offset, stored)
        store = tifffile.imread(self.path, aszarr=True, series=0, level=0)
        self._source: Any = zarr.open_array(store, mode="r")
        weakref.finalize(self, store.close)
        self._lock = threading.Lock()
        self._rows: tuple[Any, npt.NDArray[Any]] | None = None

    def _full(self, key: Any) -> tuple[Any, ...]:
        parts = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in parts:
            at = parts.index(Ellipsis)
            parts[at : at + 1] = [slice(None)] * (self.ndim - len(parts) + 1)
        return (*parts, *[slice(None)] * (self.ndim - len(parts)))

    def _from_rows(self, key: tuple[Any, ...], x: int) -> npt.NDArray[Any]:
        whole = (*key[:x], slice(None), *key[x + 1 :])
        name = repr(whole)
        with self._lock:
            if self._rows is None or self._rows[0] != name:
                self._rows = None
                self._rows = name, np.asarray(self._source[whole])
            rows = self._rows[1]
        left = sum(isinstance(part, slice) for part in key[:x])
        return rows[(slice(None),) * left + (key[x],)]
