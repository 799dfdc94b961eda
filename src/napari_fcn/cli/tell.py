"""The verbs that only tell: `models` and `info`."""

from __future__ import annotations

from argparse import Namespace

from .. import registry
from .console import show

__all__ = ["info", "models"]


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


def info(arguments: Namespace) -> int:
    """Tell what a segmenter's file holds."""
    from ..segmenter import Segmenter

    segmenter = Segmenter.load(arguments.model)
    show({**segmenter.to_json(), "parameters": segmenter.network.count()}, segmenter.describe(), arguments.json)
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
