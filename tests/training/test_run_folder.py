"""The run folder: whole after a kill at any moment, one writer at a time, and nothing replaced unasked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import napari_fcn as fcn
from napari_fcn.errors import InputError, OutputError, SegmenterFileError
from napari_fcn.metrics import Scores
from napari_fcn.training import Finished, Started, Step, Validated
from napari_fcn.training.run_folder import RunFolder

CONFIG = {"settings": {"steps": 4, "rate": 0.002, "ignore": (3, 4)}, "paths": {"images": "Bilder/Zellkörper"}}
SCORES = Scores.from_confusion(np.array([[6, 2, 0], [0, 2, 0], [0, 0, 0]]), (0, 1, 2), {0: "background", 1: "cell"})
"""IoU 0.75 and 0.5 by hand, and a class that is nowhere."""


def step(number: int) -> Step:
    return Step(number, 1 / number, 0.001 * number, number * 0.5, number / 10)


def steps_of(folder: RunFolder) -> list[int]:
    return [event.step for event in folder.events() if isinstance(event, Step)]


@pytest.fixture
def folder(tmp_path: Path):
    with RunFolder.create(tmp_path / "run", CONFIG) as folder:
        yield folder


def test_settings_are_kept_for_people_and_programs(folder: RunFolder) -> None:
    text = (folder.path / "config.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "settings": {\n    "steps": 4,\n    "rate": 0.002,')
    assert "Zellkörper" in text
    assert text.endswith("}\n")
    assert folder.config == RunFolder.open(folder.path).config == json.loads(json.dumps(CONFIG))


def test_a_path_that_is_no_unicode_is_kept(tmp_path: Path) -> None:
    config = {"images": os.fsdecode(b"caf\xe9")}
    assert RunFolder.create(tmp_path / "run", config).config == config


def test_an_empty_folder_and_missing_parents_will_do(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    RunFolder.create(tmp_path / "empty", {})
    RunFolder.create(str(tmp_path / "a" / "b"), {})
    assert (tmp_path / "a" / "b" / "config.json").is_file()


def test_a_folder_in_use_is_refused_and_nothing_is_touched(folder: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=rf"holds a run already; go on with it \(--resume {folder.path}\)"):
        RunFolder.create(folder.path, {})
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").touch()
    with pytest.raises(OutputError, match="is not empty; choose another folder"):
        RunFolder.create(tmp_path / "full", {})
    with pytest.raises(OutputError, match="is a file, where the folder of a run"):
        RunFolder.create(tmp_path / "full" / "thesis.txt", {})
    assert RunFolder.open(folder.path).config == folder.config
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_where_there_is_no_run_it_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(InputError, match=r"There is no run in '.*'; a run's folder has a file 'config\.json'"):
            RunFolder.open(path)
    for text, sentence in (("{", "is no JSON"), ("[]", "holds no settings, but a list"), ("\0", "is no JSON")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match=sentence) as caught:
            RunFolder.open(tmp_path)
        assert "\n" not in str(caught.value)


def test_events_are_there_at_once(folder: RunFolder) -> None:
    folder.record(step(1))
    folder.record(Validated(1, 0.6, SCORES, True))
    lines = (folder.path / "events.jsonl").read_text().splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["step", "validated"]
    assert steps_of(RunFolder.open(folder.path)) == [1]  # others may look on


@given(data=st.data())
def test_wherever_the_events_were_cut_the_run_goes_on(tmp_path_factory, data) -> None:
    path = tmp_path_factory.mktemp("runs") / "run"
    with RunFolder.create(path, CONFIG) as run:
        run.record(Started("cpu", "float32", 2, 64, 10, None, 5, 9))
        for number in range(1, 6):
            run.record(step(number))
    whole = (path / "events.jsonl").read_bytes()
    (path / "events.jsonl").write_bytes(whole[: data.draw(st.integers(0, len(whole)))])
    checkpoint = data.draw(st.integers(0, 6))
    with RunFolder.open(path) as run:
        there = steps_of(run)
        kept = run.rewind(checkpoint)
        expected = [number for number in there if number <= checkpoint]
        assert [event.step for event in kept if isinstance(event, Step)] == expected
        run.record(step(checkpoint + 1))
    assert steps_of(RunFolder.open(path)) == [*expected, checkpoint + 1]


def test_a_checkpoint_comes_back_and_is_replaced(folder: RunFolder) -> None:
    assert folder.load_checkpoint() is None
    for number in (1, 2):
        folder.save_checkpoint({"weight": torch.full((3, 2), float(number))}, {"step": number})
        tensors, document = RunFolder.open(folder.path).load_checkpoint()
        assert document == {"step": number}
        assert torch.equal(tensors["weight"], torch.full((3, 2), float(number)))


@pytest.mark.parametrize("part", [0.0, 0.3, 0.999, 1.0])
@pytest.mark.parametrize("name", ["checkpoint.safetensors", "best.safetensors", "config.json", "events.jsonl"])
def test_what_was_half_written_is_cleared_away_and_changes_nothing(folder: RunFolder, name: str, part: float) -> None:
    """As `atomic` leaves it behind when the process is killed before the new file takes the old one's place."""
    folder.record(step(1))
    folder.save_checkpoint({"weight": torch.ones(100)}, {"step": 1})
    folder.close()
    before = {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()}
    stem, suffix = name.split(".")
    leftover = folder.path / f".{stem}.0123abcd.partial.{suffix}"
    new = (folder.path / "checkpoint.safetensors").read_bytes()
    leftover.write_bytes(new[: int(part * len(new))])
    again = RunFolder.open(folder.path)
    assert {path.name: path.read_bytes() for path in folder.path.iterdir() if path.is_file()} == before
    assert again.load_checkpoint()[1] == {"step": 1}
    assert steps_of(again) == [1]


