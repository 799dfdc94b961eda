"""The verb `demo`: the whole story on images that come with the package."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from ..io import check_output, write_labels
from .console import interrupts, say, show
from .follow import follow, panels

if TYPE_CHECKING:
    from ..metrics import Scores
    from ..report import Panel
    from ..segmenter import Segmenter

__all__ = ["demo"]

DEMO_SECONDS = 45


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

    def score(segmenter: Segmenter) -> tuple[list[Panel], Scores]:
        titles = [f"never seen {number + 1}" for number in range(len(predictions))]
        examples = panels(segmenter, titles, sample.test_images, sample.test_labels, sample.axes)
        found = [panel.prediction for panel in examples]
        return examples, evaluate(found, list(sample.test_labels), zero=sample.zero, class_names=names)

    _, before = score(training.segmenter())
    with interrupts() as interrupted:
        events = follow(training, interrupted)
        if training.result is None or not training.result.steps:
            say("napari-fcn: Stopped before the first step; nothing was written.")
            return 130
        segmenter = training.segmenter()
        segmenter.save(model, overwrite=arguments.overwrite)
        examples, after = score(segmenter)
        for path, panel in zip(predictions, examples, strict=True):
            write_labels(path, panel.prediction, overwrite=arguments.overwrite)
        training_report(picture, events, examples, segmenter.classes)
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
