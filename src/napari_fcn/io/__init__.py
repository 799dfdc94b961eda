"""Files in and out: images, labels, probabilities. Nothing here knows networks."""

from __future__ import annotations

from .atomic import atomic, check_output
from .files import FORMATS, find_files, output_paths, pair_by_stem, stem
from .image_file import ImageFile, PixelSize
from .images import read_image, read_labels
from .write import check_labels_format, write_array, write_labels

__all__ = [
    "FORMATS",
    "ImageFile",
    "PixelSize",
    "atomic",
    "check_labels_format",
    "check_output",
    "find_files",
    "output_paths",
    "pair_by_stem",
    "read_image",
    "read_labels",
    "stem",
    "write_array",
    "write_labels",
]
