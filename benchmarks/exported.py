"""Exported segmenters in ONNX Runtime, tiled as QGIS's Deepness does it, beside the segmenters themselves.

    python benchmarks/exported.py DATA_FOLDER [--steps 300] [--keep FOLDER]

Networks are trained on amazon_forest (its labels), landsat7_sparse (its 718 painted pixels) and naip_unlabelled (three
classes of greenness, smoothed, that are computed from its bands), exported with `--format deepness`, and run through a
re-implementation of what Deepness's manual and source say that it does before and after the network. A row for each
image and tile size goes to stdout as JSON. With --keep, networks are kept, and those that are there are not trained.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

import napari_fcn as fcn
from napari_fcn.export.onnx_file import export_onnx
from napari_fcn.io import read_image, read_labels

SMALL = {"architecture": "unet-classic", "depth": 1, "width": 32, "loss": "cross_entropy", "augment": "flips"}
"""What learns best from the few pixels of landsat7_sparse."""
SIDES = {"amazon_forest": (512, 768), "landsat7_sparse": (64, 128, 768), "naip_unlabelled": (512, 768)}


def deepness(path: Path, image: np.ndarray, overlap: int | None = None) -> np.ndarray:
    """Class numbers `(H, W)` of an image `(H, W, C)`, as Deepness's manual and source (0.6.5) describe it.

    Tiles have the size that the graph is fixed to and overlap by a part of it in percent, counted from the lower left
    corner of the image, which is north up; what lies above it and right of it is 0. Values are divided by 255 whatever
    their type; the mean is taken off, the deviation divided by; what is below the threshold becomes 0; the largest
    wins. Of the overlap each tile gives the half that is nearer to it. A median filter of the size that the metadata
    say follows, with 0 of one pixel, which is none.
    """
    session = onnxruntime.InferenceSession(str(path))
    facts = session.get_modelmeta().custom_metadata_map
    assert str(json.loads(facts["model_type"])).capitalize() == "Segmentor"
    (entry,), (result,) = session.get_inputs(), session.get_outputs()
    side, channels = entry.shape[-1], entry.shape[-3]
    assert isinstance(side, int)
    assert result.shape[2] == result.shape[3] == entry.shape[-2] == side == int(json.loads(facts["tile_size"]))
    names = json.loads(facts["class_names"])
    assert sorted(map(int, names)) == list(range(result.shape[-3]))
    mean, std = (
        np.array([float(x) for x in json.loads(facts[f"standardization_{name}"])], np.float32)
        for name in ("mean", "std")
    )
    threshold = float(json.loads(facts["seg_thresh"]))
    assert int(json.loads(facts["seg_small_segment"])) == 0
    percent = int(json.loads(facts["tiles_overlap"])) if overlap is None else overlap
    stride = side - int(side * percent / 100 * 2) // 2
    half = (side - stride) // 2
    bins = [max(0, -(-(size - side) // stride)) + 1 for size in image.shape[:2]]
    whole = np.zeros(((bins[0] - 1) * stride + side, (bins[1] - 1) * stride + side, channels), image.dtype)
    top = whole.shape[0] - image.shape[0]
    whole[top:, : image.shape[1]] = image[..., :channels]
    labels = np.zeros(whole.shape[:2], np.uint8)
    for row in range(bins[0]):
        for column in range(bins[1]):
            place = [slice(number * stride, number * stride + side) for number in (row, column)]
            scaled = np.float32(whole[tuple(place)][None] * 1.0 / 255.0)
            (found,) = session.run(None, {entry.name: ((scaled - mean) / std).transpose(0, 3, 1, 2)})
            found[found < threshold] = 0
            classes = found.argmax(axis=1)[0]
            keep = [
                slice(0 if number == 0 else half, side if number == count - 1 else side - half)
                for number, count in zip((row, column), bins, strict=True)
            ]
            target = [slice(p.start + k.start, p.start + k.stop) for p, k in zip(place, keep, strict=True)]
            labels[tuple(target)] = classes[tuple(keep)]
    return labels[top:, : image.shape[1]]


def tiles_of(path: Path) -> tuple[int, int]:
    """Side and overlap in pixels that an exported network asks for."""
    facts = onnxruntime.InferenceSession(str(path)).get_modelmeta().custom_metadata_map
    side, percent = (int(json.loads(facts[key])) for key in ("tile_size", "tiles_overlap"))
    return side, int(side * percent / 100 * 2) // 2


def greenness(image: np.ndarray) -> np.ndarray:
    """Three equally large classes, 1 to 3, of the smoothed NDVI of red, green, blue, near infrared `(H, W, 4)`."""
    from scipy import ndimage

    red, near_infrared = image[..., 0].astype(float), image[..., 3].astype(float)
    index = ndimage.gaussian_filter((near_infrared - red) / np.maximum(near_infrared + red, 1), 2)
    classes: np.ndarray = np.digitize(index, np.percentile(index, [33, 66])).astype(np.uint8) + 1
    return classes


def learn(name: str, folder: Path, steps: int) -> fcn.Segmenter:
    usual: dict[str, Any] = {"steps": steps, "batch_size": 4, "patch_size": 128, "augment": "satellite", "seed": 0}
    usual["normalization"] = "dataset"
    if name == "amazon_forest":
        stems = json.loads((folder / "split.json").read_text())["train"]
        images = [read_image(next((folder / "images").glob(f"{stem}.*")), lazy=False) for stem in stems]
        labels = [read_labels(next((folder / "masks").glob(f"{stem}.*"))) for stem in stems]
        return fcn.train([image.array for image in images], labels, axes=images[0].axes or "YXC", **usual)
    (path,) = folder.glob("*.tif") if name == "naip_unlabelled" else (folder / "images").glob("*.tif")
    image = read_image(path, lazy=False)
    if name == "naip_unlabelled":
        truth = greenness(channels_last(image))
        return fcn.train(image.array, truth, axes=image.axes, nodata=image.nodata, **usual)
    few = {"zero": "unlabelled", "validation": 0.0, "patch_size": 64, **SMALL, "steps": 2 * steps // 3}
    labels_ = read_labels(folder / "masks" / path.name)
    return fcn.train(image.array, labels_, axes=image.axes, nodata=image.nodata, **{**usual, **few})


def channels_last(image: Any) -> np.ndarray:
    axes = image.axes or "YXC"
    return np.moveaxis(image.array, axes.index("C"), -1)


def images_of(name: str, folder: Path) -> dict[str, np.ndarray]:
    """Images `(H, W, C)` by name; of amazon_forest eight, seven of them not trained on, also four and eight as one."""
    if name == "amazon_forest":
        split = json.loads((folder / "split.json").read_text())
        stems = [stem for part in ("val", "test", "train") for stem in split.get(part, [])][:8]
        files = [next((folder / "images").glob(f"{stem}.*")) for stem in stems]
        scenes = [channels_last(read_image(file, lazy=False)) for file in files]
        four, eight = (
            np.concatenate([np.concatenate(scenes[:n]), np.concatenate(scenes[n : 2 * n])], 1) for n in (2, 4)
        )
        return {**dict(zip(stems, scenes, strict=True)), "four as one": four, "eight as one": eight}
    found = sorted(each for kind in (".", "images", "images_unlabelled") for each in (folder / kind).glob("*.tif"))
    return {file.name: channels_last(read_image(file, lazy=False)) for file in found}


def compare(segmenter: fcn.Segmenter, path: Path, image: np.ndarray) -> dict[str, Any]:
    """Shares of pixels that get the same class from the export and from the segmenter with several tilings."""
    side, overlap = tiles_of(path)
    found = segmenter.classes.to_values(deepness(path, image))
    usual = segmenter.predict(image, "YXC")
    whole = segmenter.predict(image, "YXC", tile_size=-(-max(image.shape) // 32) * 32)
    alike = segmenter.predict(image, "YXC", tile_size=side, overlap=overlap)
    more = segmenter.predict(image, "YXC", overlap=256)
    same = {
        "same tiles": alike == found, "default tiles": usual == found, "one tile": whole == found,
        "default tiles with an overlap of 256": more == found,
        "segmenter, same and one": alike == whole, "segmenter, default and one": usual == whole,
    }  # fmt: skip
    return {
        "shape": image.shape, "tile": side, "overlap": overlap,
        **{key: round(float(value.mean()), 5) for key, value in same.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=300, help="of each training")
    parser.add_argument("--keep", type=Path, help="folder for trained networks")
    parser.add_argument("--only", help="one of the sets")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        for name, sides in SIDES.items():
            if arguments.only not in (None, name):
                continue
            kept = (arguments.keep or Path(temporary)) / f"{name}.safetensors"
            if not kept.exists():
                learn(name, arguments.folder / name, arguments.steps).save(kept)
            segmenter = fcn.Segmenter.load(kept)
            for side in sides:
                path = Path(temporary) / f"{name}-{side}.onnx"
                export_onnx(segmenter, path, side=side, resolution=1000)
                for image_name, image in images_of(name, arguments.folder / name).items():
                    row = {"set": name, "image": image_name, **compare(segmenter, path, image)}
                    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
