"""What the files that make pictures have in common: a window of one size, and a picture of it."""

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
LENGTH = 8
"""Pixels of a stroke."""


def spin(seconds):
    """Let the window live."""
    end = time.time() + seconds
    while time.time() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def opened(theme):
    """A viewer in a theme."""
    get_settings().appearance.theme = theme
    viewer = napari.Viewer(show=True, title="napari")
    viewer.window._qt_window.resize(*SIZE)
    return viewer


def picture(viewer, path):
    """The whole window as a file."""
    spin(1)
    viewer.window._qt_window.resize(*SIZE)
    spin(0.5)
    viewer.screenshot(str(path), canvas_only=False, flash=False)


def paint(labels, value, inside, count, seed=0, plane=()):
    """Paint `count` short strokes, anywhere in the plane's pixels `inside`, as a hurried hand would."""
    places = np.argwhere(inside)
    for row, column in places[np.random.default_rng(seed).choice(len(places), count, replace=False)]:
        for step in range(LENGTH):
            if column + step < inside.shape[1] and inside[row, column + step]:
                labels.paint((*plane, row, column + step), value)


def suffix(theme):
    """The end of a picture's name: nothing, or the theme where it is not the usual one."""
    return "" if theme == "dark" else f"-{theme}"


def main(make, description):
    """Read the command line, FOLDER [--theme THEME], and make the pictures; the user's settings stay as they are."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", default="dark")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as memory:
        os.environ["NAPARI_FCN_DATA"] = memory
        make(arguments.folder, arguments.theme)
