"""A training that starts from a file: a segmenter's network, or the encoder of an autoencoder."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog

from .store import segmenters
from .worker import Progress, Stop

if TYPE_CHECKING:
    from ..autoencoder import Autoencoder
    from ..segmenter import Segmenter
    from .train_form import TrainForm

__all__ = ["ask_and_start", "read_start", "take_start"]


def read_start(file: Path, stop: Stop) -> Generator[Progress, None, Segmenter | Autoencoder | None]:
    """Read what a training can start from, in the worker's thread; None when it was told to stop.

    Raises
    ------
    FcnError
        The file is none of both.
    """
    yield Progress(None, f"Loading {file.name}…")
    from ..autoencoder import Autoencoder, is_autoencoder
    from ..segmenter import Segmenter

    found = Autoencoder.load(file) if is_autoencoder(file) else Segmenter.load(file)
    return None if stop.is_set() else found


def take_start(form: TrainForm, file: Path, found: Segmenter | Autoencoder) -> str:
    """Choose in the form what was read from `file`; a sentence about it."""
    from ..segmenter import Segmenter

    if isinstance(found, Segmenter):
        form.start.value = segmenters.add(found, file.stem)
        return f"Loaded {file.name}.\n{found.describe()}"
    form.start.value, form.encoder.value, form.weights.value = None, found.model.encoder, str(file)
    return f"The network's encoder starts from that of {file.name} (Advanced, Transfer, Weights)."


def ask_and_start(parent: Any, start: Callable[[str], object]) -> None:
    """Ask for a file and start from it; nothing when the dialog is closed."""
    kinds = "Segmenters and autoencoders (*.safetensors);;All files (*)"
    path, _ = QFileDialog.getOpenFileName(parent, "Start from", "", kinds)
    if path:
        start(path)
