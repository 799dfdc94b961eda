"""The model hub: which weights it has for an encoder, and asking it only when it answers."""

from __future__ import annotations

import contextlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator

from ..errors import OfflineError

__all__ = [
    "asking_for",
    "find_weights",
    "has_imagenet",
    "hub_as_reachable",
    "hub_statistics",
    "hub_weights",
    "weights_of",
]

# The packages whose errors mean that the hub could not be reached.
CLIENTS = {"huggingface_hub", "httpx", "httpcore", "requests"}
# timm has encoders of these names too, whose tensors are named in another way.
UNLIKE_TIMM = ("senet154", "mobileone_")


def weights_of(encoder: str, name: str) -> str:
    """What messages call the weights `name` of an encoder."""
    return f"The {'ImageNet weights' if name == 'imagenet' else f'weights {name!r}'} of {encoder!r}"


def hub_weights(smp_name: str) -> dict[str, str]:
    """The pretrained weights that the hub has for an encoder: the user's name to smp's ("ssl") or timm's ("a1_in1k").

    Parameters
    ----------
    smp_name : segmentation-models-pytorch's name of the encoder; timm's models start with "tu-".

    Returns
    -------
    dict
        Settings of smp map to themselves, tags of timm to the whole name, such as "resnet18.a1_in1k".
    """
    import timm
    from segmentation_models_pytorch.encoders import encoders as smp_encoders

    names = {} if _is_timm(smp_name) else {name: name for name in smp_encoders[smp_name]["pretrained_settings"]}
    architecture = smp_name.removeprefix("tu-").split(".")[0]
    if timm.is_model(architecture) and not smp_name.startswith(UNLIKE_TIMM):
        for whole in timm.list_pretrained(f"{architecture}.*"):
            names.setdefault(whole.split(".", 1)[1], whole)
    return names


def find_weights(smp_name: str, weights_name: str) -> str | None:
    """What smp or timm calls the weights, from their short or whole name; None when the encoder has none such.

    timm's names have a dot in them ("resnet18.a1_in1k"), smp's have not.
    """
    known = hub_weights(smp_name)
    return known.get(weights_name, weights_name if "." in weights_name and weights_name in known.values() else None)


def has_imagenet(smp_name: str) -> bool:
    """Whether the hub has ImageNet weights for an encoder."""
    import timm
    from segmentation_models_pytorch.encoders import encoders as smp_encoders

    if _is_timm(smp_name):
        return bool(timm.is_model_pretrained(smp_name.removeprefix("tu-")))
    return "imagenet" in smp_encoders[smp_name]["pretrained_settings"]


def hub_statistics(smp_name: str, weights_name: str | None = None) -> tuple[float, float]:
    """Mean and deviation, over the colours, by which the photographs in [0, 1] were standardised.

    Without a name of weights, those of the encoder's ImageNet weights. smp publishes them at the hub alone; what is
    said here about its encoders is what its version 0.4 said.
    """
    import timm

    whole = find_weights(smp_name, weights_name) if weights_name else smp_name.removeprefix("tu-")
    if whole is not None and (_is_timm(smp_name) or "." in whole):
        settings = timm.get_pretrained_cfg(whole, allow_unregistered=True)
        mean, std = (settings.mean, settings.std) if settings else ((0.449,), (0.226,))
        return sum(mean) / len(mean), sum(std) / len(std)
    if smp_name.startswith("dpn"):
        return 0.451, 0.235
    if smp_name.startswith(("inception", "xception", "timm-tf_efficientnet_lite")) or weights_name == "advprop":
        return 0.5, 0.5
    return 0.449, 0.226


def _is_timm(smp_name: str) -> bool:
    return smp_name.startswith("tu-")


@contextlib.contextmanager
def asking_for(what: str, instead: str) -> Iterator[None]:
    """While this is open, the hub may be asked; `OfflineError` says what cannot be had, and what can be had instead."""
    try:
        with hub_as_reachable():
            yield
    except Exception as error:
        if not _is_network_error(error):
            raise
        raise OfflineError(f"{what} must be downloaded, and there is no network; {instead}.") from error


def _is_network_error(error: BaseException | None) -> bool:
    """Whether the hub could not be reached: its clients raise OSErrors and errors of their own packages."""
    while error is not None:
        if isinstance(error, OSError) or type(error).__module__.split(".")[0] in CLIENTS:
            return True
        error = error.__cause__
    return False


@contextlib.contextmanager
def hub_as_reachable() -> Iterator[None]:
    """While this is open, the hub's client works from its cache alone when the hub cannot be reached.

    Without it the client retries for most of a minute before it admits that there is no network.
    """
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not _reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _reachable(endpoint: str, seconds: float = 3.0) -> bool:
    """Whether the host answers; behind a proxy that only the client can judge."""
    if urllib.request.getproxies():
        return True
    address = urllib.parse.urlsplit(endpoint)
    try:
        with socket.create_connection((address.hostname, address.port or 443), timeout=seconds):
            return True
    except OSError:
        return False
