"""The Python and the command line that repeat what a widget does, written from the same settings."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import PushButton
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog

from ..config import DataConfig, ModelConfig, TrainingConfig
from ..options import Option, options
from . import layers

if TYPE_CHECKING:
    from napari.layers import Image, Labels

    from .panel import Panel
    from .training_job import TrainingJob

__all__ = [
    "Script",
    "call",
    "command",
    "copy_script",
    "script_button",
    "stem",
    "told",
    "training_script",
    "write_array",
]

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


def script_button(written: str) -> PushButton:
    """The button for it; `written` is what goes into a folder: "image and segmenter"."""
    return PushButton(
        text="Copy as script…",
        name="script_button",
        tooltip="Copy the Python and the command line that repeat this;\n"
        f"{written} are written to a folder that you choose",
    )


def copy_script(panel: Panel, make: Callable[[Path], Script]) -> None:
    """Ask for a folder, and put the script that `make` writes for it on the clipboard."""
    folder = QFileDialog.getExistingDirectory(panel.native, "Where to write what the script reads")
    if folder:
        make(Path(folder)).copy()
        show_info("Copied: the Python and the command line that repeat this.")


def training_script(
    job: TrainingJob, pairs: Sequence[tuple[Image, Labels]], folder: Path, notes: Sequence[str] = ()
) -> Script:
    """The script of a training; images, labels and a segmenter to start from are written to `folder`.

    `notes` are sentences for its first lines.
    """
    names = [stem(number, image.name) for number, (image, _) in enumerate(pairs)]
    for kind, arrays in (("images", job.images), ("labels", job.labels)):
        for name, array in zip(names, arrays, strict=True):
            write_array(folder / kind / f"{name}.npy", array)
    settings = told(job.settings, options(ModelConfig, DataConfig, TrainingConfig))
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
    if "time_budget" in settings:
        notes = [*notes, "Within a time budget the number of steps, and so the result, differs a bit each time."]
    python = [
        *(f"# {note}" for note in notes),
        "from pathlib import Path",
        "",
        "import numpy as np",
        "",
        "import napari_fcn as fcn",
        "",
        f"folder = Path({str(folder)!r})",
        'images = [np.load(file) for file in sorted(folder.glob("images/*.npy"))]',
        'labels = [np.load(file) for file in sorted(folder.glob("labels/*.npy"))]',
        call("segmenter = fcn.train", ["images", "labels"], arguments),
        f'segmenter.save(folder / "{output.name}")',
    ]
    given = {"images": str(folder / "images"), "labels": str(folder / "labels"), "output": str(output), **settings}
    return Script("\n".join(python) + "\n", command("train", given))


def command(verb: str, given: Mapping[str, Any], first: Sequence[str] = ()) -> str:
    """A call of the command line with options, and with `first` before them."""
    words = ["napari-fcn", verb, *first]
    for name, value in given.items():
        words.append(f"--{name.replace('_', '-')}")
        if isinstance(value, (tuple, list)):
            words.append(",".join(map(str, value)))
        else:
            words.append(f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value))
    return shlex.join(words)


def told(settings: Mapping[str, Any], described: Mapping[str, tuple[Any, Option]]) -> dict[str, Any]:
    """The settings that differ from what is usual, in their usual order."""
    return {
        name: settings[name]
        for name, (default, _) in described.items()
        if name in settings and settings[name] != default and settings[name] is not None
    }


def call(function: str, positional: Sequence[str], named: Mapping[str, Any]) -> str:
    """A call in Python, broken into lines where it is long."""
    arguments = [*positional, *(f"{name}={value!r}" for name, value in named.items())]
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= LINE:
        return line
    return f"{function}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"


def write_array(path: Path, array: Any) -> None:
    """Write what a script reads, in a folder that may have to be made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.asarray(array))


def stem(number: int, name: str) -> str:
    """A file's name for a layer, without its ending."""
    plain = "".join(letter if letter.isalnum() else "_" for letter in name)
    return f"{number:02d}_{plain[:40]}"
