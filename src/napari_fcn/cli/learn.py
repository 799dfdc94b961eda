"""The verb `train`: learn from files, go on with what was stopped, keep what was learnt."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import DataConfig, ModelConfig, TrainingConfig, presuming
from ..errors import InputError
from ..losses.class_weights import check_class_weights
from ..options import split
from .follow import check_report, panels
from .inputs import LabelledFiles, find_pairs, read_pairs
from .keeping import Telling, check_run_folder, learn, product_path
from .options import given_settings

if TYPE_CHECKING:
    from ..segmenter import Segmenter
    from ..training import Event, Finished, Training

__all__ = ["Source", "train"]

PATHS = ("images", "labels", "validation", "output")
PREVIEWED, VARIATIONS = 4, 5
"""Patches that a preview shows, and how often each is varied."""


@dataclass(frozen=True)
class Source:
    """What to learn from: files, and the settings for them."""

    paths: dict[str, str]
    settings: dict[str, Any]

    @classmethod
    def of(cls, arguments: Namespace) -> Source:
        """From the command line, and with --resume from what the run folder remembers."""
        settings = given_settings(arguments, ModelConfig, DataConfig, TrainingConfig)
        paths = {name: getattr(arguments, name) for name in PATHS if isinstance(getattr(arguments, name, None), str)}
        if isinstance(settings.get("validation"), str):
            paths["validation"] = settings.pop("validation")
        if getattr(arguments, "resume", None):
            from ..training import RunFolder

            remembered = RunFolder.open(arguments.resume).config
            paths, settings = {**remembered["paths"], **paths}, {**remembered["settings"], **settings}
        for name in ("images", "labels"):
            if name not in paths:
                raise InputError(f"--{name} is needed: what to learn from; only --resume DIR knows it by itself.")
        _, _, config = split(settings, ModelConfig, DataConfig, TrainingConfig)  # before files are read
        check_class_weights(config.class_weights)
        return cls(paths, settings)

    def read(self) -> tuple[LabelledFiles, LabelledFiles | None]:
        """The files to learn from, and those to measure on."""
        pairs, measured = find_pairs(self.paths["images"], self.paths["labels"], self.paths.get("validation"))
        axes, *others = (self.settings.get(name) for name in ("axes", "bands", "reflectance", "nodata"))
        data = read_pairs(pairs, axes, *others)
        more_axes = data.axes if others[0] is None else axes
        return data, read_pairs(measured, more_axes, *others) if measured else None

    def prepare(self, data: LabelledFiles, more: LabelledFiles | None, **further: Any) -> Training:
        """The training, ready to run."""
        from ..api import prepare_training

        settings = presuming({**self.settings, "axes": data.axes}, data.placed)
        if settings.get("nodata") is None:
            settings["nodata"] = data.nodata
        if data.ignore:
            settings["ignore"] = tuple(sorted({*settings.get("ignore", ()), *data.ignore}))
        if data.class_names is not None:  # where no polygon lies, nobody has judged
            settings.setdefault("zero", "unlabelled")
            further.setdefault("class_names", data.class_names)
        return prepare_training(
            data.images,
            data.labels,
            validation_data=None if more is None else (more.images, more.labels),
            pixel_size=data.pixel_size,
            paths={
                name: str(Path(path).expanduser().absolute()) for name, path in self.paths.items()
            },  # from wherever one goes on
            **further,
            **settings,
        )


def train(arguments: Namespace) -> int:
    """Learn from files; Ctrl-C keeps what was learnt."""
    source = Source.of(arguments)
    if "output" not in source.paths:
        raise InputError("--output MODEL.safetensors is needed: where the segmenter goes.")
    check_run_folder(arguments)
    output = product_path(source.paths["output"], arguments.overwrite, "A segmenter")
    for picture in (arguments.report, arguments.preview):
        check_report(picture, arguments.overwrite)
    data, more = source.read()
    training = source.prepare(data, more, run_dir=arguments.run_dir, resume=arguments.resume)
    if arguments.preview and training.workers.is_first:
        _preview(training, arguments.preview)

    def report(segmenter: Segmenter, events: Sequence[Event]) -> None:
        from ..report import training_report
        from ..training import RunFolder

        if arguments.resume:  # the curve begins where the training did
            events = RunFolder.open(arguments.resume).events()
        shown = more or data
        examples = panels(segmenter, shown.names, shown.images, shown.labels, shown.axes)
        training_report(arguments.report, events, examples, segmenter.classes)

    def text(segmenter: Segmenter, result: Finished) -> tuple[str, str]:
        return "" if result.best is None else str(result.best), ""

    return learn(training, output, arguments, Telling("segmenter", _scores, text, report))


def _scores(result: Finished) -> dict[str, Any]:
    found = {"scores": result.best, "start_scores": result.start, "majority_scores": result.majority}
    return {name: None if scores is None else scores.to_json() for name, scores in found.items()}


def _preview(training: Training, path: str) -> None:
    """Draw some patches as they are, and as the network will see them."""
    from ..report import augmentation_picture

    sampler = training.sampler
    rows = [(sampler.plain((0, n)), sampler.variations((0, n), VARIATIONS)) for n in range(PREVIEWED)]
    augmentation_picture(path, rows, training.examples.classes)
