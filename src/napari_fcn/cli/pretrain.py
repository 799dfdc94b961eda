"""The verb `pretrain`: learn from image files without labels."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import DataConfig, ModelConfig, presuming
from ..errors import InputError
from ..io import ImageFile, find_files, read_image
from ..options import options
from ..pretraining_config import MODEL_SETTINGS, PretrainingConfig, split_pretraining
from .follow import check_report
from .inputs import common_nodata
from .keeping import Telling, check_run_folder, learn, product_path
from .options import add_setting, given_settings
from .remarks import remark

if TYPE_CHECKING:
    from ..autoencoder import Autoencoder
    from ..training import Event, Finished

__all__ = ["add_options", "pretrain"]

PATHS = ("images", "validation", "output")
DATA_SETTINGS = ("axes", "channels", "nodata", "normalization")
EXAMPLES = 3
"""Images that a report shows."""


def add_options(parser: ArgumentParser) -> None:
    """The options of the verb."""
    parser.add_argument("--images", metavar="PATH", help="file, folder or quoted glob")
    parser.add_argument("--output", metavar="ENCODER.safetensors", help="what --weights takes the encoder from")
    parser.add_argument(
        "--run-dir", metavar="DIR", help="a new folder for events, checkpoints and the best autoencoder"
    )
    parser.add_argument("--resume", metavar="DIR", help="go on with a training that was stopped or killed")
    parser.add_argument("--report", metavar="FILE.png", help="a picture of the loss and of what comes back")
    parser.add_argument("--config", metavar="FILE.json", help="options from a file; those given here win")
    groups: Sequence[tuple[str, Any, Sequence[str]]] = (
        ("the network", ModelConfig, MODEL_SETTINGS),
        ("the images", DataConfig, DATA_SETTINGS),
        ("how it learns", PretrainingConfig, list(options(PretrainingConfig))),
    )
    for title, config, names in groups:
        group = parser.add_argument_group(title)
        for name in names:
            explanation = "fraction of blocks that is held out, or PATH of images to measure on"
            add_setting(group, config, name, explanation if name == "validation" else None)


def pretrain(arguments: Namespace) -> int:
    """Learn from images; Ctrl-C keeps what was learnt."""
    paths, settings = _source(arguments)
    for name, option in (("images", "--images PATH"), ("output", "--output ENCODER.safetensors")):
        if name not in paths:
            raise InputError(f"{option} is needed; only --resume DIR knows it by itself.")
    check_run_folder(arguments)
    split_pretraining(settings)  # before files are read
    output = product_path(paths["output"], arguments.overwrite, "An autoencoder")
    check_report(arguments.report, arguments.overwrite)
    measured = find_files(paths["validation"]) if "validation" in paths else []
    kept = {path.resolve() for path in measured}
    files = [read_image(p, lazy=False) for p in find_files(paths["images"]) if p.resolve() not in kept]
    more = [read_image(path, lazy=False) for path in measured]
    if not files:
        raise InputError("No image is left to learn from: all of them are held out by --validation.")
    settings["axes"] = _common_axes([*files, *more], settings.get("axes"))
    if settings.get("nodata") is None:
        settings["nodata"] = common_nodata(files)
    settings = presuming(settings, all(file.placed for file in files))
    remark(files, settings["axes"], settings["nodata"])
    from ..api import prepare_pretraining

    training = prepare_pretraining(
        [file.array for file in files],
        validation_data=[file.array for file in more] or None,
        run_dir=arguments.run_dir,
        resume=arguments.resume,
        paths={name: str(Path(path).expanduser().absolute()) for name, path in paths.items()},
        **settings,
    )

    def report(autoencoder: Autoencoder, events: Sequence[Event]) -> None:
        _report(arguments, events, autoencoder, more or files, settings)

    def text(autoencoder: Autoencoder, result: Finished) -> tuple[str, str]:
        use = f"napari-fcn train --encoder {autoencoder.model.encoder} --weights {output} ... starts from it."
        return "", use

    return learn(training, output, arguments, Telling("autoencoder", _losses, text, report))


def _losses(result: Finished) -> dict[str, Any]:
    return {"loss": result.best_loss, "start_loss": result.start_loss, "mean_loss": result.mean_loss}


def _source(arguments: Namespace) -> tuple[dict[str, str], dict[str, Any]]:
    """Paths and settings from the command line, and with --resume from what the run folder remembers."""
    settings = given_settings(arguments, ModelConfig, DataConfig, PretrainingConfig)
    paths = {name: getattr(arguments, name) for name in PATHS if isinstance(getattr(arguments, name, None), str)}
    if isinstance(settings.get("validation"), str):
        paths["validation"] = settings.pop("validation")
    if arguments.resume:
        from ..training import RunFolder

        remembered = RunFolder.open(arguments.resume).config
        paths, settings = {**remembered["paths"], **paths}, {**remembered["settings"], **settings}
    return paths, settings


def _common_axes(files: Sequence[ImageFile], given: str | None) -> str:
    from ..data import check_axes, guess_axes

    found: dict[str, Path] = {}
    for file in files:
        shape = tuple(file.array.shape)
        try:
            axes = check_axes(given, shape) if given else file.axes or guess_axes(shape)
        except InputError as error:
            raise InputError(f"{file.path}: {error}") from None
        found.setdefault(axes, file.path)
    if len(found) > 1:
        (first, one), (second, other), *_ = found.items()
        raise InputError(
            f"All images must have the same axes. Got {first} in {str(one)!r} and {second} in {str(other)!r}; "
            "learn from each kind by itself, or convert one."
        )
    return next(iter(found))


def _report(
    arguments: Namespace, events: Sequence[Event], autoencoder: Any, files: Sequence[ImageFile], settings: Any
) -> None:
    from ..report.pretraining import pretraining_report
    from ..training import RunFolder

    if arguments.resume:  # the curve begins where the training did
        events = RunFolder.open(arguments.resume).events()
    images = {file.path.name: file.array for file in files[:EXAMPLES]}
    pretraining_report(arguments.report, events, autoencoder, images, settings["axes"])
