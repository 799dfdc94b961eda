"""The verb that judges results: `evaluate`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..config import DataConfig
from ..errors import InputError
from ..io import read_labels
from ..options import split
from .console import say, show
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
    pairs = _label_pairs(pair_paths(arguments.predictions, arguments.labels), settings.get("zero", "background"))
    scores = score_pairs(pairs, **settings)
    document = scores.to_json()
    if arguments.report:
        from ..report import evaluation_report

        evaluation_report(arguments.report, scores)
        document["report"] = arguments.report
    show(document, str(scores), arguments.json)
    return 0


def _label_pairs(pairs: Pairs, zero: str) -> Iterator[tuple[Any, Any]]:
    """Labels of both sides, without the pixels that either file states to be missing."""
    from ..io.geotiff import stated_nodata  # only here: it loads tifffile

    left_out = 0
    for prediction, truth in pairs:
        predicted, true = read_labels(prediction), read_labels(truth)
        if predicted.shape != true.shape:
            raise InputError(
                f"Prediction and truth must have the same shape. Got {predicted.shape} in {str(prediction)!r} and "
                f"{true.shape} in {str(truth)!r}."
            )
        there = np.ones(true.shape, bool)
        for path, labels in ((prediction, predicted), (truth, true)):
            nodata = stated_nodata(path)
            if nodata is not None and (nodata != 0 or zero == "unlabelled"):
                there &= labels != nodata
        judged = (true != 0) | (zero == "background")
        left_out += int((judged & ~there).sum())
        yield predicted[there], true[there]
    if left_out:
        say(f"{left_out} pixels are not counted, because files state that they have no data there.")
