"""Pictures of Process for docs/process.md: filters of an image and of labels, in a folder and a theme.

bash tools/virtual_screen.sh python tools/screens/process.py docs/images [--theme light]
"""

import argparse
import time
from pathlib import Path

import napari
import numpy as np
from napari.settings import get_settings
from qtpy.QtWidgets import QApplication

from napari_fcn import samples

SIZE = 1280, 800


def spin(seconds):
    """Let the window live."""
    end = time.time() + seconds
    while time.time() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def picture(viewer, path):
    """The whole window as a file."""
    spin(1)
    viewer.window._qt_window.resize(*SIZE)
    spin(0.5)
    viewer.screenshot(str(path), canvas_only=False, flash=False)


def process(folder, theme):
    """A chain with its live preview, and numbered objects."""
    get_settings().appearance.theme = theme
    suffix = "" if theme == "dark" else f"-{theme}"
    viewer = napari.Viewer(show=True, title="napari")
    viewer.window._qt_window.resize(*SIZE)
    sample = samples.load("nuclei")
    viewer.add_image(sample.train_images[0], name="nuclei", rgb=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Process")
    widget.editor.add("background")
    widget.editor.add("clahe")
    widget.chain.value = "background:radius=30,ground=bright + clahe"
    while "Process preview" not in viewer.layers:
        spin(0.1)
    picture(viewer, folder / f"process{suffix}.png")

    widget.preview.value = False
    labels = viewer.add_labels(sample.train_labels[0].astype(np.uint8), name="nuclei labels")
    widget.layer.value = labels
    widget.preview.value = True
    widget.editor.add("remove_small_objects")
    widget.editor.add("opening")
    widget.editor.add("watershed")
    while "Process preview" not in viewer.layers:
        spin(0.1)
    labels.visible = False
    picture(viewer, folder / f"process-labels{suffix}.png")
    viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", default="dark")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    process(arguments.folder, arguments.theme)
