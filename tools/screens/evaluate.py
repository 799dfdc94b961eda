"""A picture of Evaluate for docs/evaluate.md: a threshold beside the truth, in a folder and a theme.

bash tools/virtual_screen.sh python tools/screens/evaluate.py docs/images [--theme light]
"""

import numpy as np
from _window import main, opened, picture, suffix
from napari.utils.colormaps import DirectLabelColormap
from skimage.filters import threshold_otsu

from napari_fcn import process, samples


def threshold(image):
    """What is dark, in somewhat smoother outlines: what one would do without a network."""
    grey = image.mean(axis=-1)
    return process((grey < threshold_otsu(grey)).astype(np.uint8), "smooth:radius=2 + remove_small_objects:size=30")


def evaluate(folder, theme):
    """The scores, and where the two differ."""
    viewer = opened(theme)
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
    picture(viewer, folder / f"evaluate{suffix(theme)}.png")
    viewer.close()


if __name__ == "__main__":
    main(evaluate, __doc__)
