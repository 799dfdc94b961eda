"""What training needs is loaded while somebody is still painting."""

import subprocess
import sys
import threading

import pytest

from napari_fcn.widgets import ahead

FRESH = """
import sys, threading
from napari_fcn.widgets.ahead import load_ahead
load_ahead()
for thread in threading.enumerate():
    if thread is not threading.main_thread():
        thread.join()
print("segmentation_models_pytorch" in sys.modules, "napari_fcn.training.live" in sys.modules)
"""


def test_a_fresh_process_has_everything_when_the_thread_ends() -> None:
    done = subprocess.run([sys.executable, "-c", FRESH], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True", "True"]


def test_only_one_thread_loads_and_none_once_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = [], threading.Event()

    def load() -> None:
        begun.append(1)
        assert go.wait(10)

    monkeypatch.setattr(ahead, "_load", load)
    monkeypatch.setattr(ahead, "_loading", threading.Lock())
    monkeypatch.setattr(ahead, "LAST", "sys")  # which is there
    ahead.load_ahead()
    assert not begun
    monkeypatch.setattr(ahead, "LAST", "a_package_that_is_not_there")
    ahead.load_ahead()
    ahead.load_ahead()
    go.set()
    assert len(begun) == 1
