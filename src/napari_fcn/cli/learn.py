"""The verb `train`: learn from files, go on with what was stopped, keep what was learnt."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import DataConfig, ModelConfig, TrainingConfig
from ..errors import FcnError, InputError, OutputError
from ..io import check_output
from ..losses.class_weights import check_class_weights
from ..options import split
from .console import interrupts, say, show
from .follow import check_report, follow, panels
from .inputs import LabelledFiles, find_pairs, read_pairs
from .options import given_settings

if TYPE_CHECKING:
    from ..training import Training
    from ..training.run_folder import Savable

__all__ = ["Source", "autoencoder_path", "save_anyway", "train"]

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
        axes, bands = self.settings.get("axes"), self.settings.get("bands")
        data = read_pairs(pairs, axes, bands)
        return data, read_pairs(measured, data.axes if bands is None else axes, bands) if measured else None

    def prepare(self, data: LabelledFiles, more: LabelledFiles | None, **further: Any) -> Training:
        """The training, ready to run."""
        from ..api import prepare_training

        settings = {**self.settings, "axes": data.axes}
        if settings.get("nodata") is None:
            settings["nodata"] = data.nodata
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
    if arguments.run_dir and arguments.resume:
        raise InputError("Give only one of --run-dir, for a new training, and --resume, to go on with one.")
    output = _segmenter_path(source.paths["output"], arguments.overwrite)
    for picture in (arguments.report, arguments.preview):
        check_report(picture, arguments.overwrite)
    data, more = source.read()
    training = source.prepare(data, more, run_dir=arguments.run_dir, resume=arguments.resume)
    if not training.workers.is_first:  # the first process of several tells and writes
        for _ in training.run():
            pass
        return 0
    if arguments.preview:
        _preview(training, arguments.preview)
    with interrupts() as interrupted:  # until what was learnt is on the disk
        try:
            events = follow(training, interrupted)
        except FcnError:
            if training.result is not None and training.result.best_step:
                save_anyway(training.segmenter(), output, arguments.overwrite)
                say(f"napari-fcn: What was learnt before is in {output}.")
            raise
        result = training.result
        if result is None or not result.steps:
            say("napari-fcn: Stopped before the first step; nothing was written.")
            return 130
        segmenter = training.segmenter()
        save_anyway(segmenter, output, arguments.overwrite)
        document = {
            "steps": result.steps,
            "seconds": round(result.seconds, 3),
            "best_step": result.best_step,
            "scores": None if result.best is None else result.best.to_json(),
            "start_scores": None if result.start is None else result.start.to_json(),
            "majority_scores": None if result.majority is None else result.majority.to_json(),
            "summary": result.summary,
            "output": str(output),
        }
        if arguments.report:
            from ..report import training_report
            from ..training import RunFolder

            if arguments.resume:  # the curve begins where the training did
                events = RunFolder.open(arguments.resume).events()
            shown = more or data
            examples = panels(segmenter, shown.names, shown.images, shown.labels, shown.axes)
            training_report(arguments.report, events, examples, segmenter.classes)
            document["report"] = arguments.report
        stopped = interrupted()
    where = f"{'Stopped; what was learnt is' if stopped else 'The segmenter is'} in {output}."
    scores = "" if result.best is None else f"{result.best}\n"
    show(document, f"{scores}{result.summary}\n{where}", arguments.json)
    if stopped and arguments.json:
        say(where)
    return 130 if stopped else 0


def _preview(training: Training, path: str) -> None:
    """Draw some patches as they are, and as the network will see them."""
    from ..report import augmentation_picture

    sampler = training.sampler
    rows = [(sampler.plain((0, n)), sampler.variations((0, n), VARIATIONS)) for n in range(PREVIEWED)]
    augmentation_picture(path, rows, training.examples.classes)


def _segmenter_path(path: str, overwrite: bool, what: str = "A segmenter") -> Path:
    output = Path(path)
    if output.suffix != ".safetensors":
        raise OutputError(
            f"{what} is saved as a .safetensors file. Got {path!r}; use {output.stem or 'model'}.safetensors."
        )
    check_output(output, overwrite)
    return output


def autoencoder_path(path: str, overwrite: bool) -> Path:
    """Where an autoencoder goes; `OutputError` when it cannot."""
    return _segmenter_path(path, overwrite, "An autoencoder")


def save_anyway(product: Savable, output: Path, overwrite: bool) -> None:
    """Save, and when the place has become full or read-only meanwhile, save elsewhere: the training is not lost."""
    try:
        product.save(output, overwrite=overwrite)
    except OutputError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="napari-fcn-")) / output.name
        product.save(elsewhere)
        raise OutputError(f"{str(error).rstrip('.')}; what was learnt is in {str(elsewhere)!r} instead.") from None
