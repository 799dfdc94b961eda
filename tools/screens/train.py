"""The tutorial's pictures, in the order of its story, in a folder and a theme: paint, train, correct, segment, measure.

bash tools/virtual_screen.sh python tools/screens/train.py docs/images/tutorial [--theme light]
"""

import numpy as np
from _window import main, opened, paint, picture, spin, suffix

BACKGROUND, NUCLEUS = 1, 2
SECONDS, STEPS = 20, 35
"""The time of the story, and the steps that it is on two idle cores: a busy machine shall not change pictures."""


def with_sample(theme):
    """A viewer with the sample, its labels hidden."""
    viewer = opened(theme)
    viewer.open_sample("napari-fcn", "nuclei")
    viewer.layers["nuclei labels"].visible = False
    viewer.window._qt_viewer.dockLayerControls.setVisible(True)
    viewer.dims.set_point(0, 0)
    spin(0.5)
    return viewer


def tutorial(folder, theme="dark"):
    """All of them."""
    viewer = with_sample(theme)
    image, truth = viewer.layers["nuclei"], viewer.layers["nuclei labels"]
    labels = viewer.add_labels(np.zeros(truth.data.shape, np.uint8), name="painted")
    labels.brush_size = 4
    dock, classes = viewer.window.add_plugin_dock_widget("napari-fcn", "Classes")
    classes.labels.value = labels
    classes.add("background")
    classes.recolor(classes.add("nucleus"), "#ffe000")

    def strokes(count, seed):
        inside = truth.data[0] == 1
        paint(labels, BACKGROUND, ~inside, count, seed, plane=(0,))
        paint(labels, NUCLEUS, inside, count, seed, plane=(0,))

    strokes(20, seed=1)
    spin(1)
    picture(viewer, folder / f"1-paint{suffix(theme)}.png")
    viewer.window.remove_dock_widget(dock)

    dock, train = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
    train(image=image, labels=labels, transfer="frozen", time_budget=SECONDS, steps=STEPS)
    while train.running and ("preview" not in viewer.layers or train._live.history.loss[-1][0] < 0.85):
        spin(0.1)
    picture(viewer, folder / f"2-train{suffix(theme)}.png")
    train.wait()
    strokes(20, seed=2)
    train.go_on()
    train.wait()
    train.steps.value = None
    picture(viewer, folder / f"3-trained{suffix(theme)}.png")
    viewer.window.remove_dock_widget(dock)

    dock, segment = viewer.window.add_plugin_dock_widget("napari-fcn", "Segment")
    segment.postprocess.value = "remove_small_objects:size=20 + smooth"
    segment(image=image, with_uncertainty=True)
    found = segment.wait()
    labels.visible = False
    viewer.layers["nuclei uncertainty"].visible = False
    picture(viewer, folder / f"4-segment{suffix(theme)}.png")
    viewer.window.remove_dock_widget(dock)

    _, evaluate = viewer.window.add_plugin_dock_widget("napari-fcn", "Evaluate")
    evaluate(prediction=found, truth=truth)
    evaluate.wait()
    found.visible = False
    picture(viewer, folder / f"5-evaluate{suffix(theme)}.png")
    viewer.close()


if __name__ == "__main__":
    main(tutorial, __doc__)
