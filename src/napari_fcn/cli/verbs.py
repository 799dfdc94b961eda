"""What each verb does: read files, call the package, write files, print the result."""

from __future__ import annotations

import json
import time
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import registry
from ..config import DataConfig, ModelConfig, PredictionConfig, TrainingConfig, options, refuse_unknown
from ..data.axes import guess_axes, spatial_axes
from ..errors import InputError, OutputError
from ..io import (
    check_output,
    find_files,
    output_paths,
    pair_by_stem,
    read_image,
    read_labels,
    write_array,
    write_labels,
)
from .console import ProgressBar, interrupts, say, show

if TYPE_CHECKING:
    from ..segmenter import Segmenter
    from ..training import Event, Training

__all__ = ["demo", "evaluate", "info", "models", "predict", "train"]

DEMO_SECONDS = 45


def models(arguments: Namespace) -> int:
    """List the registries."""
    document = {
        name: [{"name": entry.name, "summary": entry.summary, **entry.details} for entry in entries.values()]
        for name, entries in _registries().items()
    }
    lines = []
    for kind, entries in document.items():
        lines.append(kind)
        width = max(len(entry["name"]) for entry in entries)
        for entry in entries:
            facts = [str(entry[fact]) for fact in ("paper", "licence") if fact in entry]
            if kind == "encoders":
                facts.append("works offline" if entry["offline"] else "needs a network once")
            behind = f" [{'; '.join(facts)}]" if facts else ""
            lines.append(f"  {entry['name']:<{width}}  {entry['summary']}{behind}")
    lines.append("More encoders: every name that segmentation-models-pytorch or timm knows.")
    show(document, "\n".join(lines), arguments.json)
    return 0


def _registries() -> dict[str, registry.Registry]:
    return {
        "architectures": registry.architectures,
        "encoders": registry.encoders,
        "weights": registry.weights,
        "upsampling": registry.upsampling,
        "losses": registry.losses,
        "augmentations": registry.augmentations,
    }


def info(arguments: Namespace) -> int:
    """Tell what a segmenter's file holds."""
    from ..segmenter import Segmenter

    segmenter = Segmenter.load(arguments.model)
    show({**segmenter.to_json(), "parameters": segmenter.network.count()}, segmenter.describe(), arguments.json)
    return 0


def train(arguments: Namespace) -> int:
    """Learn from files; Ctrl-C keeps what was learnt."""
    settings = _settings(arguments, ModelConfig, DataConfig, TrainingConfig)
    validation = settings.pop("validation", None)
    if isinstance(validation, (int, float)):
        settings["validation"] = validation
    output = _model_output(arguments.output, arguments.overwrite)
    if arguments.report:
        check_output(arguments.report, arguments.overwrite)
    pairs, held_out = _training_files(arguments.images, arguments.labels, validation)
    images, labels, axes = _read_pairs(pairs, settings.pop("axes", None))
    data = None
    if held_out:
        more_images, more_labels, more_axes = _read_pairs(held_out, axes)
        if more_axes != axes:
            raise InputError(f"Validation images must have the axes of the training images, {axes}. Got {more_axes}.")
        data = (more_images, more_labels)
    from ..api import prepare_training

    training = prepare_training(images, labels, validation_data=data, axes=axes, **settings)
    events, stopped = _follow(training)
    result = training.result
    if result is None or not result.steps:
        say("napari-fcn: Stopped before the first step; nothing was written.")
        return 130
    segmenter = training.segmenter()
    segmenter.save(output, overwrite=arguments.overwrite)
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

        training_report(
            arguments.report, events, _panels(segmenter, images[:3], labels[:3], axes, "training"), segmenter.classes
        )
        document["report"] = arguments.report
    where = f"{'Stopped; what was learnt is' if stopped else 'The segmenter is'} in {output}."
    scores = "" if result.best is None else f"{result.best}\n"
    show(document, f"{scores}{result.summary}\n{where}", arguments.json)
    if stopped and arguments.json:
        say(where)
    return 130 if stopped else 0


