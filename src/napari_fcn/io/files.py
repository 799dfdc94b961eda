"""Which files are meant: a file, a folder or a pattern; which image belongs to which label; where results go."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from ..errors import InputError, OutputError
from ..registry import nearest

__all__ = ["FORMATS", "READABLE", "WRITABLE", "find_files", "output_paths", "pair_by_stem", "stem", "suffix"]

FORMATS = "PNG, JPEG, BMP, TIFF (also OME-TIFF and GeoTIFF), .npy, .npz and Zarr (also OME-Zarr)"
"""What can be read, in words."""

READABLE = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".npy", ".npz", ".zarr")
WRITABLE = (".png", ".tif", ".tiff", ".npy", ".zarr")


def suffix(path: str | Path) -> str:
    """The suffix that says the format, in lower case: '.tif' for 'a.ome.TIF'."""
    return Path(path).suffix.lower()


def stem(path: str | Path) -> str:
    """The name without suffix; '.ome' before it goes too.

    Examples
    --------
    >>> stem("plate/cells.01.ome.tif"), stem("cells.01.png")
    ('cells.01', 'cells.01')
    """
    bare = Path(path).stem
    return bare[:-4] if bare.lower().endswith(".ome") and len(bare) > 4 else bare


def find_files(path: str | Path) -> list[Path]:
    """Files that `path` means, naturally sorted (2 before 10).

    Parameters
    ----------
    path : a file, a folder (the image files in it, not those in its subfolders) or a pattern with `*`, `?`, `[...]`
        or `**`. Hidden files are left out. A Zarr folder counts as one file.

    Raises
    ------
    InputError
        When there is none; the message names the nearest existing thing.
    """
    if not os.fspath(path):
        raise InputError("An empty path names no file.")
    given = Path(path).expanduser()
    text = str(given)
    if given.is_file() or _is_zarr(given):
        if suffix(given) not in READABLE and not _is_zarr(given):
            raise InputError(f"{str(given)!r} is no image file that can be read; known are {FORMATS}.")
        return [given]
    if given.is_dir():
        found = [each for each in given.iterdir() if _is_image(each)]
        if not found:
            raise InputError(f"The folder {str(given)!r} holds no image file; known are {FORMATS}.")
    elif glob.has_magic(text):
        matches = [Path(each) for each in glob.glob(text, recursive=True)]  # noqa: PTH207 - of any path, absolute or not
        found = [each for each in matches if _is_image(each) and not _in_zarr(each)]
        if not found:
            what = "files, but no image" if matches else "no file"
            raise InputError(f"The pattern {text!r} matches {what}; known are {FORMATS}.")
    else:
        raise InputError(f"There is no file or folder {text!r}{_hint(given)}.")
    return sorted(set(found), key=_natural)


def pair_by_stem(images: Iterable[Path], labels: Iterable[Path]) -> tuple[list[tuple[Path, Path]], list[Path]]:
    """Pair images with the labels of the same stem.

    Returns
    -------
    pairs : (image, label) in the order of the images.
    unpaired : images that have no label.

    Raises
    ------
    InputError
        When nothing pairs, or when two images or two labels have the same stem and one of them would be used.

    Examples
    --------
    >>> pairs, unpaired = pair_by_stem([Path("a.ome.tif"), Path("b.tif")], [Path("masks/a.png")])
    >>> [(image.name, label.name) for image, label in pairs], [image.name for image in unpaired]
    ([('a.ome.tif', 'a.png')], ['b.tif'])
    """
    images, labels = list(images), list(labels)
    by_stem = _unique("label files", labels, {stem(image) for image in images})
    _unique("images", images, set(by_stem))
    pairs = [(image, by_stem[stem(image)]) for image in images if stem(image) in by_stem]
    if not pairs:
        raise InputError(
            "Images and labels pair by the name without suffix, and no two names are equal: "
            f"images are {_examples(images)}, labels are {_examples(labels)}."
        )
    return pairs, [image for image in images if stem(image) not in by_stem]


def output_paths(
    output: str | Path, inputs: Sequence[Path], kind: Literal["labels", "probabilities"] = "labels"
) -> list[Path]:
    """Where the result of each input goes.

    Parameters
    ----------
    output : a file name with a suffix that can be written (only for a single input), else a folder, in which results
        have the names of their inputs and the suffix that fits: `.png` for pictures, `.tif`, `.npy` and `.zarr`.
    inputs : the images.
    kind : probabilities do not fit into a PNG and get `.tif` instead.

    Raises
    ------
    OutputError
        When the result would replace one of the inputs, or two inputs would get the same result.

    Examples
    --------
    >>> [path.as_posix() for path in output_paths("results", [Path("a.ome.tif"), Path("b.jpg")])]
    ['results/a.tif', 'results/b.png']
    """
    target = Path(output).expanduser()
    ending = suffix(target)
    is_folder = os.fspath(output).endswith(("/", os.sep)) or (target.is_dir() and ending != ".zarr")
    if not is_folder and ending in READABLE:
        if len(inputs) != 1:
            raise OutputError(f"{str(target)!r} is one file, but there are {len(inputs)} results; give a folder.")
        if ending not in WRITABLE or (kind == "probabilities" and ending == ".png"):
            usable = [each for each in WRITABLE if kind == "labels" or each != ".png"]
            raise OutputError(f"{kind.capitalize()} cannot be written as {ending!r}; use one of {', '.join(usable)}.")
        results = [target]
    else:
        results = [target / f"{stem(each)}{_fitting(suffix(each), kind)}" for each in inputs]
    places = {each.resolve(): each for each in inputs}
    taken: dict[Path, Path] = {}
    for source, result in zip(inputs, results, strict=True):
        place = result.resolve()
        if place in places:
            raise OutputError(f"The result {str(result)!r} would replace the image of that name; give another folder.")
        if place in taken:
            raise OutputError(
                f"{str(taken[place])!r} and {str(source)!r} would both get the result {str(result)!r}; rename one."
            )
        taken[place] = source
    return results


def _fitting(ending: str, kind: str) -> str:
    if ending in (".npy", ".npz"):
        return ".npy"
    if ending == ".zarr":
        return ".zarr"
    return ".tif" if ending in (".tif", ".tiff") or kind == "probabilities" else ".png"


def _is_zarr(path: Path) -> bool:
    return path.is_dir() and (
        suffix(path) == ".zarr" or any((path / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray"))
    )


def _is_image(path: Path) -> bool:
    if path.name.startswith("."):
        return False
    return _is_zarr(path) or (suffix(path) in READABLE and path.is_file())


def _in_zarr(path: Path) -> bool:
    return any(suffix(parent) == ".zarr" for parent in path.parents)


def _natural(path: Path) -> list[tuple[int, int | str]]:
    parts = re.split(r"(\d+)", path.as_posix().lower())
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts if part]


def _hint(path: Path) -> str:
    """The existing name most like a missing one, or the part of the path that is missing."""
    while not path.parent.exists() and path.parent != path.parent.parent:
        path = path.parent
    if not path.parent.is_dir():
        return f"; {str(path.parent)!r} is missing too" if not path.parent.exists() else ""
    try:
        names = [each.name for each in path.parent.iterdir() if not each.name.startswith(".")]
    except OSError:
        return ""
    close = nearest(path.name, names)
    return f"; the nearest is {str(path.parent / close)!r}" if close else ""


def _unique(kind: str, files: list[Path], wanted: set[str]) -> dict[str, Path]:
    """Files by stem; an error when two files have a stem that is wanted."""
    found: dict[str, Path] = {}
    for file in files:
        name = stem(file)
        if name in found and name in wanted:
            raise InputError(f"Two {kind} are named {name!r}: {str(found[name])!r} and {str(file)!r}; keep one.")
        found[name] = file
    return found


def _examples(files: list[Path]) -> str:
    names = [file.name for file in files[:3]]
    return ", ".join(map(repr, names)) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
