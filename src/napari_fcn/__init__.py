"""napari-fcn: teach a fully convolutional network to segment your images."""
