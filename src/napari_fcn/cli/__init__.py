"""The command line: the verbs of the package on files."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from ..config import Config, DataConfig, ModelConfig, Option, PredictionConfig, TrainingConfig, options
from ..errors import FcnError
from . import verbs

__all__ = ["main"]

USAGE, INTERRUPTED = 2, 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message[:1].upper()}{message[1:].rstrip('.')}.", file=sys.stderr)
        raise SystemExit(USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 2 for wrong usage or bad input, 130 after Ctrl-C."""
    parsed = _parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except FcnError as error:
        print(f"napari-fcn: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("napari-fcn: Stopped; nothing was written.", file=sys.stderr)
        return INTERRUPTED
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="napari-fcn", description="Teach a fully convolutional network to segment your images.")
    verb = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Parser)

    demo = _add(verb, "demo", verbs.demo, "learn from a few shipped images and segment others that were never seen")
    demo.add_argument("--output", metavar="DIR", default="napari-fcn-demo", help="folder for the results (%(default)s)")
    _overwrite(demo)

    _add(verb, "models", verbs.models, "list what there is to choose from, and what works offline")

    train = _add(verb, "train", verbs.train, "learn from images with labels")
    train.add_argument("--images", metavar="PATH", required=True, help="file, folder or quoted glob")
    train.add_argument("--labels", metavar="PATH", required=True, help="the same; pairs with images by file stem")
    train.add_argument("--output", metavar="MODEL.safetensors", required=True, help="the segmenter")
    train.add_argument("--report", metavar="FILE.png", help="a picture of the learning curve and of examples")
    train.add_argument("--config", metavar="FILE.json", help="options from a file; those given here win")
    _settings(train, ModelConfig, DataConfig, TrainingConfig)
    _overwrite(train)

    predict = _add(verb, "predict", verbs.predict, "segment images")
    predict.add_argument("--model", metavar="MODEL", required=True, help="a segmenter's file")
    predict.add_argument("--images", metavar="PATH", required=True, help="file, folder or quoted glob")
    predict.add_argument("--output", metavar="FILE_OR_DIR", required=True, help="file for one image, else a folder")
    predict.add_argument("--probabilities", metavar="FILE_OR_DIR", help="also write class probabilities, axes CYX")
    _setting(predict, "axes", *options(DataConfig)["axes"])
    _setting(predict, "channels", *options(DataConfig)["channels"])
    _settings(predict, PredictionConfig)
    _overwrite(predict)

    evaluate = _add(verb, "evaluate", verbs.evaluate, "compare predicted labels with true ones")
    evaluate.add_argument("--predictions", metavar="PATH", required=True, help="file, folder or quoted glob")
    evaluate.add_argument("--labels", metavar="PATH", required=True, help="the truth; pairs by file stem")
    _setting(evaluate, "ignore", *options(DataConfig)["ignore"])
    _setting(evaluate, "zero", *options(DataConfig)["zero"])
    evaluate.add_argument("--report", metavar="FILE.png", help="a picture of the scores and the confusion matrix")
    _overwrite(evaluate)

    info = _add(verb, "info", verbs.info, "tell what a segmenter is")
    info.add_argument("model", metavar="MODEL", help="a segmenter's file")
    return parser


def _add(subparsers: Any, name: str, run: Any, summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser


def _overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")


def _settings(parser: argparse.ArgumentParser, *configs: type[Config]) -> None:
    """An option for each setting; what is not given is left out, so that defaults stand in one place."""
    for name, (default, option) in options(*configs).items():
        _setting(parser, name, default, option)


def _setting(parser: argparse.ArgumentParser, name: str, default: Any, option: Option) -> None:
    convert: dict[str, Any] = {"text": str, "integer": int, "number": float, "integers": _integers}
    usual = "" if default is None or default == () else f" ({default})"
    text = option.help
    if option.choices is not None:
        text += ": " + ("+".join if option.joined else ", ".join)(option.names()) + (", ..." if option.open else "")
    if name == "validation":
        convert["number"], text = _number_or_path, f"{text}, or PATH of images to score on"
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        dest=name,
        type=convert[option.kind],
        nargs="+" if name == "ignore" else None,
        default=argparse.SUPPRESS,
        metavar={"text": "NAME", "integer": "N", "number": "X", "integers": "N,N"}[option.kind],
        help=(text + usual).replace("%", "%%"),
    )


def _integers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _number_or_path(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text
