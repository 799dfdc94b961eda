"""Stopped, killed, gone on with: the same weights as a training that nobody disturbed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import napari_fcn as fcn
from napari_fcn.errors import InputError, OutputError
from napari_fcn.training import Finished, Started, Step, Validated

KILLED = """
import os, sys
import torch
import napari_fcn.training.saving as saving
from conftest import QUICK, picture
from napari_fcn.api import prepare_training
torch.set_num_threads(1)
saving.LEAST_SECONDS, saving.SHARE = 0.0, 1.0
image, labels = picture()
for line in sys.stdin:
    folder, how, transfer = line.split()
    child = os.fork()  # so that torch is imported once, not for each kill
    if not child:
        settings = {**QUICK, "steps": 8, "transfer": transfer, "dropout": 0.2}
        training = prepare_training(image, labels, **settings, **{how: folder})
        for event in training.run():
            print(type(event).__name__, flush=True)
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


def weights(segmenter_or_training) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in segmenter_or_training.network.parameters()])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"transfer": "frozen"},
        {"optimizer": "sgd"},
        {"unfreeze": 0.5},
        {"dropout": 0.3},
        {"encoder": "mit_b0", "weights": "none"},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "usual",
)
def test_going_on_is_the_same_as_never_having_stopped(prepared, tmp_path: Path, options) -> None:
    options = {"steps": 6, **options}
    whole = prepared(**options)
    list(whole.run())
    first = prepared(**options, run_dir=tmp_path / "run")
    for event in first.run():
        if isinstance(event, Step) and event.step == 3:
            break
    second = prepared(**options, resume=tmp_path / "run")
    events = list(second.run())
    assert isinstance(events[0], Started)
    assert events[0].resumed == 3
    assert [event.step for event in events if isinstance(event, Step)] == [4, 5, 6]
    assert torch.equal(weights(second), weights(whole))
    assert torch.equal(weights(second.segmenter()), weights(whole.segmenter()))
    assert second.result.best.to_json() == whole.result.best.to_json()
    saved = fcn.Segmenter.load(tmp_path / "run" / "best.safetensors")
    assert torch.equal(weights(saved), weights(whole.segmenter()))


def test_the_folder_tells_the_whole_story(prepared, tmp_path: Path) -> None:
    first = prepared(steps=5, run_dir=tmp_path / "run")
    for event in first.run():
        if isinstance(event, Step) and event.step == 2:
            break
    list(prepared(steps=5, resume=tmp_path / "run").run())
    lines = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if line["event"] == "step"] == [1, 2, 3, 4, 5]
    assert lines[-1]["event"] == "finished"
    scored = [line for line in lines if line["event"] == "validated"]
    assert {row["name"] for row in scored[-1]["scores"]["classes"]} == {"background", "class 1"}
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["steps"] == 5


def test_settings_come_from_the_folder(prepared, discs, tmp_path: Path) -> None:
    image, labels = discs
    first = prepared(steps=3, transfer="frozen", run_dir=tmp_path / "run")
    first.run().close()
    second = fcn.prepare_training(image, labels, resume=tmp_path / "run")
    assert second.config.to_json() == first.config.to_json()
    list(second.run())
    assert second.result.steps == 3


def test_other_images_or_settings_are_refused(prepared, discs, tmp_path: Path) -> None:
    first = prepared(run_dir=tmp_path / "run")
    for event in first.run():
        if isinstance(event, Step):
            break
    image, labels = discs
    with pytest.raises(InputError, match="its images were others"):
        fcn.prepare_training(255 - image, labels, resume=tmp_path / "run")
    with pytest.raises(InputError, match="its settings were others"):
        prepared(rate=0.5, resume=tmp_path / "run")
    with pytest.raises(OutputError, match="--resume"):
        prepared(run_dir=tmp_path / "run")
    with pytest.raises(InputError):
        prepared(resume=tmp_path / "elsewhere")
    list(prepared(resume=tmp_path / "run").run())  # and nothing was lost by all this


def test_a_full_disk_costs_the_run_folder_and_nothing_else(prepared, tmp_path: Path, monkeypatch) -> None:
    from napari_fcn.training import Noted, RunFolder

    training = prepared(steps=3, run_dir=tmp_path / "run")
    record, lines = RunFolder.record, []

    def full(self, event) -> None:
        lines.append(event)
        if len(lines) > 3:
            raise OutputError("'run' cannot be written: the disk is full.")
        record(self, event)

    monkeypatch.setattr(RunFolder, "record", full)
    events = list(training.run())
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3]
    told = [event.text for event in events if isinstance(event, Noted)]
    assert told == [
        "'run' cannot be written: the disk is full; training goes on, but the run folder stays as it is now."
    ]
    assert training.result.reason == "completed"
    assert len(lines) == 4


def test_a_run_that_has_ended_ends_again(prepared, tmp_path: Path) -> None:
    first = prepared(run_dir=tmp_path / "run")
    list(first.run())
    again = prepared(resume=tmp_path / "run")
    events = list(again.run())
    assert isinstance(events[-1], Finished)
    assert not any(isinstance(event, Step) for event in events)
    assert torch.equal(weights(again.segmenter()), weights(first.segmenter()))
    assert sum(isinstance(event, Validated) for event in events) <= 1


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killing_loses_nothing(tmp_path: Path) -> None:
    """SIGKILL twice, each time going on: the same weights in the end. The benchmark kills more often."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )

    def start(folder: Path, how: str, transfer: str) -> int:
        process.stdin.write(f"{folder} {how} {transfer}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    def rest() -> list[str]:
        return list(iter(process.stdout.readline, "ended\n"))

    try:
        for transfer in ("finetune", "frozen"):
            whole, killed = tmp_path / f"{transfer}-whole", tmp_path / f"{transfer}-killed"
            start(whole, "run_dir", transfer)
            assert rest()[-1] == "Finished\n"
            for kill, events in enumerate((3, 5)):
                child = start(killed, "resume" if kill else "run_dir", transfer)
                for _ in range(events):
                    assert process.stdout.readline() != "ended\n"
                time.sleep(0.02 * events)
                os.kill(child, signal.SIGKILL)
                rest()
            start(killed, "resume", transfer)
            assert rest()[-1] == "Finished\n"
            one, other = (fcn.Segmenter.load(folder / "best.safetensors") for folder in (whole, killed))
            assert torch.equal(weights(one), weights(other))
    finally:
        process.kill()
        process.communicate()
