"""What a denoising autoencoder takes out of noisy images, beside scikit-image's total variation.

    python benchmarks/denoising.py DATA/isbi2012_em DATA/nasa_superalloy DATA/dsb2018_nuclei

Each DATA is a folder as `plain_script.py` describes. An autoencoder learns from grey versions of the first training
images. To others Gaussian noise is added, of a deviation that is a part of the range of 8-bit values, and not clipped.
Scores are the peak signal-to-noise ratio (PSNR) in dB of the noisy image and of what comes back; for
`denoise_tv_chambolle` that of the weight which is best on the truth, which nobody has who needs it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pretraining import load
from skimage.metrics import peak_signal_noise_ratio
from skimage.restoration import denoise_tv_chambolle

import napari_fcn as fcn

RANGE = 255
WEIGHTS = (0.05, 0.08, 0.1, 0.15, 0.2, 0.3)
Images = list[npt.NDArray[np.float32]]


def grey(images: list[npt.NDArray[np.uint8]], count: int, size: int) -> Images:
    """Corners of the first images, of one channel."""
    return [image[:size, :size, :3].mean(axis=-1).astype(np.float32) for image in images[:count]]


def measure(folder: Path, arguments: argparse.Namespace) -> None:
    """Print a row of the table for each test image."""
    train = grey(load(folder, "train")[0], 6, 512)
    images = grey(load(folder, "val")[0], arguments.images, arguments.size)
    deviation = arguments.noise * RANGE
    random = np.random.default_rng(0)
    begin = time.process_time()
    autoencoder = fcn.pretrain(
        train,
        kind="denoising",
        strength=1.2 * float(np.mean([deviation / image.std() for image in train])),
        encoder="classic",
        depth=1,
        code=64,
        upsampling=arguments.upsampling,
        rate=0.005,
        steps=arguments.steps,
        batch_size=4,
        patch_size=64,
        device="cpu",
    )
    seconds = time.process_time() - begin
    for image in images:
        noisy = (image + random.normal(0, deviation, image.shape)).astype(np.float32)
        smooth = [denoise_tv_chambolle(noisy / RANGE, weight=weight) * RANGE for weight in WEIGHTS]
        found = [peak_signal_noise_ratio(image, other, data_range=RANGE) for other in smooth]
        before, after = (
            peak_signal_noise_ratio(image, other, data_range=RANGE) for other in (noisy, autoencoder.denoise(noisy))
        )
        print(
            f"| {folder.name} | {before:.1f} | {after:.1f} ({after - before:+.2f}) | "
            f"{max(found):.1f} ({max(found) - before:+.2f}) | {seconds:.0f} |",
            flush=True,
        )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--noise", type=float, default=0.1, help="deviation, as a part of the range")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--upsampling", default="max_unpool")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--size", type=int, default=256, help="side of the corner that is measured, in pixels")
    arguments = parser.parse_args()
    print("| set | noisy, dB | autoencoder | total variation, best weight | CPU seconds |\n|---|---|---|---|---|")
    for folder in arguments.data:
        measure(folder, arguments)


if __name__ == "__main__":
    main()
