"""The Python and the command line that repeat what a widget does, written from the same settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import DataConfig, ModelConfig, PredictionConfig, TrainingConfig
from ..options import Option, options
from . import layers

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from ..segmenter import Segmenter
    from .training_job import TrainingJob

__all__ = ["Script", "command", "prediction_script", "training_script"]

LINE = 100
"""Characters after which a call is broken into lines."""


@dataclass(frozen=True)
class Script:
    """The same run twice.

    Attributes
    ----------
    python : a program.
    command : a line for a shell.
    """

    python: str
    command: str

    @property
    def text(self) -> str:
        """Both, as one program whose first lines are the command as a comment."""
        return f"# The same on the command line:\n# {self.command}\n\n{self.python}"

    def copy(self) -> None:
        """Put the text on the clipboard."""
        from qtpy.QtGui import QGuiApplication

        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text)


def training_script(job: TrainingJob, pairs: Sequence[tuple[Image, Labels]], folder: Path) -> Script:
    """The script of a training; images, labels and a segmenter to start from are written to `folder`."""
    names = [_stem(number, image.name) for number, (image, _) in enumerate(pairs)]
    for kind, arrays in (("images", job.images), ("labels", job.labels)):
        for name, array in zip(names, arrays, strict=True):
            _write(folder / kind / f"{name}.npy", array)
    settings = _told(job.settings, options(ModelConfig, DataConfig, TrainingConfig))
    if job.init is not None:
        path = folder / "start.safetensors"
        job.init.save(path, overwrite=True)
        settings["init"] = str(path)
    output = folder / "segmenter.safetensors"
    present = sorted({int(value) for array in job.labels for value in np.unique(array)})
    arguments = {
        **{key: value for key, value in (("class_names", dict(job.names)), ("pixel_size", job.pixel_size)) if value},
        "class_colors": layers.class_colors(job.colormap, present),
        **settings,
    }
    python = [
        "from pathlib import Path",
        "",
        "import numpy as np",
        "",
        "import napari_fcn as fcn",
        "",
        f"folder = Path({str(folder)!r})",
        'images = [np.load(file) for file in sorted(folder.glob("images/*.npy"))]',
        'labels = [np.load(file) for file in sorted(folder.glob("labels/*.npy"))]',
        _call("segmenter = fcn.train", ["images", "labels"], arguments),
        f'segmenter.save(folder / "{output.name}")',
    ]
    given = {"images": str(folder / "images"), "labels": str(folder / "labels"), "output": str(output), **settings}
    return Script("\n".join(python) + "\n", command("train", given))


def prediction_script(
    image: Any, name: str, axes: str, segmenter: Segmenter, settings: Mapping[str, Any], folder: Path
) -> Script:
    """The script of a segmentation; the image and the segmenter are written to `folder`."""
    source, model, output = folder / f"{_stem(0, name)}.npy", folder / "segmenter.safetensors", folder / "labels.npy"
    _write(source, image)
    folder.mkdir(parents=True, exist_ok=True)
    segmenter.save(model, overwrite=True)
    settings = _told(settings, options(PredictionConfig))
    python = [
        "import numpy as np",
        "",
        "import napari_fcn as fcn",
        "",
        f"image = np.load({str(source)!r})",
        f"segmenter = fcn.Segmenter.load({str(model)!r})",
        _call("labels = segmenter.predict", ["image", repr(axes)], settings),
        f"np.save({str(output)!r}, labels)",
    ]
    given = {"model": str(model), "images": str(source), "output": str(output), "axes": axes, **settings}
    return Script("\n".join(python) + "\n", command("predict", given))


def command(verb: str, given: Mapping[str, Any]) -> str:
    """A call of the command line with options."""
    words = ["napari-fcn", verb]
    for name, value in given.items():
        words.append(f"--{name.replace('_', '-')}")
        if isinstance(value, (tuple, list)):
            words.append(",".join(map(str, value)))
        else:
            words.append(f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value))
    return shlex.join(words)


def _told(settings: Mapping[str, Any], described: Mapping[str, tuple[Any, Option]]) -> dict[str, Any]:
    """The settings that differ from what is usual, in their usual order."""
    return {
        name: settings[name]
        for name, (default, _) in described.items()
        if name in settings and settings[name] != default and settings[name] is not None
    }


def _call(function: str, positional: Sequence[str], named: Mapping[str, Any]) -> str:
    arguments = [*positional, *(f"{name}={value!r}" for name, value in named.items())]
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= LINE:
        return line
    return f"{function}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def _write(path: Path, array: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(array))


def _stem(number: int, name: str) -> str:
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)
    return f"{number:02d}_{plain[:40]}"
