"""The Python and the command line that repeat what Segment does: with layers, with parts of one, with files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import PredictionConfig
from ..options import options
from .script import Script, call, command, stem, told, write_array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..segmenter import Segmenter
    from .segment_job import FolderJob, SegmentJob

__all__ = ["files_script", "layers_script"]


def layers_script(job: SegmentJob, names: Sequence[str], folder: Path) -> Script:
    """The script of a segmentation of layers; images and the segmenter are written to `folder`.

    Of a part of a layer its surroundings are written too, and a segmenter that knows the statistics of the whole layer;
    the command line, which cannot cut, leaves the surroundings in its result. Results have no axis for a single slice.
    """
    segmenter = job.segmenter
    if not job.parts[0].whole:  # there is one
        segmenter = segmenter.settled_on(job.images[0], job.axes[0])
    model, loading = _written(segmenter, folder)
    settings = told(job.settings, options(PredictionConfig))
    scores = bool(job.wanted & {"with_probabilities", "with_uncertainty"})
    objects = "with_objects" in job.wanted
    python = ["import numpy as np", "", "import napari_fcn as fcn"]
    if objects:
        python.append("from napari_fcn.imaging.objects import numbered")
        python.insert(0, "# On the command line, objects come of the labels: `napari-fcn process watershed`.")
    if "with_uncertainty" in job.wanted:
        python.append("from napari_fcn.inference.predict import uncertainty")
    python += ["", loading]
    commands = []
    for number, (name, image, axes, part, spacing) in enumerate(
        zip(names, job.images, job.axes, job.parts, job.spacing, strict=True)
    ):
        title = stem(number, name)
        source = folder / f"{title}.npy"
        whole = part.widened(axes, image.shape)
        window = np.asarray(image if part.whole else image[whole.key(axes, image.shape)])
        # A file's axes of one slice or frame are no axes.
        single = tuple(i for i, axis in enumerate(axes) if axis in "TZ" and window.shape[i] == 1)
        sides = dict(zip(axes.replace("C", ""), spacing, strict=True))
        window, axes = window.squeeze(single), "".join(axis for i, axis in enumerate(axes) if i not in single)
        write_array(source, window)
        output, probabilities, doubt, found = (
            folder / f"{title} {kind}.npy" for kind in ("labels", "probabilities", "uncertainty", "objects")
        )
        results = "labels, probabilities" if scores else "labels"
        arguments = {"probabilities": True, **settings} if scores else settings
        python += [
            f"image = np.load({str(source)!r})",
            call(f"{results} = segmenter.predict", ["image", repr(axes)], arguments),
        ]
        given: dict[str, Any] = {"model": str(model), "images": str(source), "output": str(output), "axes": axes}
        spatial = axes.replace("C", "")
        if not part.whole:
            shape = [size for axis, size in zip(axes, window.shape, strict=True) if axis != "C"]
            cut = ", ".join(_text(side) for side in part.within(whole, spatial, shape))
            python.append(f"labels = labels[{cut}]")
            python += [f"probabilities = probabilities[:, {cut}]"] * scores
        python.append(f"np.save({str(output)!r}, labels)")
        if "with_probabilities" in job.wanted:
            python.append(f"np.save({str(probabilities)!r}, probabilities)")
            given["probabilities"] = str(probabilities)
        if "with_uncertainty" in job.wanted:
            measure = repr(job.settings["uncertainty_measure"])
            python.append(f"np.save({str(doubt)!r}, uncertainty(probabilities, {measure}))")
            given["uncertainty"] = str(doubt)
        if objects:
            kept = tuple(sides[axis] for axis in spatial)
            values = [entry.value for entry in segmenter.classes if entry.value != 0]
            python.append(f"objects = numbered(labels, {spatial!r}, {values}, spacing={kept})")
            python.append(f"np.save({str(found)!r}, objects)")
        commands.append(command("predict", {**given, **settings}))
    return Script("\n".join(python) + "\n", " && ".join(commands))


def files_script(job: FolderJob, folder: Path) -> Script:
    """The script of a segmentation of files; the segmenter is written to `folder`."""
    model, loading = _written(job.segmenter, folder)
    settings = told(job.settings, options(PredictionConfig))
    python = [
        "import napari_fcn as fcn",
        "from napari_fcn.data import spatial_axes",
        "from napari_fcn.io import find_files, output_paths, read_image, write_labels",
        "",
        loading,
        f"files = find_files({job.source!r})",
        f"for file, output in zip(files, output_paths({job.output!r}, files)):",
        "    image = read_image(file)",
        "    axes = segmenter.axes_for(image.array.shape, image.axes)",
        "    " + call("labels = segmenter.predict", ["image.array", "axes"], settings).replace("\n", "\n    "),
        f"    write_labels(output, labels, axes=spatial_axes(axes), overwrite={job.overwrite})",
    ]
    given = {"model": str(model), "images": job.source, "output": job.output, **settings}
    line = command("predict", given) + " --overwrite" * job.overwrite
    return Script("\n".join(python) + "\n", line)


def _written(segmenter: Segmenter, folder: Path) -> tuple[Path, str]:
    """The file of the segmenter, and the line that loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "segmenter.safetensors"
    segmenter.save(model, overwrite=True)
    return model, f"segmenter = fcn.Segmenter.load({str(model)!r})"


def _text(side: slice) -> str:
    return f"{side.start}:{side.stop}"
