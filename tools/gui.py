"""Open napari with a sample and the plugin's first widget, ready to train."""

import napari

viewer = napari.Viewer(title="napari-fcn")
viewer.open_sample("napari-fcn", "nuclei")
viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
napari.run()
