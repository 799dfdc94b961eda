"""Pictures for docs/autoencoders.md: what an autoencoder makes of stained tissue, and its panel, in a folder.

bash tools/virtual_screen.sh python tools/screens/autoencoders.py docs/images [--theme light]
"""

import argparse
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from napari.settings import get_settings
from qtpy.QtWidgets import QApplication

import napari_fcn as fcn
from napari_fcn import samples

SIZE = 1280, 800
STEPS = 80
CROP = (slice(0, 256), slice(0, 256))
NETWORK = {"encoder": "classic", "depth": 2, "code": 32, "rate": 0.004, "batch_size": 4, "patch_size": 64}


def outputs(path: Path) -> fcn.Autoencoder:
    """Image, noisy image, what is made of it, and samples of a variational autoencoder."""
    images = [image[..., :3] for image in samples.load("nuclei").train_images]
    image = samples.load("nuclei").test_images[0][(*CROP, slice(3))]
    noisy = image + np.random.default_rng(0).normal(0, 25.5, image.shape)
    noisy = noisy.clip(0, 255).astype(np.uint8)
    common = {**NETWORK, "axes": "YXC", "steps": STEPS, "device": "cpu"}
    autoencoder = fcn.pretrain(images, kind="denoising", strength=1.0, upsampling="max_unpool", **common)
    drawn = fcn.pretrain(images, kind="variational", upsampling="bilinear", **common).sample(1, 256)[0]
    drawn = np.moveaxis(drawn, 0, -1) * image.std(axis=(0, 1)) + image.mean(axis=(0, 1))  # it is standardised
    residual = np.abs(autoencoder.residual(image)).mean(axis=-1)
    pictures = {
        "image": image,
        "reconstruction": autoencoder.reconstruct(image).clip(0, 255).astype(np.uint8),
        "residual (absolute)": residual,
        "with noise": noisy,
        "denoised": autoencoder.denoise(noisy),
        "code, three components": autoencoder.code_image(image),
        "draft of three labels": autoencoder.draft_labels(image, 3),
        "drawn by a variational one": drawn.clip(0, 255).astype(np.uint8),
    }
    figure = Figure(figsize=(10, 5.3), layout="constrained", dpi=80)
    for place, (title, picture) in zip(figure.subplots(2, 4).flat, pictures.items(), strict=True):
        colours = ListedColormap(["#56b4e9", "#e69f00", "#cc3377"]) if "draft" in title else "magma"
        place.imshow(picture, cmap=colours, interpolation="nearest")
        place.set_title(title, fontsize=9)
        place.set_axis_off()
    figure.savefig(path)
    return autoencoder


def spin(seconds: float) -> None:
    """Let the window live."""
    end = time.time() + seconds
    while time.time() < end:
        QApplication.processEvents()
        time.sleep(0.01)


def panel(path: Path, theme: str, autoencoder: fcn.Autoencoder) -> None:
    """The widget, after it has made a draft to paint on."""
    get_settings().appearance.theme = theme
    viewer = napari.Viewer(show=True, title="napari")
    viewer.window._qt_window.resize(*SIZE)
    viewer.add_image(samples.load("nuclei").test_images[0], name="nuclei", rgb=True)
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Autoencoder")
    with tempfile.TemporaryDirectory() as folder:
        widget.load(autoencoder.save(Path(folder) / "tissue.safetensors"))
        widget.wait(60)
    widget.classes.value = 3
    for output in ("code", "draft"):
        widget.show_output(output)
        widget.wait(60)
    viewer.layers["nuclei code"].visible = False
    viewer.layers["nuclei draft"].opacity = 0.5
    spin(1)
    viewer.window._qt_window.resize(*SIZE)
    viewer.reset_view()
    spin(0.5)
    viewer.screenshot(str(path), canvas_only=False, flash=False)
    viewer.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--theme", default="dark")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    suffix = "" if arguments.theme == "dark" else f"-{arguments.theme}"
    learnt = outputs(arguments.folder / "autoencoder-outputs.png")
    panel(arguments.folder / f"autoencoder{suffix}.png", arguments.theme, learnt)
