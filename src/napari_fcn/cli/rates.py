"""The verb `find-rate`."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from .console import Progress, interrupts, say, show
from .follow import check_report
from .learn import Source

__all__ = ["find_rate"]


def find_rate(arguments: Namespace) -> int:
    """Try rates on files, and suggest one."""
    from ..training import find_rate as search

    source = Source.of(arguments)
    check_report(arguments.report, arguments.overwrite)
    training = source.prepare(*source.read())
    run = search(training)
    with Progress("trying rates") as progress, interrupts() as interrupted:
        while True:
            try:
                progress.move(next(run))
            except StopIteration as end:
                curve = end.value
                break
            if interrupted():
                run.close()
                say("napari-fcn: Stopped; nothing was written.")
                return 130
    document = {
        "suggestion": curve.suggestion,
        "rates": list(curve.rates),
        "losses": list(curve.losses),
        "smoothed": list(curve.smoothed),
    }
    if arguments.report:
        from ..report import rate_picture

        rate_picture(Path(arguments.report), curve.rates, curve.losses, curve.smoothed, curve.suggestion)
        document["report"] = arguments.report
    text = "The loss falls at none of the rates; look at the images and labels."
    if curve.suggestion is not None:
        text = f"The loss falls fastest at --rate {curve.suggestion:.2g}."
    show(document, text, arguments.json)
    return 0
