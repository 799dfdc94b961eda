"""What holds for every test: nothing reaches beyond this machine, and nothing depends on who runs it."""

import gc
import os
import socket
from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["MPLBACKEND"] = "Agg"

# Times vary with the machine, examples must not: a failure is one that everybody sees.
hypothesis.settings.register_profile("napari-fcn", deadline=None, derandomize=True)
hypothesis.settings.load_profile("napari-fcn")


def pytest_collection_finish() -> None:
    """Leave what was imported out of garbage collection, which napari's fixture asks for around every viewer."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True, scope="session")
def no_network() -> Iterator[None]:
    """Refuse connections to other machines, so that a test which needs the network fails everywhere."""
    connect = socket.socket.connect

    def local_only(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise OSError(f"The tests do not use the network, and something wanted to reach {address[0]}.")
        connect(self, address)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket.socket, "connect", local_only)
        yield
