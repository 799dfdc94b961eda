"""Pictures of painting, training and segmenting for the tutorial: each function takes a folder and a theme.

bash tools/virtual_screen.sh python tools/screens/train.py docs/images/tutorial [--theme light] [--seconds 20]
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from napari.settings import get_settings
from qtpy.QtWidgets import QApplication

SIZE = 1280, 800
TISSUE, NUCLEUS = 1, 2


def spin(seconds):
    """Let the window live."""
    end = time.time() + seconds
    while time.time() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def picture(viewer, path):
    """The whole window as a file."""
    spin(0.5)
    viewer.window._qt_window.resize(*SIZE)
    spin(0.5)
    viewer.screenshot(str(path), canvas_only=False, flash=False)


def opened(theme):
    """A viewer with the sample, its labels hidden."""
    get_settings().appearance.theme = theme
    viewer = napari.Viewer(show=True, title="napari")
    viewer.window._qt_window.resize(*SIZE)
    viewer.open_sample("napari-fcn", "nuclei")
    viewer.layers["nuclei labels"].visible = False
    viewer.window._qt_viewer.dockLayerControls.setVisible(True)
    viewer.dims.set_point(0, 0)
    spin(0.5)
    return viewer


def paint(viewer, labels, value, wanted, count):
    """Short strokes, evenly over the class's places in the first image."""
    truth = viewer.layers["nuclei labels"].data[0]
    places = np.argwhere(truth == wanted)
    for row, column in places[:: max(1, len(places) // count)][:count]:
        labels.paint((0, row, column), value)


def tutorial(folder, theme="dark", seconds=20):
    """All of them, in the order of the story."""
    viewer = opened(theme)
    suffix = "" if theme == "dark" else f"-{theme}"
    labels = viewer.add_labels(np.zeros(viewer.layers["nuclei labels"].data.shape, np.uint8), name="painted")
    dock, classes = viewer.window.add_plugin_dock_widget("napari-fcn", "Classes")
    classes.labels.value = labels
    classes.add("tissue")
    classes.recolor(classes.add("nucleus"), "#ffe000")
    labels.brush_size = 5
    paint(viewer, labels, TISSUE, 0, 40)
    paint(viewer, labels, NUCLEUS, 1, 25)
    spin(1)
    picture(viewer, folder / f"1-paint{suffix}.png")
    viewer.window.remove_dock_widget(dock)

    dock, train = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
    train.image.value, train.labels.value = viewer.layers["nuclei"], labels
    train.zero.value, train.time_budget.value = "unlabelled", seconds
    train()
    begin = time.time()
    while train.running and ("preview" not in viewer.layers or time.time() - begin < 0.7 * seconds):
        spin(0.1)
    picture(viewer, folder / f"2-train{suffix}.png")
    train.wait()
    picture(viewer, folder / f"3-trained{suffix}.png")
    viewer.window.remove_dock_widget(dock)

    dock, segment = viewer.window.add_plugin_dock_widget("napari-fcn", "Segment")
    segment(image=viewer.layers["nuclei"], with_uncertainty=True)
    segment.wait()
    labels.visible = False
    viewer.layers["nuclei uncertainty"].visible = False
    picture(viewer, folder / f"4-segment{suffix}.png")
    viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", default="dark")
    parser.add_argument("--seconds", type=float, default=20)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as memory:
        os.environ["NAPARI_FCN_DATA"] = memory
        tutorial(arguments.folder, arguments.theme, arguments.seconds)
