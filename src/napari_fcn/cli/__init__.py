"""The command line: the verbs of the package on files."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from ..config import DataConfig, ModelConfig, PredictionConfig, TrainingConfig
from ..errors import FcnError
from ..registry import nearest
from . import apply, demo, exchange, filtering, learn, pretrain, rates, segment, tell
from .options import add_setting, add_settings

__all__ = ["main"]

USAGE, INTERRUPTED = 2, 130


class _Help(argparse.HelpFormatter):
    """Help in which names such as unet-classic stay whole."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


class _HelpWithLists(_Help, argparse.RawDescriptionHelpFormatter):
    """The same, with an end that stays as it is written."""


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one sentence."""

    def error(self, message: str) -> NoReturn:
        print(f"napari-fcn: {message[:1].upper()}{message[1:].rstrip('.')}; see {self.prog} --help.", file=sys.stderr)
        raise SystemExit(USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb and return the exit code: 0, 2 for wrong usage or bad input, 130 after Ctrl-C.

    Anything else that is raised is a bug, and leaves a traceback.
    """
    parsed, unknown = _parser().parse_known_args(arguments)
    if unknown:
        _refuse(parsed.parser, unknown[0])
    try:
        with warnings.catch_warnings():
            if not sys.warnoptions:  # the libraries' remarks are for programmers
                warnings.simplefilter("ignore")
            code: int = parsed.run(parsed)
            sys.stdout.flush()
            return code
    except FcnError as error:
        print(f"napari-fcn: {error}", file=sys.stderr)
        return USAGE
    except KeyboardInterrupt:
        print("napari-fcn: Stopped; nothing was left half-written.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _refuse(parser: argparse.ArgumentParser, argument: str) -> NoReturn:
    name = argument.partition("=")[0]
    known = [option for action in parser._actions for option in action.option_strings]
    close = nearest(name, known) if name.startswith("-") else None
    parser.error(f"there is no option {name!r}" + (f"; the nearest is {close!r}" if close else ""))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="napari-fcn", description="Teach a fully convolutional network to segment your images.")
    verb = parser.add_subparsers(title="verbs", metavar="VERB", required=True, parser_class=_Parser)

    show = _add(verb, "demo", demo.demo, "learn from a few shipped images and segment others that were never seen")
    show.add_argument("--output", metavar="DIR", default="napari-fcn-demo", help="folder for the results (%(default)s)")
    _overwrite(show)

    _add(verb, "models", tell.models, "list what there is to choose from, and what works offline")

    train = _add(verb, "train", learn.train, "learn from images with labels")
    _labelled(train, required=False)
    train.add_argument("--output", metavar="MODEL.safetensors", help="the segmenter")
    train.add_argument("--run-dir", metavar="DIR", help="a new folder for events, checkpoints and the best segmenter")
    train.add_argument("--resume", metavar="DIR", help="go on with a training that was stopped or killed")
    train.add_argument("--report", metavar="FILE.png", help="a picture of the learning curve and of examples")
    train.add_argument("--preview", metavar="FILE.png", help="a picture of patches as they are and as they are varied")
    train.add_argument("--config", metavar="FILE.json", help="options from a file; those given here win")
    add_settings(train, ModelConfig, DataConfig, TrainingConfig)
    _overwrite(train)

    unlabelled = _add(verb, "pretrain", pretrain.pretrain, "learn from images without labels")
    pretrain.add_options(unlabelled)
    _overwrite(unlabelled)

    rate = _add(verb, "find-rate", rates.find_rate, "find a learning rate: try rates from far too low to far too high")
    _labelled(rate, required=True)
    rate.add_argument("--report", metavar="FILE.png", help="a picture of the loss at each rate")
    rate.add_argument("--config", metavar="FILE.json", help="options from a file; those given here win")
    add_settings(rate, ModelConfig, DataConfig, TrainingConfig)
    _overwrite(rate)

    predict = _add(verb, "predict", segment.predict, "segment images")
    predict.add_argument(
        "--model",
        metavar="MODEL",
        required=True,
        help="a segmenter's file, ONNX, BioImage.IO, or a folder of save_pretrained",
    )
    predict.add_argument("--images", metavar="PATH", required=True, help="file, folder or quoted glob")
    predict.add_argument("--output", metavar="FILE_OR_DIR", required=True, help="file for one image, else a folder")
    predict.add_argument("--probabilities", metavar="PATH", help="also write class probabilities, axes CYX")
    predict.add_argument(
        "--uncertainty",
        dest="uncertainty_map",
        metavar="PATH",
        help="also write how unsure it is of pixels, 0 to 1",
    )
    predict.add_argument(
        "--polygons", metavar="PATH", help="also write the regions of each class, to a .gpkg or .geojson file"
    )
    predict.add_argument("--cog", action="store_true", help="make GeoTIFF results cloud-optimised")
    predict.add_argument("--scheduler", metavar="ADDRESS", help="of a dask cluster that does the work")
    predict.add_argument("--resume", action="store_true", help="go on where an interrupted run ended")
    add_setting(predict, DataConfig, "axes")
    add_setting(predict, DataConfig, "channels")
    add_settings(predict, PredictionConfig)
    _overwrite(predict)

    evaluate = _add(verb, "evaluate", apply.evaluate, "compare predicted labels with true ones")
    evaluate.add_argument("--predictions", metavar="PATH", required=True, help="file, folder or quoted glob")
    evaluate.add_argument("--labels", metavar="PATH", required=True, help="the truth; pairs by file stem")
    add_setting(evaluate, DataConfig, "ignore", "label values that are not counted, in truth and prediction")
    add_setting(evaluate, DataConfig, "zero")
    evaluate.add_argument("--report", metavar="FILE.png", help="a picture of the scores and the confusion matrix")
    _overwrite(evaluate)

    process = _add(verb, "process", filtering.process, "filter images or labels, or save filters with a segmenter")
    process.add_argument("filters", metavar="FILTER[:key=value,...]", nargs="+", help="filters, in their order")
    process.add_argument("--images", metavar="PATH", help="what is filtered: file, folder or quoted glob")
    process.add_argument("--labels", metavar="PATH", help="labels to filter, where a filter also needs their images")
    process.add_argument("--model", metavar="MODEL", help="instead: a segmenter whose labels shall be filtered so")
    process.add_argument("--output", metavar="FILE_OR_DIR", required=True, help="file for one result, else a folder")
    add_setting(process, DataConfig, "axes")
    add_setting(process, DataConfig, "ignore", "label values of pixels that stay as they are")
    process.epilog = filtering.filter_list().replace("%", "%%")
    process.formatter_class = _HelpWithLists
    _overwrite(process)

    export = _add(verb, "export", exchange.export, "write a segmenter for other programs")
    export.add_argument("--model", metavar="MODEL", required=True, help="a segmenter's file")
    formats = "; ".join(f"{name}: {what}" for name, what in exchange.FORMATS.items())
    export.add_argument("--format", choices=tuple(exchange.FORMATS), required=True, help=formats)
    export.add_argument("--output", metavar="PATH", required=True, help="a file ending in .onnx or .zip")
    export.add_argument(
        "--images", metavar="PATH", help="images whose mean and deviation are written instead of the training images'"
    )
    export.add_argument("--tile-size", metavar="PIXELS", type=int, help="side of the tiles (deepness; 768)")
    export.add_argument("--author", metavar="NAME", default="unknown", help="whose model it is (bioimageio)")
    export.add_argument("--licence", metavar="SPDX", help="of the model, such as CC-BY-4.0 (bioimageio)")
    export.add_argument("--resolution", metavar="CM", type=float, help="centimetres a pixel, for Deepness")
    _overwrite(export)

    taken = _add(verb, "import", exchange.take_over, "make a segmenter of a network that another program trained")
    taken.add_argument(
        "--model",
        metavar="PATH",
        required=True,
        help="a folder of save_pretrained, a state dict (.pth, .pt, .safetensors), or a BioImage.IO package",
    )
    taken.add_argument("--output", metavar="MODEL.safetensors", required=True, help="the segmenter")
    taken.add_argument("--class-names", metavar="NAME,NAME", help="of the classes 0, 1, 2 ...")
    add_setting(taken, ModelConfig, "architecture", "the kind of network, where the file does not say it")
    add_setting(taken, ModelConfig, "encoder", "the network's encoder, where the file does not say it")
    _overwrite(taken)

    info = _add(verb, "info", tell.info, "tell what a segmenter or an autoencoder is")
    info.add_argument("model", metavar="MODEL", help="its file")
    return parser


def _add(subparsers: Any, name: str, run: Callable[[argparse.Namespace], int], summary: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.",
        allow_abbrev=False,
        formatter_class=_Help,
    )
    parser.set_defaults(run=run, parser=parser)
    parser.add_argument("--json", action="store_true", help="print one JSON document on stdout")
    return parser


def _labelled(parser: argparse.ArgumentParser, *, required: bool) -> None:
    parser.add_argument("--images", metavar="PATH", required=required, help="file, folder or quoted glob")
    parser.add_argument(
        "--labels",
        metavar="PATH",
        required=required,
        help="the same; pairs with images by file stem; or polygons for all: FILE.gpkg, FILE.gpkg:ATTRIBUTE",
    )


def _overwrite(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--overwrite", action="store_true", help="replace existing results")
