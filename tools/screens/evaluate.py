"""A picture of Evaluate for docs/evaluate.md: a threshold beside the truth, in a folder and a theme.

bash tools/virtual_screen.sh python tools/screens/evaluate.py docs/images [--theme light]
"""

import argparse
import time
from pathlib import Path

import napari
import numpy as np
from napari.settings import get_settings
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtWidgets import QApplication
from skimage.filters import threshold_otsu

from napari_fcn import process, samples

SIZE = 1280, 800


def spin(seconds):
    """Let the window live."""
    end = time.time() + seconds
    while time.time() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def threshold(image):
    """What is dark, in somewhat smoother outlines: what one would do without a network."""
    grey = image.mean(axis=-1)
    return process((grey < threshold_otsu(grey)).astype(np.uint8), "smooth:radius=2 + remove_small_objects:size=30")


def evaluate(folder, theme):
    """The scores, and where the two differ."""
    get_settings().appearance.theme = theme
    viewer = napari.Viewer(show=True, title="napari")
    viewer.window._qt_window.resize(*SIZE)
    sample = samples.load("nuclei")
    image = sample.train_images[0]
    classes = {
        "features": {"index": [0, 1], "name": ["tissue", "nucleus"]},
        "colormap": DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", 1: "#e7ba52"}),
    }
    viewer.add_image(image, name="nuclei", rgb=True)
    truth = viewer.add_labels(sample.train_labels[0].astype(np.uint8), name="truth", visible=False, **classes)
    made = viewer.add_labels(threshold(image), name="threshold", opacity=0.4, **classes)
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Evaluate")
    widget(prediction=made, truth=truth)
    widget.wait()
    spin(1)
    viewer.window._qt_window.resize(*SIZE)
    spin(0.5)
    suffix = "" if theme == "dark" else f"-{theme}"
    viewer.screenshot(str(folder / f"evaluate{suffix}.png"), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", default="dark")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    evaluate(arguments.folder, arguments.theme)
