"""Small real images with labels, to try things on.

Two sets come with the package: stained tissue with every pixel labelled, and a satellite scene of which little more
than one percent is. Each is a folder with `sample.json`, the images, the labels under the same file names, and the
licence that they come under.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import UnknownNameError

__all__ = ["Sample", "SampleClass", "load", "names"]


@dataclass(frozen=True)
class SampleClass:
    """A class of a sample: its value in the labels, its name, and the colour in which it is shown (`#rrggbb`)."""

    value: int
    name: str
    colour: str


@dataclass(frozen=True)
class Sample:
    """Images, and what people said is in them.

    Attributes
    ----------
    name : the name that `load` knows it by.
    title : the name for a person.
    train_images, train_labels : what to learn from; labels have the images' axes without C.
    test_images, test_labels : what nobody should learn from; empty where the set has no such images.
    axes : the axes of every image, such as "YXC".
    channel_names : one for each channel, in order.
    classes : the classes in the labels, without the unlabelled.
    zero : what 0 means in the labels.
    train_files, test_files : the files' names, in the order of the images.
    licence : its SPDX identifier; the text is in the file `LICENSE` beside the data.
    citation : whom to name when publishing something made with it.
    """

    name: str
    title: str
    train_images: tuple[NDArray[Any], ...]
    train_labels: tuple[NDArray[Any], ...]
    test_images: tuple[NDArray[Any], ...]
    test_labels: tuple[NDArray[Any], ...]
    axes: str
    channel_names: tuple[str, ...]
    classes: tuple[SampleClass, ...]
    zero: Literal["background", "unlabelled"]
    train_files: tuple[str, ...]
    test_files: tuple[str, ...]
    licence: str
    citation: str


def names() -> tuple[str, ...]:
    """The names of the samples.

    Examples
    --------
    >>> names()
    ('landsat', 'nuclei')
    """
    return tuple(sorted(entry.name for entry in files(__name__).iterdir() if (entry / "sample.json").is_file()))


def load(name: str) -> Sample:
    """Read a sample.

    Parameters
    ----------
    name : one of `names()`.

    Returns
    -------
    Sample
        A fresh copy of everything: what is done to its arrays is done to nobody else's.

    Raises
    ------
    UnknownNameError
        If there is no sample of that name.

    Examples
    --------
    >>> sample = load("landsat")
    >>> sample.train_images[0].shape, sample.train_images[0].dtype, sample.zero
    ((250, 250, 8), dtype('int16'), 'unlabelled')
    """
    if name not in names():
        raise UnknownNameError(
            f"There is no sample {name!r}; there are {' and '.join(repr(known) for known in names())}."
        )
    folder = files(__name__) / name
    about: Mapping[str, Any] = json.loads((folder / "sample.json").read_text(encoding="utf-8"))

    def read(kind: str, part: str) -> tuple[NDArray[Any], ...]:
        return tuple(_read_image(folder / kind / file) for file in about[part])

    return Sample(
        name=name,
        title=about["title"],
        train_images=read("images", "train"),
        train_labels=read("labels", "train"),
        test_images=read("images", "test"),
        test_labels=read("labels", "test"),
        axes=about["axes"],
        channel_names=tuple(about["channel_names"]),
        classes=tuple(SampleClass(**entry) for entry in about["classes"]),
        zero=about["zero"],
        train_files=tuple(about["train"]),
        test_files=tuple(about["test"]),
        licence=about["licence"],
        citation=about["citation"],
    )


def _read_image(file: Traversable) -> NDArray[Any]:
    """The pixels of a PNG or TIFF file, which may lie inside an archive."""
    data = io.BytesIO(file.read_bytes())
    if file.name.endswith(".tif"):
        import tifffile

        return np.asarray(tifffile.imread(data))
    import imageio.v3

    return np.asarray(imageio.v3.imread(data))
