"""The Python and the command line that repeat what Evaluate, Process and Autoencoder do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging import Chain
from ..options import Option
from .script import Script, call, command, stem, told, write_array

if TYPE_CHECKING:
    from .autoencoder_job import PretrainingJob
    from .evaluate_job import EvaluationJob

__all__ = ["evaluation_script", "pretraining_script", "process_script"]


def evaluation_script(job: EvaluationJob, name: str, folder: Path) -> Script:
    """The script of a comparison; labels, and a region as a mask, are written to `folder`.

    The command line has no regions and no class names: there, what does not count is a value of the truth that is
    ignored, and classes that are matched by name have the truth's values in the file.
    """
    file = f"{stem(0, name)}.npy"
    predictions, labels = folder / "predictions" / file, folder / "labels" / file
    prediction, truth = job.matched(), job.truth
    write_array(predictions, prediction)
    settings = dict(job.settings)
    counted = settings.pop("counted")
    ignore = list(settings["ignore"])
    loads = [f"prediction = np.load({str(predictions)!r})", f"truth = np.load({str(labels)!r})"]
    arguments = {**settings, "names": job.names}
    if counted is not None:
        outside = int(max(truth.max(), prediction.max())) + 1
        truth = truth.astype(np.promote_types(truth.dtype, np.min_scalar_type(outside)))
        truth[~counted] = outside
        arguments["ignore"] = (*ignore, outside)
        loads.append(f"# {outside} is what lies outside the region.")
    write_array(labels, truth)
    python = [
        "import numpy as np",
        "",
        "from napari_fcn.metrics import compare",
        "",
        *loads,
        call("steps = compare", ["prediction", "truth"], arguments),
        "while True:",
        "    try:",
        "        next(steps)",
        "    except StopIteration as end:",
        "        comparison = end.value",
        "        break",
        "print(comparison.to_csv())",
    ]
    given = {"predictions": str(predictions), "labels": str(labels), "zero": settings["zero"]}
    if arguments["ignore"]:
        given["ignore"] = arguments["ignore"]
    return Script("\n".join(python) + "\n", command("evaluate", given))


def process_script(
    name: str,
    array: Any,
    chain: Chain,
    axes: str,
    folder: Path,
    *,
    image: Any = None,
    image_axes: str | None = None,
    ignore: Sequence[int] = (),
    nodata: float | None = None,
) -> Script:
    """The script of filters; what is filtered, and the image that belongs to labels, are written to `folder`."""
    file, output = f"{stem(0, name)}.npy", folder / "filtered.npy"
    source, guide = folder / "source" / file, folder / "images" / file
    write_array(source, array)
    arguments = {"ignore": ignore, "nodata": nodata}
    python = ["import numpy as np", "", "import napari_fcn as fcn", "", f"array = np.load({str(source)!r})"]
    if nodata is not None:
        python.insert(0, "# On the command line, files say themselves which value marks missing pixels.")
    positional = ["array", repr(str(chain)), repr(axes)]
    if image is not None:
        write_array(guide, image)
        python.append(f"image = np.load({str(guide)!r})")
        positional += ["image=image", f"image_axes={image_axes!r}"]
    python += [
        call(
            "filtered = fcn.process",
            positional,
            {key: value for key, value in arguments.items() if value not in (None, ())},
        ),
        f"np.save({str(output)!r}, filtered)",
    ]
    given: dict[str, Any] = {"images": str(source), "output": str(output), "axes": axes}
    if image is not None:
        given |= {"labels": str(source), "images": str(guide), "axes": image_axes}
    if ignore:
        given["ignore"] = tuple(ignore)
    return Script("\n".join(python) + "\n", command("process", given, [str(step) for step in chain]))


def pretraining_script(
    job: PretrainingJob, names: Sequence[str], described: Mapping[str, tuple[Any, Option]], folder: Path
) -> Script:
    """The script of learning without labels; the images are written to `folder`."""
    for number, (name, array) in enumerate(zip(names, job.images, strict=True)):
        write_array(folder / "images" / f"{stem(number, name)}.npy", array)
    output = folder / "autoencoder.safetensors"
    settings = told(job.settings, described)
    python = [
        "from pathlib import Path",
        "",
        "import numpy as np",
        "",
        "import napari_fcn as fcn",
        "",
        f"folder = Path({str(folder)!r})",
        'images = [np.load(file) for file in sorted(folder.glob("images/*.npy"))]',
        call("autoencoder = fcn.pretrain", ["images"], settings),
        f'autoencoder.save(folder / "{output.name}")',
    ]
    given = {"images": str(folder / "images"), "output": str(output), **settings}
    return Script("\n".join(python) + "\n", command("pretrain", given))
