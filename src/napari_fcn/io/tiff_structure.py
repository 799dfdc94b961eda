"""Is a TIFF complete? Its directories are followed from the first to the last, without decoding anything.

A reader that finds the next directory beyond the end of a file that was cut short takes the pages that it has seen
for the whole image. Here it is an error.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from ..errors import InputError

__all__ = ["check_structure"]

# Bytes of one value of each TIFF field type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}


def check_structure(path: Path) -> None:
    """Raise `InputError` when `path` is no TIFF, or one of its directories or their values is not inside the file."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        start = stream.read(16)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 8:
            raise InputError(f"{str(path)!r} is no TIFF, whatever its name says.")
        version = struct.unpack(order + "H", start[2:4])[0]
        if version == 42:
            offset = struct.unpack(order + "I", start[4:8])[0]
            directory = struct.Struct(order + "H"), struct.Struct(order + "HHI4s"), struct.Struct(order + "I")
        elif version == 43 and len(start) == 16:
            offset = struct.unpack(order + "Q", start[8:16])[0]
            directory = struct.Struct(order + "Q"), struct.Struct(order + "HHQ8s"), struct.Struct(order + "Q")
        else:
            raise InputError(f"{str(path)!r} is no TIFF, whatever its name says.")
        if offset == 0:
            raise InputError(f"{str(path)!r} was never finished: its directory is missing.")
        seen: set[int] = set()
        while offset and offset not in seen:
            seen.add(offset)
            following = _follow(stream, offset, size, *directory)
            if following is None:
                raise InputError(f"{str(path)!r} is cut short: the directory of page {len(seen)} is not complete.")
            offset = following


def _follow(
    stream: BinaryIO, offset: int, size: int, count: struct.Struct, entry: struct.Struct, pointer: struct.Struct
) -> int | None:
    """Offset of the directory after the one at `offset`, or None when something of this one is beyond the end."""
    stream.seek(offset)
    head = stream.read(count.size)
    if len(head) < count.size:
        return None
    length = count.unpack(head)[0] * entry.size
    if offset + length > size:
        return None
    entries = stream.read(length)
    tail = stream.read(pointer.size)
    if len(entries) < length or len(tail) < pointer.size:
        return None
    for _, kind, number, value in entry.iter_unpack(entries):
        needed = _SIZES.get(kind, 0) * number
        if needed > len(value) and pointer.unpack(value)[0] + needed > size:
            return None
    following: int = pointer.unpack(tail)[0]
    return following
