"""Does the window stay responsive while it trains, and does the window slow training down?

    bash tools/virtual_screen.sh python benchmarks/gui.py latency speed cycles [--seconds 40] [--cycles 100]

- latency: how late the event loop answers while Train learns with curves and a live preview; milliseconds beyond what
  was asked of a timer of 10 ms. Wanted: 95 % below 100 ms.
- speed: steps a second in the widget, with curves and preview, and of the command line on the same files, in turn.
  Wanted: 90 % of the command line's.
- cycles: resident memory and threads while trainings are started and cancelled. Wanted: at most 50 MB more after the
  last than after the tenth, and as many threads.

Prints one JSON document.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import napari
import numpy as np
import psutil
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_fcn import samples

BEAT = 10  # milliseconds
SETTINGS = {"zero": "background", "batch_size": 4, "patch_size": 128}


class Heart:
    """A timer that notes how late it is called."""

    def __init__(self):
        self.late = []
        self.timer = QTimer()
        self.timer.setInterval(BEAT)
        self.timer.timeout.connect(self.beat)

    def start(self):
        self.last = time.perf_counter()
        self.timer.start()

    def beat(self):
        now = time.perf_counter()
        self.late.append(1000 * (now - self.last) - BEAT)
        self.last = now


def spin(until, seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end and not until():
        QApplication.processEvents()
        time.sleep(0.001)


def opened():
    viewer = napari.Viewer(show=True)
    viewer.window._qt_window.resize(1280, 800)
    viewer.open_sample("napari-fcn", "nuclei")
    _, train = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")
    train.image.value, train.labels.value = viewer.layers["nuclei"], viewer.layers["nuclei labels"]
    return viewer, train


def latency(seconds):
    viewer, train = opened()
    heart = Heart()
    heart.start()
    spin(lambda: False, seconds / 4)
    idle, heart.late = heart.late, []
    train(time_budget=seconds + 120, **SETTINGS)
    spin(lambda: train._live.history.loss, 120)
    heart.late = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:  # somebody looks around meanwhile
        QApplication.processEvents()
        time.sleep(0.001)
    busy = heart.late
    heart.timer.stop()
    train.cancel()
    train.wait(120)
    viewer.close()
    return {
        "idle_ms": percentiles(idle),
        "training_ms": percentiles(busy),
        "beats": len(busy),
        "previews": train._live.preview is not None,
    }


def percentiles(values):
    return {str(p): round(float(np.percentile(values, p)), 1) for p in (50, 95, 99, 100)}


def speed(seconds, repeats):
    sample = samples.load("nuclei")
    found = {"widget": [], "command line": []}
    with tempfile.TemporaryDirectory() as folder:
        for kind, arrays in (("images", sample.train_images), ("labels", sample.train_labels)):
            Path(folder, kind).mkdir()
            np.save(Path(folder, kind, "stack.npy"), np.stack(arrays))
        given = ["--time-budget", str(seconds), "--axes", "TYXC"]
        for name, value in SETTINGS.items():
            given += [f"--{name.replace('_', '-')}", str(value)]
        for number in range(repeats):
            viewer, train = opened()
            train(time_budget=seconds, **SETTINGS)
            history = train.wait(seconds + 300).history
            found["widget"].append(history["steps"] / history["seconds"])
            viewer.close()
            command = [sys.executable, "-m", "napari_fcn", "train", "--images", f"{folder}/images"]
            command += ["--labels", f"{folder}/labels", "--output", f"{folder}/{number}.safetensors", "--json", *given]
            told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            found["command line"].append(told["steps"] / told["seconds"])
    medians = {name: statistics.median(values) for name, values in found.items()}
    return {
        "steps_per_second": {name: round(value, 3) for name, value in medians.items()},
        "all": {name: [round(v, 3) for v in values] for name, values in found.items()},
        "widget / command line": round(medians["widget"] / medians["command line"], 3),
    }


def cycles(count):
    viewer, train = opened()
    process, memory, threads = psutil.Process(), [], []
    for _ in range(count):
        train(steps=1000, zero="background", batch_size=1, patch_size=64)
        spin(lambda: train._live.history.loss, 120)
        train.cancel()
        train.wait(120)
        spin(lambda: False, 0.05)
        memory.append(process.memory_info().rss / 1e6)
        threads.append(process.num_threads())
    viewer.close()
    later = memory[min(9, count - 1) :]
    return {
        "cycles": count,
        "megabytes": [round(memory[i]) for i in sorted({0, min(9, count - 1), count // 2, count - 1})],
        "growth_after_tenth": round(later[-1] - later[0], 1),
        "threads": [threads[min(9, count - 1)], threads[-1]],
        "python_threads": threading.active_count(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=["latency", "speed", "cycles"])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as memory:
        os.environ["NAPARI_FCN_DATA"] = memory  # nothing of the user's is read or written
        document = {}
        if "latency" in arguments.what:
            document["latency"] = latency(arguments.seconds)
        if "speed" in arguments.what:
            document["speed"] = speed(arguments.seconds, arguments.repeats)
        if "cycles" in arguments.what:
            document["cycles"] = cycles(arguments.cycles)
    print(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
