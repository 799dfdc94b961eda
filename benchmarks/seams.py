"""Whether tiles leave seams in what a trained network segments.

    python benchmarks/seams.py DATA/dsb2018_nuclei [--steps 80] [--tile 96] [--overlap 32]

A U-Net with the built-in encoder is fine-tuned on patches of 64 x 64 pixels of the training images, and segments the
test images by tiles. Three rates are compared between pixels within 4 of a line where a tile begins or ends, and all
others: labels that are not the truth's; labels that are not those of one pass over the whole image; and neighbours of
different labels, across the lines against parallel to them elsewhere.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

NEAR = 4


def lines(first: Sequence[int], tile: int) -> list[int]:
    """Where tiles begin or end inside the image."""
    return sorted({*first[1:], *(start + tile for start in first[:-1])})


def seams(segmenter: Any, images: Sequence[Any], truths: Sequence[Any], tile: int, overlap: int) -> dict[str, Any]:
    """Rates `[along borders, elsewhere]` of pixels that are wrong, other than in one pass, and of changes of label."""
    counts = {name: np.zeros((2, 2)) for name in ("wrong", "other than in one pass", "changes")}
    for image, truth in zip(images, truths, strict=True):
        axes = "YXC" if image.ndim == 3 else "YX"
        settings = {"overlap": overlap, "device": "cpu", "engine": "float32"}
        grid = segmenter.predictor(image, axes, tile_size=tile, **settings).grid
        found = segmenter.predict(image, axes, tile_size=tile, **settings)
        whole = segmenter.predict(image, axes, tile_size=-(-max(found.shape) // 32) * 32, **settings)
        sides = lines(grid.rows, grid.tile_height), lines(grid.columns, grid.tile_width)
        near = [
            np.abs(np.arange(n)[:, None] - np.array(at) + 0.5).min(1) < NEAR
            for n, at in zip(found.shape, sides, strict=True)
        ]
        border = near[0][:, None] | near[1][None]
        for name, rate in (("wrong", found != truth), ("other than in one pass", found != whole)):
            counts[name] += [[rate[part].sum(), part.sum()] for part in (border, ~border)]
        for axis, at in enumerate(sides):
            change = np.diff(found, axis=axis) != 0
            across = np.zeros(change.shape[axis], bool)
            across[np.array(at) - 1] = True
            for number, part in enumerate((across, ~across)):
                taken = change.compress(part, axis=axis)
                counts["changes"][number] += [taken.sum(), taken.size]
    return {name: (found[:, 0] / found[:, 1]).tolist() for name, found in counts.items()} | {
        "border pixels": int(counts["wrong"][0, 1])
    }


def read(folder: Path, stems: Sequence[str]) -> tuple[list[Any], list[Any]]:
    """Grey images and their masks, those of at least 200 pixels a side."""
    from napari_fcn.io import read_image, read_labels

    images, masks = [], []
    for stem in stems:
        image = np.asarray(read_image(next((folder / "images").glob(f"{stem}.*"))).array)
        image = image[..., :3].mean(-1).astype(image.dtype) if image.ndim == 3 else image
        images.append(image)
        masks.append((np.asarray(read_labels(next((folder / "masks").glob(f"{stem}.*")))) > 0).astype(np.uint8))
    return images, masks


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--tile", type=int, default=96)
    parser.add_argument("--overlap", type=int, default=32)
    arguments = parser.parse_args()
    import napari_fcn

    split = json.loads((arguments.data / "split.json").read_text(encoding="utf-8"))
    images, masks = read(arguments.data, split["train"][:16])
    settings = {"steps": arguments.steps, "patch_size": 64, "batch_size": 4, "zero": "background", "seed": 0}
    segmenter = napari_fcn.train(images, masks, axes="YX", device="cpu", **settings)
    images, masks = read(arguments.data, split["test"] if "test" in split else split["val"])
    found = seams(segmenter, images, masks, arguments.tile, arguments.overlap)
    print(json.dumps(found))
    print("\n| of 1000 pixels | along borders | elsewhere |\n|---|---|---|")
    for name, rates in found.items():
        if isinstance(rates, list):
            print(f"| {name} | {1000 * rates[0]:.2f} | {1000 * rates[1]:.2f} |")


if __name__ == "__main__":
    main()
