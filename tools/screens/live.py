"""The picture of live mode in the tutorial, in a folder and a theme.

bash tools/virtual_screen.sh python tools/screens/live.py docs/images/tutorial [--theme light]
"""

import numpy as np
from _window import main, opened, paint, picture, spin, suffix

from napari_fcn import samples

INSIDE, OUTSIDE = 30, 20
"""Strokes that are painted in nuclei and beside them."""


def live(folder, theme):
    """A view that is segmented while somebody paints."""
    viewer = opened(theme)
    sample = samples.load("nuclei")
    truth = sample.train_labels[0]
    viewer.add_image(sample.train_images[0], name="nuclei", rgb=True)
    labels = viewer.add_labels(np.zeros(truth.shape, np.uint8), name="strokes")
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
    viewer.reset_view()
    widget.zero.value = "unlabelled"
    labels.brush_size = 5
    for value, (inside, count) in enumerate(((truth > 0, INSIDE), (truth == 0, OUTSIDE)), 1):
        paint(labels, value, inside, count, seed=value)
    widget.go_live()
    while "live" not in viewer.layers:
        spin(0.1)
    answered = widget._live.answered  # the first answer took long: everything was loaded, and features were computed
    labels.paint(tuple(np.argwhere(truth > 0)[0]), 1)
    while widget._live.answered == answered:
        spin(0.1)
    picture(viewer, folder / f"live{suffix(theme)}.png")
    widget.cancel()
    widget.wait(60)
    viewer.close()


if __name__ == "__main__":
    main(live, __doc__)
