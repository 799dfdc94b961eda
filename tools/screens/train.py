"""Pictures of painting, training and segmenting for the tutorial: each function takes a folder and a theme.

bash tools/virtual_screen.sh python tools/screens/train.py docs/images/tutorial [--theme light]
"""

import time

import numpy as np
from _window import main, opened, picture, spin, suffix

TISSUE, NUCLEUS = 1, 2
SECONDS = 20


def with_sample(theme):
    """A viewer with the sample, its labels hidden."""
    viewer = opened(theme)
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


def tutorial(folder, theme="dark"):
    """All of them, in the order of the story."""
    viewer = with_sample(theme)
    labels = viewer.add_labels(np.zeros(viewer.layers["nuclei labels"].data.shape, np.uint8), name="painted")
    dock, classes = viewer.window.add_plugin_dock_widget("napari-fcn", "Classes")
    classes.labels.value = labels
    classes.add("tissue")
    classes.recolor(classes.add("nucleus"), "#ffe000")
    labels.brush_size = 5
    paint(viewer, labels, TISSUE, 0, 40)
    paint(viewer, labels, NUCLEUS, 1, 25)
    spin(1)
    picture(viewer, folder / f"1-paint{suffix(theme)}.png")
    viewer.window.remove_dock_widget(dock)

    dock, train = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
    train.image.value, train.labels.value = viewer.layers["nuclei"], labels
    train.zero.value, train.time_budget.value = "unlabelled", SECONDS
    train()
    begin = time.time()
    while train.running and ("preview" not in viewer.layers or time.time() - begin < 0.7 * SECONDS):
        spin(0.1)
    picture(viewer, folder / f"2-train{suffix(theme)}.png")
    train.wait()
    picture(viewer, folder / f"3-trained{suffix(theme)}.png")
    viewer.window.remove_dock_widget(dock)

    dock, segment = viewer.window.add_plugin_dock_widget("napari-fcn", "Segment")
    segment(image=viewer.layers["nuclei"], with_uncertainty=True)
    segment.wait()
    labels.visible = False
    viewer.layers["nuclei uncertainty"].visible = False
    picture(viewer, folder / f"4-segment{suffix(theme)}.png")
    viewer.close()


if __name__ == "__main__":
    main(tutorial, __doc__)
