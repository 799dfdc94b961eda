"""The frame of the verbs that learn: run to the end or until Ctrl-C, keep what was learnt, tell about it."""

from __future__ import annotations

import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import FcnError, InputError, OutputError
from ..io import check_output
from .console import interrupts, say, show
from .follow import follow

if TYPE_CHECKING:
    from ..training import Event, Finished
    from ..training.loop import Loop
    from ..training.run_folder import Savable

__all__ = ["Telling", "check_run_folder", "learn", "product_path"]


@dataclass(frozen=True)
class Telling:
    """What a verb says about its training.

    Attributes
    ----------
    what : the word for what is learnt, such as "segmenter".
    scores : what the JSON document has beside steps, seconds, summary and paths.
    text : what people read before the summary, and after where the file is; an empty text is left out.
    report : draws a picture of what was learnt, from the product and the training's events.
    """

    what: str
    scores: Callable[[Finished], dict[str, Any]]
    text: Callable[[Any, Finished], tuple[str, str]]
    report: Callable[[Any, Sequence[Event]], None]


def learn(training: Loop[Any], output: Path, arguments: Namespace, telling: Telling) -> int:
    """Run a training and save what was learnt; returns the exit code.

    Of several processes that train together the first tells and writes. Ctrl-C, and an error on the way, keep what was
    learnt until then.
    """
    if not training.workers.is_first:
        for _ in training.run():
            pass
        return 0
    with interrupts() as interrupted:  # until what was learnt is on the disk
        try:
            events = follow(training, interrupted)
        except FcnError:
            if training.result is not None and training.result.best_step:
                _save_anyway(training.product(), output, arguments.overwrite)
                say(f"napari-fcn: What was learnt before is in {output}.")
            raise
        result = training.result
        if result is None or not result.steps:
            say("napari-fcn: Stopped before the first step; nothing was written.")
            return 130
        product = training.product()
        _save_anyway(product, output, arguments.overwrite)
        document = {
            "steps": result.steps,
            "seconds": round(result.seconds, 3),
            "best_step": result.best_step,
            **telling.scores(result),
            "summary": result.summary,
            "output": str(output),
        }
        if arguments.report:
            telling.report(product, events)
            document["report"] = arguments.report
        stopped = interrupted()
    where = f"{'Stopped; what was learnt is' if stopped else f'The {telling.what} is'} in {output}."
    before, after = telling.text(product, result)
    lines = [line for line in (before, result.summary, where, after) if line]
    show(document, "\n".join(lines), arguments.json)
    if stopped and arguments.json:
        say(where)
    return 130 if stopped else 0


def product_path(path: str, overwrite: bool, what: str) -> Path:
    """Where a product goes, such as "A segmenter"; `OutputError` when it cannot."""
    output = Path(path)
    if output.suffix != ".safetensors":
        raise OutputError(
            f"{what} is saved as a .safetensors file. Got {path!r}; use {output.stem or 'model'}.safetensors."
        )
    check_output(output, overwrite)
    return output


def check_run_folder(arguments: Namespace) -> None:
    """A training begins a run folder or goes on in one."""
    if arguments.run_dir and arguments.resume:
        raise InputError("Give only one of --run-dir, for a new training, and --resume, to go on with one.")


def _save_anyway(product: Savable, output: Path, overwrite: bool) -> None:
    """Save, and when the place has become full or read-only meanwhile, save elsewhere: the training is not lost."""
    try:
        product.save(output, overwrite=overwrite)
    except OutputError as error:
        elsewhere = Path(tempfile.mkdtemp(prefix="napari-fcn-")) / output.name
        product.save(elsewhere)
        raise OutputError(f"{str(error).rstrip('.')}; what was learnt is in {str(elsewhere)!r} instead.") from None
