"""Whether a network that was taken over computes what the original does: seen on a random image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from ..config import ModelConfig

__all__ = ["SMP", "same_classes"]

SMP = {
    "unet": "Unet",
    "unet++": "UnetPlusPlus",
    "manet": "MAnet",
    "linknet": "Linknet",
    "fpn": "FPN",
    "pspnet": "PSPNet",
    "pan": "PAN",
    "upernet": "UPerNet",
    "segformer": "Segformer",
    "deeplabv3": "DeepLabV3",
}
"""Architectures by the name that segmentation-models-pytorch has for them."""
SIDE = 128


def same_classes(
    theirs: Mapping[str, Tensor],
    ours: Mapping[str, Tensor],
    model: ModelConfig,
    channels: int,
    classes: int,
    facts: Mapping[str, Any] | None,
) -> float:
    """The share of pixels of a random image that get the same class from both networks.

    Parameters
    ----------
    theirs : tensors of the network of segmentation-models-pytorch.
    ours : the same in this package's names; the head may have one row, for two classes.
    model, channels, classes : of the network; 1 class is a logit against 0.
    facts : settings of the original, as `save_pretrained` wrote them.
    """
    import segmentation_models_pytorch as smp
    import torch

    from ..models import NetworkSpec, build
    from ..models.encoders import resolve
    from ..models.smp import decoder_widths

    settings = {name: value for name, value in (facts or {}).items() if not name.startswith("_")}
    settings |= {"encoder_weights": None, "activation": None, "in_channels": channels, "classes": classes}
    settings.setdefault("encoder_name", resolve(model.encoder).smp_name)
    if model.depth is not None and not facts:
        settings |= {"encoder_depth": model.depth, "decoder_channels": decoder_widths(model.depth, model.width)}
    try:
        original = getattr(smp, SMP[model.architecture])(**settings).eval()
        original.load_state_dict({**original.state_dict(), **theirs})
    except (TypeError, ValueError, RuntimeError, KeyError):
        return 0.0
    network = build(NetworkSpec(model, channels, max(2, classes)), pretrained=False).eval()
    rows = {
        name: torch.cat([torch.zeros_like(t), t]) if classes == 1 and name.startswith("head.") else t
        for name, t in ours.items()
    }
    network.load_state_dict(rows)
    image = torch.randn(1, channels, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected, found = original(image), network(image).argmax(dim=1)
        wanted = (expected[:, 0] > 0).long() if classes == 1 else expected.argmax(dim=1)
    return float((found == wanted).float().mean())