def predict(arguments: Namespace) -> int:
    """Segment files."""
    from ..segmenter import Segmenter

    settings = _settings(arguments, PredictionConfig)
    PredictionConfig(**settings)
    files = find_files(arguments.images)
    outputs = output_paths(arguments.output, files)
    for path in outputs:
        check_output(path, arguments.overwrite)
    scores: Sequence[Path | None] = [None] * len(files)
    if arguments.probabilities:
        scores = output_paths(arguments.probabilities, files, kind="probabilities")
        for path in output_paths(arguments.probabilities, files, kind="probabilities"):
            check_output(path, arguments.overwrite)
    segmenter = Segmenter.load(arguments.model)
    begin = time.perf_counter()
    with ProgressBar("segmenting") as bar:
        for number, (file, output, score) in enumerate(zip(files, outputs, scores, strict=True)):
            image = read_image(file)
            axes = getattr(arguments, "axes", None) or image.axes
            try:
                axes = segmenter.axes_for(image.array.shape, axes)
                steps = segmenter.predict_steps(
                    image.array,
                    axes,
                    channels=getattr(arguments, "channels", None),
                    probabilities=score is not None,
                    **settings,
                )
                while True:
                    try:
                        bar.move((number + next(steps)) / len(files), file.name)
                    except StopIteration as end:
                        labels, probabilities = end.value
                        break
            except InputError as error:
                raise type(error)(f"{file}: {error}") from error
            write_labels(output, labels, axes=spatial_axes(axes), overwrite=arguments.overwrite)
            if score is not None:
                write_array(score, probabilities, axes="C" + spatial_axes(axes), overwrite=arguments.overwrite)
    seconds = time.perf_counter() - begin
    document = {"outputs": [str(path) for path in outputs], "seconds": round(seconds, 3)}
    if arguments.probabilities:
        document["probabilities"] = [str(path) for path in scores]
    show(document, f"{len(files)} image{'s' * (len(files) != 1)} segmented in {seconds:.1f} s.", arguments.json)
    return 0


def evaluate(arguments: Namespace) -> int:
    """Score predicted labels."""
    from ..metrics import score_pairs

    if arguments.report:
        check_output(arguments.report, arguments.overwrite)
    pairs, alone = pair_by_stem(find_files(arguments.predictions), find_files(arguments.labels))
    if alone:
        say(f"Without true labels, and left out: {_some(alone)}.")
    settings = {name: getattr(arguments, name) for name in ("zero", "ignore") if hasattr(arguments, name)}
    if "ignore" in settings:
        settings["ignore"] = _flat(settings["ignore"])
    DataConfig(**settings)

    def arrays() -> Any:
        for prediction, truth in pairs:
            predicted, true = read_labels(prediction), read_labels(truth)
            if predicted.shape != true.shape:
                raise InputError(
                    f"Prediction and truth must have the same shape. Got {predicted.shape} for {prediction} and "
                    f"{true.shape} for {truth}."
                )
            yield predicted, true

    scores = score_pairs(arrays(), **settings)
    document = scores.to_json()
    if arguments.report:
        from ..report import evaluation_report

        evaluation_report(arguments.report, scores)
        document["report"] = arguments.report
    show(document, str(scores), arguments.json)
    return 0


def demo(arguments: Namespace) -> int:
    """Learn from the shipped tissue images, and segment others."""
    from .. import samples
    from ..api import evaluate as compare
    from ..api import prepare_training
    from ..report import training_report

    folder = Path(arguments.output)
    paths = {name: folder / name for name in ("nuclei.safetensors", "demo.png")}
    sample = samples.load("nuclei")
    predictions = [folder / f"{Path(file).stem}-labels.png" for file in sample.test_files]
    for path in (*paths.values(), *predictions):
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
    truth = list(sample.test_labels)

    def score(segmenter: Segmenter) -> Any:
        found = [segmenter.predict(image, sample.axes) for image in sample.test_images]
        return compare(found, truth, zero=sample.zero, class_names=names)

    before = score(training.segmenter())
    events, stopped = _follow(training)
    if training.result is None or not training.result.steps:
        say("napari-fcn: Stopped before the first step; nothing was written.")
        return 130
    segmenter = training.segmenter()
    after = score(segmenter)
    segmenter.save(paths["nuclei.safetensors"], overwrite=arguments.overwrite)
    panels = _panels(segmenter, sample.test_images, truth, sample.axes, "never seen")
    for path, panel in zip(predictions, panels, strict=True):
        write_labels(path, panel.prediction, overwrite=arguments.overwrite)
    training_report(paths["demo.png"], events, panels, segmenter.classes)
    document = {
        "before": before.to_json(),
        "after": after.to_json(),
        "steps": training.result.steps,
        "seconds": round(training.result.seconds, 3),
        "outputs": [str(path) for path in (*paths.values(), *predictions)],
    }
    text = (
        f"On images that it never saw\n\nbefore training\n{before}\n\nafter {training.result.seconds:.0f} s\n{after}\n\n"
        f"Look at {paths['demo.png']}; segment your own images with\n"
        f"  napari-fcn predict --model {paths['nuclei.safetensors']} --images PATH --output DIR"
    )
    show(document, text, arguments.json)
    return 130 if stopped else 0


def _settings(arguments: Namespace, *configs: Any) -> dict[str, Any]:
    """The settings that were given: in the file named by --config, then on the command line, which wins."""
    known = options(*configs)
    settings: dict[str, Any] = {}
    if getattr(arguments, "config", None):
        settings = _read_config(Path(arguments.config))
        refuse_unknown(settings, list(known))
    settings |= {name: value for name, value in vars(arguments).items() if name in known}
    if "ignore" in settings:
        settings["ignore"] = _flat(settings["ignore"])
    return settings