def test_a_folder_that_was_killed_before_its_settings_were_there_can_be_made_again(tmp_path: Path) -> None:
    path = tmp_path / "run"
    path.mkdir()
    (path / ".config.0123abcd.partial.json").write_text('{"st')
    with pytest.raises(InputError, match="There is no run"):
        RunFolder.open(path)
    RunFolder.create(path, CONFIG)
    RunFolder.open(path)
    assert [entry.name for entry in path.iterdir() if "partial" in entry.name] == []


def test_a_damaged_checkpoint_is_said(folder: RunFolder) -> None:
    (folder.path / "checkpoint.safetensors").write_bytes(b"nonsense")
    with pytest.raises(SegmenterFileError, match="damaged or no checkpoint"):
        folder.load_checkpoint()


def test_the_best_segmenter_is_kept_and_replaced(folder: RunFolder) -> None:
    image = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    labels = (image > 128).astype(np.uint8)
    for rate in (0.001, 0.002):
        segmenter = fcn.train(image, labels, steps=1, rate=rate, batch_size=1, patch_size=64, device="cpu")
        path = folder.save_best(segmenter)
        assert path == folder.path / "best.safetensors"
        assert fcn.Segmenter.load(path).training["rate"] == rate


def test_two_trainings_do_not_write_to_one_folder(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("napari_fcn.training.run_folder.PATIENCE", 0.0)
    folder.record(step(1))
    leftover = folder.path / ".checkpoint.0123abcd.partial.safetensors"
    leftover.touch()
    other = RunFolder.open(folder.path)
    assert leftover.exists()  # it is being written
    assert steps_of(other) == [1]
    for write in (
        lambda: other.record(step(2)),
        lambda: other.rewind(0),
        lambda: other.save_checkpoint({}, {}),
        lambda: other.save_best(None),
    ):
        with pytest.raises(InputError, match=r"Another training writes to '.*run' at the moment; stop it"):
            write()
    folder.save_checkpoint({}, {"step": 1})  # which does not end its turn
    with pytest.raises(InputError, match="Another training"):
        other.record(step(2))
    folder.close()
    other.record(step(2))
    other.close()
    folder.record(step(3))
    assert steps_of(folder) == [1, 2, 3]


def test_going_back_does_not_keep_others_out(folder: RunFolder) -> None:
    """A training that turns out to be another one must not block the folder."""
    folder.record(step(1))
    folder.close()
    opened = RunFolder.open(folder.path)
    opened.rewind(0)
    opened.save_checkpoint({}, {})
    folder.record(step(1))


def test_a_folder_that_nobody_holds_any_more_is_free(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", {})
    run.record(step(1))
    del run
    with RunFolder.open(tmp_path / "run") as run:
        run.record(step(2))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_to_look_at_only(folder: RunFolder) -> None:
    folder.record(step(1))
    folder.save_checkpoint({}, {"step": 1})
    folder.close()
    (folder.path / ".lock").unlink()
    folder.path.chmod(0o555)
    try:
        run = RunFolder.open(folder.path)
        assert steps_of(run) == [1]
        assert run.load_checkpoint() == ({}, {"step": 1})
        with pytest.raises(OutputError, match="cannot be written: Permission denied"):
            run.record(step(2))
    finally:
        folder.path.chmod(0o755)


def test_tensorboard_shows_loss_rate_and_scores(folder: RunFolder) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder.record(Validated(0, 0.1, SCORES, False))
    for number in (1, 2, 3):
        folder.record(step(number))
    folder.record(Step(4, float("nan"), 0.004, 2.0, 0.4))
    folder.close()
    with RunFolder.open(folder.path) as again:
        again.rewind(2)
        again.record(Step(3, 9.0, 0.5, 1.5, 0.3))
        again.record(Finished("completed", 3, 1.5, 3, None, None, ""))
    board = EventAccumulator(str(folder.path / "tensorboard"))
    board.Reload()
    assert set(board.Tags()["scalars"]) == {"loss", "rate", "mean IoU", "IoU/background", "IoU/cell"}

    def curve(name: str) -> list[tuple[int, float]]:
        return [(point.step, round(point.value, 6)) for point in board.Scalars(name)]

    assert curve("loss") == [(1, 1.0), (2, 0.5), (3, 9.0)]  # what was gone back from is not shown
    assert curve("rate") == [(1, 0.001), (2, 0.002), (3, 0.5)]
    assert curve("mean IoU") == [(0, 0.625)]
    assert curve("IoU/background") == [(0, 0.75)]
    assert curve("IoU/cell") == [(0, 0.5)]


def test_without_tensorboard_everything_else_is_written(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)  # importing it raises ImportError
    folder.record(step(1))
    folder.record(Validated(1, 0.1, SCORES, False))
    assert len(folder.events()) == 2
    assert not (folder.path / "tensorboard").exists()


WRITER = """
import os, sys
import torch
from napari_fcn.training import Step
from napari_fcn.training.run_folder import RunFolder

torch.set_num_threads(1)
parent = os.getpid()
for path in iter(sys.stdin.readline, ""):
    child = os.fork()  # so that torch is imported once, not for each kill
    if not child:
        run = RunFolder.open(path.strip())
        found = run.load_checkpoint()
        step = found[1]["step"] if found else 0
        run.rewind(step)
        while os.getppid() == parent:
            step += 1
            run.record(Step(step, 0.5, 0.001, float(step), 0.5))
            run.save_checkpoint({str(n): torch.full((500, 200), step) for n in range(8)}, {"step": step})
        os._exit(0)
    print(child, flush=True)
    os.waitpid(child, 0)
    print("ended", flush=True)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_killing_never_leaves_half_a_checkpoint(tmp_path: Path) -> None:
    """Ten times while a process does nothing but write: checkpoint and events are whole and go together."""
    path = tmp_path / "run"
    RunFolder.create(path, CONFIG)
    random = np.random.default_rng(0)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    last = 0
    try:
        for _ in range(10):
            process.stdin.write(f"{path}\n")
            process.stdin.flush()
            child = int(process.stdout.readline())
            deadline = time.monotonic() + 120
            while not (found := RunFolder(path).load_checkpoint()) or found[1]["step"] <= last:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            time.sleep(random.uniform(0, 0.1))
            os.kill(child, signal.SIGKILL)
            assert process.stdout.readline() == "ended\n"
            run = RunFolder.open(path)
            tensors, document = run.load_checkpoint()
            step = document["step"]
            assert step > last
            assert len(tensors) == 8
            assert all((tensor == step).all() for tensor in tensors.values())
            assert steps_of(run)[:step] == list(range(1, step + 1))
            assert len(steps_of(run)) <= step + 1  # no more than what was done since
            assert not list(path.glob("*partial*"))
            last = step
    finally:
        process.kill()  # its child, if there still is one, ends by itself
        process.communicate()
