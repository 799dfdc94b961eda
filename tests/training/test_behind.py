"""A pixel head with a network behind it: when the network joins, and what is left whenever training ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import napari_fcn as fcn
from napari_fcn.api import prepare_training
from napari_fcn.errors import InputError
from napari_fcn.training import BehindTraining, Event, Finished, Noted, Started, Step, Validated, stroke_head
from napari_fcn.training.pixel_fit import choose_pixels

QUICK = {
    "transfer": "head",
    "architecture": "linknet",
    "zero": "unlabelled",
    "batch_size": 2,
    "patch_size": 64,
    "device": "cpu",
    "augment": "flips",
}


def picture() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A grey image with four bright discs, strokes on it, and the truth."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    truth = ((rows % 32 - 16) ** 2 + (columns % 32 - 16) ** 2 < 70).astype(np.uint8) + 1
    image = (truth * 60 + random.normal(0, 15, truth.shape)).clip(0, 255).astype(np.uint8)
    strokes = np.zeros_like(truth)
    for row, column in ((11, 12), (11, 44), (43, 12), (43, 44)):
        for below in (0, 6):
            strokes[row + below : row + below + 3, column : column + 8] = 2
    for row in (0, 30, 61):
        strokes[row : row + 3, 4:28] = strokes[row : row + 3, 36:60] = 1
    return image, strokes, truth


def trained(events: list[Event] | None = None, **options: Any) -> fcn.Segmenter:
    image, strokes, _ = picture()
    on_event = None if events is None else events.append
    return fcn.train(image, strokes, on_event=on_event, **{**QUICK, "steps": 4, **options})


def misled(targets: Any, classes: int, random: np.random.Generator, most: int = 6000) -> Any:
    """Pixels of painted places, with classes by lot: a head that is fitted to these knows nothing."""
    chosen = choose_pixels(targets, classes, random, most)
    for target in chosen:
        there = target >= 0
        target[there] = random.integers(0, classes, int(there.sum()))
    return chosen


@pytest.fixture(scope="module")
def joined() -> tuple[fcn.Segmenter, list[Event]]:
    """What becomes of it when the head knows nothing."""
    events: list[Event] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stroke_head, "choose_pixels", misled)
        return trained(events, steps=40, rate=0.005), events


@pytest.mark.slow
def test_a_good_head_stays() -> None:
    image, _, truth = picture()
    events: list[Event] = []
    segmenter = trained(events)
    assert segmenter.model.architecture == "pixel"
    assert fcn.evaluate(segmenter.predict(image), truth).mean_iou > 0.8
    assert isinstance(events[0], Started)
    assert isinstance(events[1], Step)
    assert isinstance(events[2], Validated)
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4]
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.best_step == 1
    assert end.summary.startswith("The pixel head stays alone")
    assert segmenter.history["behind"] == {"taken": False, "why": end.summary}


@pytest.mark.slow
def test_a_network_joins_a_head_that_knows_nothing(joined: tuple[fcn.Segmenter, list[Event]]) -> None:
    segmenter, events = joined
    end = events[-1]
    assert isinstance(end, Finished)
    assert end.best_step > 1
    assert segmenter.model.architecture == "linknet"
    assert hasattr(segmenter.network, "beside")
    assert segmenter.history["behind"]["taken"]
    assert "joined" in end.summary
    assert end.start is not None
    assert end.best is not None
    assert end.best.mean_iou > end.start.mean_iou


@pytest.mark.slow
def test_both_together_are_exported(joined: tuple[fcn.Segmenter, list[Event]], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    from napari_fcn.export.onnx_file import export_onnx

    assert export_onnx(joined[0], tmp_path / "both.onnx") > 0.99


@pytest.mark.slow
def test_both_together_are_saved_and_predict_the_same(
    joined: tuple[fcn.Segmenter, list[Event]], tmp_path: Path
) -> None:
    segmenter, _ = joined
    image, strokes, _ = picture()
    again = fcn.Segmenter.load(segmenter.save(tmp_path / "both.safetensors"))
    np.testing.assert_array_equal(again.predict(image), segmenter.predict(image))
    assert "beside a pixel head" in again.describe()
    # What was learnt goes on in a network of its own.
    further = fcn.train(image, strokes, init=again, **{**QUICK, "steps": 1, "transfer": "finetune"})
    assert not hasattr(further.network, "beside")


LITTLE = {**QUICK, "steps": 4, "seed": 1}


def _average() -> dict[str, torch.Tensor]:
    image, strokes, _ = picture()
    training = prepare_training(image, strokes, **LITTLE)
    assert isinstance(training, BehindTraining)
    for _ in training.run():
        pass
    return training.learner.average.state_dict()


@pytest.fixture(scope="module")
def average() -> dict[str, torch.Tensor]:
    """Of a short training that nobody disturbed."""
    return _average()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights(average: dict[str, torch.Tensor]) -> None:
    again = _average()
    assert all(torch.equal(average[name], again[name]) for name in average)


@pytest.mark.slow
def test_what_is_held_back_is_never_learnt_from(monkeypatch: pytest.MonkeyPatch) -> None:
    image, strokes, _ = picture()
    seen: list[list[np.ndarray[Any, Any]]] = []

    def look(targets: Any, *more: Any) -> Any:
        seen.append([target.copy() for target in targets])
        return choose_pixels(targets, *more)

    monkeypatch.setattr(stroke_head, "choose_pixels", look)
    training = prepare_training(image, strokes, **QUICK, steps=2)
    held = training.held_out[0] >= 0
    for _ in training.run():
        pass
    assert held.any()
    assert (training.sampler.targets[0][held] == -1).all()
    handed_out, teacher = seen
    assert (teacher[0][held] == -1).all()
    assert (handed_out[0][held] >= 0).all()
    for index in range(2):
        assert (training.sampler.targets[0] == index).any()
        assert (training.held_out[0] == index).any()


@pytest.mark.slow
def test_stopping_within_a_step_leaves_the_head() -> None:
    image, strokes, truth = picture()
    training = prepare_training(image, strokes, **QUICK, steps=100)
    run = training.run()
    assert [type(next(run)) for _ in range(2)] == [Started, Step]
    run.close()
    segmenter = training.segmenter()
    assert segmenter.model.architecture == "pixel"
    assert fcn.evaluate(segmenter.predict(image), truth).mean_iou > 0.8
    assert training.result is not None
    assert training.result.reason == "cancelled"
    assert training.result.steps == 1


@pytest.mark.slow
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(tmp_path: Path, average: dict[str, torch.Tensor]) -> None:
    image, strokes, _ = picture()
    stopped = prepare_training(image, strokes, **LITTLE, run_dir=tmp_path / "run")
    for event in (run := stopped.run()):
        if isinstance(event, Step) and event.step == 3:
            run.close()
    again = prepare_training(image, strokes, resume=tmp_path / "run")
    for _ in again.run():
        pass
    found = again.learner.average.state_dict()
    assert all(torch.equal(average[name], found[name]) for name in average)


def test_a_single_stroke_of_a_class_is_said_and_the_head_stays() -> None:
    image, strokes, truth = picture()
    strokes[strokes == 1] = 0
    strokes[0:3, 4:60] = 1
    events: list[Event] = []
    segmenter = fcn.train(image, strokes, on_event=events.append, class_names={1: "ground"}, **QUICK, steps=5)
    assert segmenter.model.architecture == "pixel"
    assert fcn.evaluate(segmenter.predict(image), truth).mean_iou > 0.6
    (said,) = [event.text for event in events if isinstance(event, Noted)]
    assert said == "Comparing takes 5 strokes of each class; there are fewer of ground, so the head stays."
    assert [event.step for event in events if isinstance(event, Step)] == [1]
    assert segmenter.history["behind"]["taken"] is False


def test_something_must_be_held_back() -> None:
    with pytest.raises(InputError, match="`validation` must be above 0"):
        trained(validation=0.0)
