"""What was found out about this machine and about networks, kept on the disk for the next run."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..io.atomic import atomic

__all__ = ["cache_folder", "keep_graph", "known_graph"]

KEPT = 4
"""Graphs that are kept, each as large as its network."""
FORM = 1
"""Another one whenever the graph of the same network becomes another one."""


def cache_folder() -> Path:
    """Where things are remembered: in the user's folder for what can be computed again."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "napari-fcn"


def known_graph(openvino: Any, name: str) -> Any:
    """The graph that was kept by that name, by the same version of OpenVINO; None when there is none that is whole."""
    place = _place(openvino, name)
    try:
        model = openvino.Core().read_model(place / "graph.xml")
        os.utime(place)
    except (OSError, RuntimeError):
        return None
    return model


def keep_graph(openvino: Any, name: str, model: Any) -> None:
    """Keep a graph; where nothing can be written, it is recorded again the next time."""
    place = _place(openvino, name)
    with contextlib.suppress(OutputError, OSError, RuntimeError):
        with atomic(place) as temporary:
            temporary.mkdir()
            openvino.save_model(model, temporary / "graph.xml", compress_to_fp16=False)
        old = sorted((each for each in place.parent.iterdir() if each.is_dir()), key=lambda each: each.stat().st_mtime)
        for each in old[:-KEPT]:
            shutil.rmtree(each, ignore_errors=True)


def _place(openvino: Any, name: str) -> Path:
    release = "".join(letter if letter.isalnum() else "-" for letter in str(openvino.__version__))
    return cache_folder() / "graphs" / f"{name}-{release}-{FORM}"
