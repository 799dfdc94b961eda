"""The verb that judges results: `evaluate`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

from ..config import DataConfig
from ..errors import InputError
from ..io import read_labels
from ..options import split
from .console import show
from .follow import check_report
from .inputs import Pairs, pair_paths
from .options import given_settings

__all__ = ["evaluate"]


def evaluate(arguments: Namespace) -> int:
    """Score predicted labels."""
    from ..metrics import score_pairs

    settings = given_settings(arguments, DataConfig)
    split(settings, DataConfig)
    check_report(arguments.report, arguments.overwrite)
    scores = score_pairs(_label_pairs(pair_paths(arguments.predictions, arguments.labels)), **settings)
    document = scores.to_json()
    if arguments.report:
        from ..report import evaluation_report

        evaluation_report(arguments.report, scores)
        document["report"] = arguments.report
    show(document, str(scores), arguments.json)
    return 0


def _label_pairs(pairs: Pairs) -> Iterator[tuple[Any, Any]]:
    for prediction, truth in pairs:
        predicted, true = read_labels(prediction), read_labels(truth)
        if predicted.shape != true.shape:
            raise InputError(
                f"Prediction and truth must have the same shape. Got {predicted.shape} in {str(prediction)!r} and "
                f"{true.shape} in {str(truth)!r}."
            )
        yield predicted, true
