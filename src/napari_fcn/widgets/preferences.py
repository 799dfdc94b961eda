"""What is remembered between sessions: napari's Preferences page of this plugin, and what was chosen last."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from qtpy.QtCore import QStandardPaths

from ..io.atomic import atomic

__all__ = ["data_folder", "file_name", "preference", "recall", "refuge", "remember"]

PLUGIN = "napari-fcn"
FOLDER_VARIABLE = "NAPARI_FCN_DATA"
"""Environment variable that names another folder than the user's for what is remembered."""


def preference(name: str) -> Any:
    """A value of the Preferences page; None where it is left as it is, or where napari has no such pages."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:  # napari before 0.9
        return None
    try:
        value = getattr(get_plugin_settings(PLUGIN).training, name)
    except (AttributeError, KeyError):  # the plugin is not registered, as in a script that imports the widgets
        return None
    return value or None


def data_folder() -> Path:
    """Where this plugin keeps what it remembers and what it rescues."""
    given = os.environ.get(FOLDER_VARIABLE)
    if given:
        return Path(given)
    return Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)) / PLUGIN


def refuge(name: str) -> Path:
    """A file for a segmenter whose window went while it was trained."""
    return data_folder() / "segmenters" / f"{file_name(name)}.safetensors"


def file_name(name: str) -> str:
    """A name for a file or folder, from a layer's name and the time."""
    plain = "".join(letter if letter.isalnum() or letter in " -_" else "_" for letter in name)
    return f"{datetime.now():%Y-%m-%d %H.%M.%S} {plain.strip()[:60]}"


def recall(widget: str) -> dict[str, Any]:
    """What was remembered for a widget; nothing where there is no readable memory."""
    try:
        found = json.loads((data_folder() / f"{widget}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def remember(widget: str, values: Mapping[str, Any]) -> None:
    """Remember values that JSON can hold; where nothing can be written, nothing is remembered."""
    try:
        folder = data_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with atomic(folder / f"{widget}.json", overwrite=True) as temporary:
            temporary.write_text(json.dumps(dict(values)), encoding="utf-8")
    except OSError:
        return
