"""The model hub, asked only when it answers."""

from __future__ import annotations

import contextlib
import socket
import urllib.parse
import urllib.request
from collections.abc import Iterator

__all__ = ["hub_as_reachable"]


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
