"""Pictures of Process for docs/process.md: filters of an image and of labels, in a folder and a theme.

bash tools/virtual_screen.sh python tools/screens/process.py docs/images [--theme light]
"""

import numpy as np
from _window import main, opened, picture, spin, suffix

from napari_fcn import samples


def process(folder, theme):
    """A chain with its live preview, and numbered objects."""
    viewer = opened(theme)
    sample = samples.load("nuclei")
    viewer.add_image(sample.train_images[0], name="nuclei", rgb=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Process")
    widget.editor.add("background")
    widget.editor.add("clahe")
    widget.chain.value = "background:radius=30,ground=bright + clahe"
    while "Process preview" not in viewer.layers:
        spin(0.1)
    picture(viewer, folder / f"process{suffix(theme)}.png")

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
    picture(viewer, folder / f"process-labels{suffix(theme)}.png")
    viewer.close()


if __name__ == "__main__":
    main(process, __doc__)