def _read_config(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} is no JSON file that can be read ({error}).") from error
    if not isinstance(document, dict):
        raise InputError(f'{str(path)!r} must hold one JSON object, such as {{"steps": 100}}.')
    return document


def _flat(values: Sequence[Any]) -> tuple[int, ...]:
    """`--ignore 1 2` and `--ignore 1,2` alike."""
    return tuple(v for value in values for v in (value if isinstance(value, tuple) else (value,)))


def _model_output(path: str, overwrite: bool) -> Path:
    output = Path(path)
    if output.suffix != ".safetensors":
        raise OutputError(f"A segmenter is saved as a .safetensors file. Got {path!r}; use {output.stem}.safetensors.")
    check_output(output, overwrite)
    return output


Pairs = list[tuple[Path, Path]]


def _training_files(images: str, labels: str, validation: Any) -> tuple[Pairs, Pairs]:
    """Pairs to learn from and pairs to score on; labels of both are among `labels`."""
    label_files = find_files(labels)
    held_out: Pairs = []
    if isinstance(validation, str):
        held_out, _ = pair_by_stem(find_files(validation), label_files)
    kept = {image.resolve() for image, _ in held_out}
    files = [file for file in find_files(images) if file.resolve() not in kept]
    if not files:
        raise InputError("No image is left to learn from: all of them are held out by --validation.")
    pairs, alone = pair_by_stem(files, label_files)
    if alone:
        say(f"Without labels, and left out: {_some(alone)}.")
    return pairs, held_out


def _some(files: Sequence[Path]) -> str:
    names = ", ".join(file.name for file in files[:3])
    return names if len(files) <= 3 else f"{names} and {len(files) - 3} more"


def _read_pairs(pairs: Pairs, axes: str | None) -> tuple[list[Any], list[Any], str]:
    """Images and labels; their axes as given, as the files say, or as shapes suggest, but one for all."""
    images, labels = [], []
    found: dict[str, Path] = {}
    for image_path, label_path in pairs:
        image, label = read_image(image_path), read_labels(label_path)
        images.append(image.array)
        labels.append(label)
        try:
            here = axes or image.axes
            if here is None or len(spatial_axes(here)) != label.ndim:
                here = axes or guess_axes(image.array.shape, labels_shape=label.shape)
        except InputError as error:
            raise InputError(f"{image_path}: {error}") from error
        shape = tuple(size for size, letter in zip(image.array.shape, here, strict=False) if letter != "C")
        if len(here) == image.array.ndim and shape != label.shape:
            raise InputError(
                f"Labels must have their image's shape without channels. Got {label.shape} in {label_path} for "
                f"{tuple(image.array.shape)} (axes {here}) in {image_path}."
            )
        found.setdefault(here, image_path)
    if len(found) > 1:
        (first, one), (second, other), *_ = found.items()
        raise InputError(
            f"All images must have the same axes. Got {first} in {one} and {second} in {other}; see --axes."
        )
    return images, labels, next(iter(found))


def _follow(training: Training) -> tuple[list[Event], bool]:
    """Run a training with a progress bar; the events, and whether Ctrl-C stopped it."""
    from ..training import Started, Step, Validated

    events: list[Event] = []
    run = training.run()
    score = ""
    with interrupts() as interrupted, ProgressBar("training") as bar:
        for event in run:
            events.append(event)
            if isinstance(event, Started):
                bar.line(
                    f"{event.trainable:,} of {event.parameters:,} parameters learn, on {event.device} in "
                    f"{event.precision}, {event.batch_size} patches of {event.patch_size} x {event.patch_size} a step."
                )
                for note in event.notes:
                    bar.line(note)
            elif isinstance(event, Step):
                bar.move(event.progress, f"step {event.step}, loss {event.loss:.3f}{score}")
            elif isinstance(event, Validated):
                score = f", score {event.scores.mean_iou:.3f}"
                bar.line(f"{event.seconds:6.1f} s  step {event.step:5d}  mean IoU {event.scores.mean_iou:.3f}")
            if interrupted():
                run.close()
                break
        return events, interrupted()


def _panels(segmenter: Segmenter, images: Sequence[Any], labels: Sequence[Any], axes: str, title: str) -> list[Any]:
    """Examples for a report: the first plane of each image."""
    from ..data import Planes
    from ..report import Panel

    trained = segmenter.training.get("channels")
    panels = []
    for number, (image, truth) in enumerate(zip(images, labels, strict=True)):
        planes = Planes(image, axes)
        labelled = next((p for p in range(len(planes)) if planes.plane_of(truth, p).any()), 0)
        values = planes.read(labelled)
        prediction = segmenter.predict(values, "CYX", channels=trained and tuple(trained))
        panels.append(Panel(f"{title} {number + 1}", values, planes.plane_of(truth, labelled), prediction))
    return panels
