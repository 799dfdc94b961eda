"""The verbs that only tell: `models` and `info`."""

from __future__ import annotations

from argparse import Namespace

from .catalogue import describe, tables
from .console import Progress, show

__all__ = ["info", "models"]


def models(arguments: Namespace) -> int:
    """List the registries."""
    with Progress("measuring the architectures") as progress:
        document = describe(progress.move)
    text = "\n\n".join(f"{table.title}\n{'-' * len(table.title)}\n{table.text()}" for table in tables(document))
    show(document, text, arguments.json)
    return 0


def info(arguments: Namespace) -> int:
    """Tell what the file of a segmenter or an autoencoder holds."""
    from ..autoencoder import Autoencoder, is_autoencoder
    from ..export.reading import load_any

    if is_autoencoder(arguments.model):
        autoencoder = Autoencoder.load(arguments.model)
        facts = {**autoencoder.to_json(), "parameters": autoencoder.network.count()}
        show(facts, autoencoder.describe(), arguments.json)
        return 0
    segmenter = load_any(arguments.model)
    show({**segmenter.to_json(), "parameters": segmenter.network.count()}, segmenter.describe(), arguments.json)
    return 0
