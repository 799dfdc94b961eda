"""The verbs that learn: `train` and `demo`."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import DataConfig, ModelConfig, TrainingConfig, split
from ..errors import OutputError
from ..io import check_output, write_labels
from .console import Progress, interrupts, say, show
from .inputs import find_pairs, read_pairs
from .options import given_settings

if TYPE_CHECKING:
    from ..report import Panel
    from ..segmenter import Segmenter
    from ..training import Event, Training

__all__ = ["demo", "train"]

DEMO_SECONDS = 45
EXAMPLES = 3
"""Images that a report shows."""


def train(arguments: Namespace) -> int:
    """Learn from files; Ctrl-C keeps what was learnt."""
    settings = given_settings(arguments, ModelConfig, DataConfig, TrainingConfig)
    held_out = settings.pop("validation") if isinstance(settings.get("validation"), str) else None
    split(settings, ModelConfig, DataConfig, TrainingConfig)  # wrong values are noticed before files are read
    output = _segmenter_path(arguments.output, arguments.overwrite)
    check_report(arguments.report, arguments.overwrite)
    pairs, measured = find_pairs(arguments.images, arguments.labels, held_out)
    data = read_pairs(pairs, settings.pop("axes", None))
    more = read_pairs(measured, data.axes) if measured else None
    if settings.get("nodata") is None:
        settings["nodata"] = data.nodata
    from ..api import prepare_training

    training = prepare_training(
        data.images,
        data.labels,
        validation_data=None if more is None else (more.images, more.labels),
        pixel_size=data.pixel_size,
        axes=data.axes,
        **settings,
    )
    with interrupts() as interrupted:  # until what was learnt is on the disk
        events = _follow(training, interrupted)
        result = training.result
        if result is None or not result.steps:
            say("napari-fcn: Stopped before the first step; nothing was written.")
            return 130
        segmenter = training.segmenter()
        _save(segmenter, output, arguments.overwrite)
        document = {
            "steps": result.steps,
            "seconds": round(result.seconds, 3),
            "best_step": result.best_step,
            "scores": None if result.best is None else result.best.to_json(),
            "start_scores": None if result.start is None else result.start.to_json(),
            "summary": result.summary,
            "output": str(output),
        }
        if arguments.report:
            from ..report import training_report

            shown = more or data
            panels = _panels(segmenter, shown.names, shown.images, shown.labels, shown.axes)
            training_report(arguments.report, events, panels, segmenter.classes)
            document["report"] = arguments.report
        stopped = interrupted()
    where = f"{'Stopped; what was learnt is' if stopped else 'The segmenter is'} in {output}."
    scores = "" if result.best is None else f"{result.best}\n"
    show(document, f"{scores}{result.summary}\n{where}", arguments.json)
    if stopped and arguments.json:
        say(where)
    return 130 if stopped else 0


def demo(arguments: Namespace) -> int:
    """Learn from the shipped tissue images, and segment others."""
    from .. import samples
    from ..api import evaluate, prepare_training
    from ..report import training_report

    folder = Path(arguments.output)
    model, picture = folder / "nuclei.safetensors", folder / "demo.png"
    sample = samples.load("nuclei")
    predictions = [folder / f"{Path(file).stem}-labels.png" for file in sample.test_files]
    for path in (model, picture, *predictions):
        check_output(path, arguments.overwrite)
    names = {entry.value: entry.name for entry in sample.classes}
    say(
        f"{sample.title}: learning from {len(sample.train_images)} images for {DEMO_SECONDS} s, "
        f"then segmenting {len(sample.test_images)} others."
    )
    training = prepare_training(
        list(sample.train_images),
        list(sample.train_labels),
        axes=sample.axes,
        zero=sample.zero,
        class_names=names,
        class_colors={entry.value: entry.colour for entry in sample.classes},
        time_budget=DEMO_SECONDS,
    )

    def score(segmenter: Segmenter) -> Any:
        found = [segmenter.predict(image, sample.axes) for image in sample.test_images]
        return evaluate(found, list(sample.test_labels), zero=sample.zero, class_names=names)

    before = score(training.segmenter())
    with interrupts() as interrupted:
        events = _follow(training, interrupted)
        if training.result is None or not training.result.steps:
            say("napari-fcn: Stopped before the first step; nothing was written.")
            return 130
        segmenter = training.segmenter()
        segmenter.save(model, overwrite=arguments.overwrite)
        after = score(segmenter)
        titles = [f"never seen {number + 1}" for number in range(len(predictions))]
        panels = _panels(segmenter, titles, sample.test_images, sample.test_labels, sample.axes)
        for path, panel in zip(predictions, panels, strict=True):
            write_labels(path, panel.prediction, overwrite=arguments.overwrite)
        training_report(picture, events, panels, segmenter.classes)
        stopped = interrupted()
    seconds = training.result.seconds
    document = {
        "before": before.to_json(),
        "after": after.to_json(),
        "steps": training.result.steps,
        "seconds": round(seconds, 3),
        "outputs": [str(path) for path in (model, picture, *predictions)],
    }
    text = (
        f"On images that it never saw\n\nbefore training\n{before}\n\nafter {seconds:.0f} s\n{after}\n\n"
        f"Look at {picture}; segment your own images with\n"
        f"  napari-fcn predict --model {model} --images PATH --output DIR"
    )
    show(document, text, arguments.json)
    return 130 if stopped else 0


def check_report(path: str | None, overwrite: bool) -> None:
    """Raise `OutputError` when a report cannot be written there; None is no report."""
    if path is None:
        return
    if Path(path).suffix.lower() != ".png":
        raise OutputError(f"A report is a .png file. Got {path!r}; use {Path(path).with_suffix('.png')}.")
    check_output(path, overwrite)


def _segmenter_path(path: str, overwrite: bool) -> Path:
    output = Path(path)
    if output.suffix != ".safetensors":
        raise OutputError(
            f"A segmenter is saved as a .safetensors file. Got {path!r}; use {output.stem or 'model'}.safetensors."
        )
    check_output(output, overwrite)
    return output


def _save(segmenter: Segmenter, output: Path, overwrite: bool) -> None:
    """Save, and when the place has become full or read-only meanwhile, save elsewhere: the training is not lost."""
    try:
        segmenter.save(output, overwrite=overwrite)
    except OutputError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="napari-fcn-")) / output.name
        segmenter.save(elsewhere)
        raise OutputError(f"{str(error).rstrip('.')}; what was learnt is in {str(elsewhere)!r} instead.") from None


def _follow(training: Training, interrupted: Callable[[], bool]) -> list[Event]:
    """Run a training to its end, or until somebody interrupts it, and show how it goes."""
    from ..training import Started, Step, Validated

    events: list[Event] = []
    run = training.run()
    score = ""
    with Progress("training") as progress:
        for event in run:
            events.append(event)
            if isinstance(event, Started):
                progress.line(
                    f"{event.trainable:,} of {event.parameters:,} parameters learn, on {event.device} in "
                    f"{event.precision}, {event.batch_size} patches of {event.patch_size} x {event.patch_size} a step."
                )
                for note in event.notes:
                    progress.line(note)
            elif isinstance(event, Step):
                progress.move(event.progress, f"step {event.step}, loss {event.loss:.3f}{score}")
            elif isinstance(event, Validated):
                score = f", score {event.scores.mean_iou:.3f}"
                progress.line(f"{event.seconds:6.1f} s  step {event.step:5d}  mean IoU {event.scores.mean_iou:.3f}")
            if interrupted():
                run.close()
                break
    return events


def _panels(
    segmenter: Segmenter, titles: Sequence[str], images: Sequence[Any], labels: Sequence[Any], axes: str
) -> list[Panel]:
    """Examples for a report: of some images the first plane that has labels."""
    from ..data import Planes
    from ..report import Panel

    channels = segmenter.training.get("channels")
    panels = []
    for title, image, truth in list(zip(titles, images, labels, strict=True))[:EXAMPLES]:
        planes = Planes(image, axes)
        labelled = next((p for p in range(len(planes)) if planes.plane_of(truth, p).any()), 0)
        values = planes.read(labelled)
        prediction = segmenter.predict(values, "CYX", channels=tuple(channels) if channels else None)
        panels.append(Panel(title, values, planes.plane_of(truth, labelled), prediction))
    return panels
