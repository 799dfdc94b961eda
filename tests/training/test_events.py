"""Events go to JSON and to files of lines and come back the same, whatever is in them and wherever a file was cut."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.errors import InputError, OutputError
from napari_fcn.metrics import Scores
from napari_fcn.training.event_file import EventFile
from napari_fcn.training.events import Finished, Noted, Started, Step, Validated, from_json, to_json
from napari_fcn.training.validation import of_true_classes

NOT_HELD_OUT = of_true_classes(
    Scores.from_confusion(np.array([[8, 0, 2], [0, 5, 0], [0, 0, 0]]), (0, 3, 7), {3: "Zelle", 7: "dünn"})
)
"""Nothing of the last class was held out: it has no IoU, though its confusion would give 0."""

numbers = st.floats(allow_nan=True, allow_infinity=True)
counts = st.integers(0, 2**40)
texts = st.text(max_size=30)


@st.composite
def scores(draw):
    classes = draw(st.integers(1, 4))
    matrix = draw(st.lists(st.lists(counts, min_size=classes, max_size=classes), min_size=classes, max_size=classes))
    values = sorted(draw(st.sets(st.integers(-5, 300), min_size=classes, max_size=classes)))
    whole = Scores.from_confusion(np.array(matrix, np.int64), values, {values[0]: draw(texts)})
    return draw(st.sampled_from([whole, of_true_classes(whole)]))


maybe_scores = st.none() | scores()
events = st.one_of(
    st.builds(
        Started,
        device=texts,
        precision=texts,
        batch_size=counts,
        patch_size=counts,
        steps=st.none() | counts,
        seconds=st.none() | st.floats(0, 1e6),
        trainable=counts,
        parameters=counts,
        notes=st.lists(texts, max_size=3).map(tuple),
        resumed=counts,
        majority=maybe_scores,
    ),
    st.builds(Step, step=counts, loss=numbers, rate=numbers, seconds=numbers, progress=numbers),
    st.builds(Validated, step=counts, seconds=numbers, scores=scores(), best=st.booleans()),
    st.builds(Noted, seconds=numbers, text=texts),
    st.builds(
        Finished,
        reason=st.sampled_from(["completed", "cancelled", "early"]),
        steps=counts,
        seconds=numbers,
        best_step=counts,
        start=maybe_scores,
        best=maybe_scores,
        summary=texts,
        majority=maybe_scores,
    ),
)


@given(events)
def test_an_event_comes_back_from_strict_json(event) -> None:
    text = json.dumps(to_json(event), allow_nan=False)
    again = from_json(json.loads(text))
    assert type(again) is type(event)
    assert repr(again) == repr(event)  # as ==, where NaN is like NaN
    assert to_json(again) == to_json(event)


def test_json_is_what_it_looks_like() -> None:
    assert to_json(Step(3, math.nan, 0.002, 1.5, math.inf)) == {
        "event": "step",
        "step": 3,
        "loss": None,
        "rate": 0.002,
        "seconds": 1.5,
        "progress": "inf",
    }
    document = to_json(Validated(3, 1.5, NOT_HELD_OUT, True))
    assert document["event"] == "validated"
    assert document["scores"] == NOT_HELD_OUT.to_json()
    assert document["scores"]["classes"][2]["iou"] is None


def test_a_class_that_was_not_held_out_has_no_score_afterwards_either() -> None:
    again = from_json(to_json(Validated(1, 2.0, NOT_HELD_OUT, False)))
    assert again.scores.mean_iou == pytest.approx((0.8 + 1) / 2)
    assert math.isnan(again.scores.classes[2].iou)
    assert again.scores.confusion == NOT_HELD_OUT.confusion


def test_what_an_older_version_did_not_write_has_its_usual_value() -> None:
    document = to_json(Started("cpu", "float32", 4, 64, 10, None, 5, 9))
    del document["resumed"], document["majority"]
    assert from_json(document) == Started("cpu", "float32", 4, 64, 10, None, 5, 9)


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, "one of started, step, validated, measured, noted, finished. Got None"),
        ([1], "one of started"),
        ({"event": "stopped"}, "one of started.*'stopped'"),
        ({"event": ["step"]}, "one of started"),
        ({"event": "noted", "seconds": 1.0}, "'text' is missing"),
        ({"event": "noted", "seconds": 1.0, "text": "a", "colour": 1}, "has no 'colour'.*another version"),
        ({"event": "noted", "seconds": "1", "text": "a"}, "'1' is no number"),
        ({"event": "noted", "seconds": True, "text": "a"}, "True is no number"),
        ({"event": "noted", "seconds": 1.0, "text": None}, "None is no str"),
        ({"event": "step", "step": 1.5, "loss": 1, "rate": 1, "seconds": 1, "progress": 1}, "1.5 is no int"),
        ({"event": "validated", "step": 1, "seconds": 1, "best": True, "scores": {}}, "cannot be read"),
        ({"event": "validated", "step": 1, "seconds": 1, "best": True, "scores": None}, "cannot be read"),
        ({**to_json(Finished("early", 1, 1.0, 1, None, None, "")), "reason": "tired"}, "'tired' is none of completed"),
    ],
)
def test_what_is_no_event_is_one_sentence(document, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence) as caught:
        from_json(document)
    assert "\n" not in str(caught.value)


STORY = [
    Started("cpu", "float32", 2, 64, 3, None, 5, 9, notes=("a sentence", "another")),
    Validated(0, 0.5, NOT_HELD_OUT, False),
    Step(1, 0.75, 0.001, 1.0, 0.25),
    Noted(1.5, "Der Stapel wurde halbiert: 1 für jeden."),
    Step(2, math.nan, 0.002, 2.0, 0.5),
    Validated(2, 2.5, NOT_HELD_OUT, True),
    Step(3, 0.5, 0.001, 3.0, 1.0),
    Finished("completed", 3, 3.5, 2, NOT_HELD_OUT, NOT_HELD_OUT, "It got better."),
]


def written(events) -> bytes:
    return b"".join(json.dumps(to_json(event)).encode() + b"\n" for event in events)


def same(events, others) -> bool:
    return [to_json(event) for event in events] == [to_json(event) for event in others]


@pytest.fixture
def file(tmp_path):
    file = EventFile(tmp_path / "events.jsonl")
    yield file
    file.close()


def test_each_line_is_there_at_once(file) -> None:
    for number, event in enumerate(STORY, start=1):
        file.add(event)
        assert file.path.read_bytes() == written(STORY[:number])
    assert same(file.read(), STORY)


def test_a_file_that_is_not_there_yet_is_empty(file) -> None:
    assert file.read() == []
    assert file.rewind(5) == []


@given(st.integers(0, len(written(STORY))))
def test_wherever_a_file_was_cut_whole_lines_are_left(tmp_path_factory, length: int) -> None:
    """An event is lost only when a byte of it is; and what is added afterwards is whole."""
    path = tmp_path_factory.mktemp("cut") / "events.jsonl"
    path.write_bytes(written(STORY)[:length])
    whole = sum(len(written(STORY[: n + 1])) - 1 <= length for n in range(len(STORY)))  # the end of line may lack
    file = EventFile(path)
    assert same(file.read(), STORY[:whole])
    assert path.stat().st_size == length  # reading changes nothing
    file.add(STORY[3])
    file.close()
    assert path.read_bytes() == written([*STORY[:whole], STORY[3]])


@pytest.mark.parametrize(
    "garbage", [b"{", b"\0" * 4096, b"\xff\xfe", b"[1]\n", b"null", b"\n", b"{}\n", b"[" * 100_000], ids=range(8)
)
def test_garbage_in_the_last_line_is_left_out(file, garbage: bytes) -> None:
    file.path.write_bytes(written(STORY) + garbage)
    assert same(file.read(), STORY)
    file.add(STORY[-1])
    assert file.path.read_bytes() == written([*STORY, STORY[-1]])


def test_garbage_elsewhere_is_one_sentence(file) -> None:
    file.path.write_bytes(written(STORY[:2]) + b"{\n" + written(STORY[2:]))
    for call in (file.read, lambda: file.rewind(1), lambda: file.add(STORY[2])):
        with pytest.raises(InputError, match=r"Line 3 of '.*events\.jsonl' is no event"):
            call()


@pytest.mark.parametrize(
    ("step", "kept"),
    [(-1, []), (0, [0, 1]), (1, [0, 1, 2]), (2, range(6)), (3, range(7)), (9, range(7))],
)
@pytest.mark.parametrize("tail", [b"", b'{"event": "st'])
def test_going_back_keeps_what_led_there(file, step: int, kept, tail: bytes) -> None:
    """What was noted after the step will be noted again, and a training that goes on is not finished."""
    file.path.write_bytes(written(STORY) + tail)
    expected = [STORY[number] for number in kept]
    assert same(file.rewind(step), expected)
    assert file.path.read_bytes() == written(expected)
    file.add(STORY[6])
    assert same(file.read(), [*expected, STORY[6]])


def test_a_training_that_goes_on_twice_goes_back_twice(file) -> None:
    resumed = Started("cpu", "float32", 2, 64, 3, None, 5, 9, resumed=2)
    for event in [*STORY[:6], resumed, STORY[6]]:
        file.add(event)
    assert same(file.rewind(2), STORY[:6])
    for event in [resumed, *STORY[6:]]:
        file.add(event)
    assert same(file.rewind(3), [*STORY[:6], resumed, STORY[6]])


def test_a_full_disk_leaves_the_file_as_it_was(file, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a line that went through is taken back."""
    import errno
    import os

    for event in STORY[:3]:
        file.add(event)
    stream = file._open()

    class Full:
        def __init__(self) -> None:
            self.room = 10

        def write(self, data: bytes) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            part, self.room = data[: self.room], 0
            return stream.write(part)

        def __getattr__(self, name: str):
            return getattr(stream, name)

    monkeypatch.setattr(file, "_stream", Full())
    with pytest.raises(OutputError, match=r"events\.jsonl' cannot be written: No space left on device\."):
        file.add(STORY[3])
    assert file.path.read_bytes() == written(STORY[:3])
    monkeypatch.setattr(file, "_stream", stream)
    file.add(STORY[4])
    assert file.path.read_bytes() == written([*STORY[:3], STORY[4]])
