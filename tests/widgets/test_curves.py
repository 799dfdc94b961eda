"""What the curves know and draw."""

from dataclasses import replace

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_fcn.config import DataConfig
from napari_fcn.data.examples import prepare
from napari_fcn.metrics import score_pairs
from napari_fcn.training.events import Noted, Started, Step, Validated
from napari_fcn.widgets.curves import Curves
from napari_fcn.widgets.history import MOST_POINTS, History, Moment

STARTED = Started("cpu", "float32", 4, 192, None, 60.0, 5, 10, ("One class has few pixels.",))


def scored(step: int) -> Validated:
    return Validated(
        step, 1.0, score_pairs([([[0, 1, 2]], [[0, 1, 1]])], names={0: "back", 1: "cell", 2: "dirt"}), True
    )


def test_a_long_training_is_averaged_to_some_hundred_points() -> None:
    history, losses = History(), np.random.default_rng(0).random(20_000)
    for number, loss in enumerate(losses):
        history.add(Step(number + 1, float(loss), 0.1, 1.0, (number + 1) / losses.size))
    assert MOST_POINTS / 2 <= len(history.loss) <= MOST_POINTS
    times = [when for when, _ in history.loss]
    assert times == sorted(times)
    assert abs(np.mean([value for _, value in history.loss]) - losses.mean()) < 0.005


def test_scores_stand_where_training_was() -> None:
    history = History()
    history.add(scored(0))
    history.add(Step(1, 0.7, 0.1, 1.0, 0.5))
    history.add(scored(1))
    assert [when for when, _ in history.scores] == [0, 0.5]
    assert history.scores[1][1]["cell"] == 0.5


def test_the_moment_says_step_speed_device_and_what_is_left() -> None:
    moment = Moment().after(STARTED).after(Noted(1, "Memory was full."))
    for step in range(1, 11):
        moment = moment.after(Step(step, 0.5, 0.1, step / 4, step / 100))
    lines = moment.text.splitlines()
    assert lines[0] == "Step 10, loss 0.500, 22 s left"
    assert lines[1] == "4 patches of 192 x 192 a step, 4.0 steps/s, on cpu"
    assert lines[2:] == ["One class has few pixels.", "Memory was full."]


@pytest.mark.parametrize(
    ("calibrated", "said"),
    [
        (True, "Brightness and contrast are taken as they are."),
        (False, "Brightness and contrast of each image are evened out."),
    ],
)
def test_what_was_found_about_brightness_is_said_in_plain_words(calibrated: bool, said: str) -> None:
    rng = np.random.default_rng(0)
    pictures, labels = [], []
    # Where values mean the same everywhere, an image of one class alone is told only by those of all.
    for share in (0, 64, 20, 44, 12, 52) if calibrated else (8, 56, 20, 44, 12, 52):
        label = (np.arange(64) < share) + np.ones((64, 1), np.uint8)
        value = 100 + 40 * label + 4 * rng.standard_normal(label.shape)
        pictures.append(value if calibrated else value * rng.uniform(0.3, 3) + rng.uniform(0, 500))
        labels.append(label)
    notes = prepare(pictures, labels, DataConfig(), encoder_range=(1, 0)).notes
    moment = Moment().after(replace(STARTED, notes=notes))
    assert moment.text.splitlines()[2:] == [said]
    assert moment.explanation == notes[0]
    assert "balanced accuracy" in moment.explanation


@pytest.mark.both_qt
def test_no_number_beside_an_axis_is_cut(qtbot: QtBot) -> None:
    history = History()
    history.loss = [(0.0, 0.176), (0.5, 0.1)]  # the middle is 0.088
    curves = Curves()
    qtbot.addWidget(curves)
    curves.resize(300, 200)
    curves.show_history(history)
    image = curves.grab().toImage()
    # Nothing is drawn up to the left edge, where half a digit would be.
    assert len({image.pixelColor(0, y).name() for y in range(image.height())}) == 1


@pytest.mark.both_qt
def test_ten_classes_are_drawn_each_in_its_colour(qtbot: QtBot) -> None:
    history, names = History(), [f"class number {number}" for number in range(10)]
    history.scores = [(when, {name: 0.05 + when * n / 12 for n, name in enumerate(names)}) for when in (0.0, 0.5, 1.0)]
    history.mean_scores = [(when, when / 2) for when in (0.0, 0.5, 1.0)]
    colors = {name: f"#{25 * n:02x}{255 - 25 * n:02x}ff" for n, name in enumerate(names)}
    curves = Curves()
    qtbot.addWidget(curves)
    curves.resize(300, 200)
    few = curves.height()
    curves.show_history(history, colors)
    assert curves.height() > few  # room for the legend
    image = curves.grab().toImage()
    seen = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    assert set(colors.values()) <= seen
    assert "class number 9: IoU 0.80" in curves.description()


def test_losses_that_are_no_numbers_are_left_out(qtbot: QtBot) -> None:
    history = History()
    for step, loss in enumerate([1.0, float("nan"), float("inf"), 0.5]):
        history.add(Step(step + 1, loss, 0.1, 1.0, step / 4))
    curves = Curves()
    qtbot.addWidget(curves)
    curves.show_history(history)
    assert not curves.grab().isNull()
