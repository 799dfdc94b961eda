"""Asking where to save, and saving there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog

__all__ = ["ask_and_save"]


def ask_and_save(parent: Any, what: str, save: Callable[..., None]) -> None:
    """Ask for a file and save there; nothing when the dialog is closed.

    Parameters
    ----------
    parent : the Qt widget that asks.
    what : what is saved, such as "segmenter".
    save : takes a path and `overwrite`.
    """
    typed, _ = QFileDialog.getSaveFileName(
        parent, f"Save {what}", f"{what}.safetensors", f"{what.capitalize()}s (*.safetensors)"
    )
    if typed:
        path = Path(typed).with_suffix(".safetensors")
        # The dialog has asked about the file that was typed, not about the one with another ending.
        save(path, overwrite=path == Path(typed))
        show_info(f"Saved as {path.name}.")
