"""Pictures are drawn for any training and any scores, without a screen and from any thread, and can be read."""

from __future__ import annotations

import itertools
import math
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from napari_fcn.data import ClassTable
from napari_fcn.errors import InputError
from napari_fcn.metrics import ClassScores, Scores, score_pairs
from napari_fcn.report import Panel, augmentation_picture, evaluation_report, rate_picture, training_report
from napari_fcn.report.drawing import display
from napari_fcn.report.training import apart
from napari_fcn.training.events import Finished, Noted, Started, Step, Validated
from napari_fcn.training.rate_finder import running_mean

random = np.random.default_rng(0)
TRUTH = random.integers(1, 4, (40, 50), dtype=np.uint8)
CLASSES = ClassTable.from_labels([TRUTH], zero="background", colors={1: "#00ff00", 2: "#0000ff", 3: "#ff0000"})
SCORES = score_pairs([(TRUTH, TRUTH)])


def panel(channels=3, dtype=np.uint8):
    return Panel("cells.tif", random.integers(0, 99, (channels, 40, 50)).astype(dtype), TRUTH, TRUTH)


def events(steps, scored):
    yield from (Step(n, 1 / n, 0.1, n * 0.5, n / steps) for n in range(1, steps + 1))
    yield from (Validated(n, n * 0.5, SCORES, True) for n in scored)


def table(count, name="class"):
    """So many classes."""
    names = {value: f"{name} {value}" for value in range(count)}
    return ClassTable.from_labels([np.arange(count)], zero="background", names=names)


def scores(classes, ious):
    """Scores with these IoUs; everything is predicted as the first class."""
    confusion = tuple((5,) + (0,) * (len(classes) - 1) for _ in classes)
    rows = tuple(
        ClassScores(entry.value, entry.name, iou, iou, iou, iou, 5) for entry, iou in zip(classes, ious, strict=True)
    )
    mean = float(np.nanmean(ious))
    return Scores(mean, mean, mean, confusion, classes.values, rows)


def story(classes, *, before=0.1, after=0.8, majority=0.3, notes=(), summary="It got better."):
    """A training of 50 seconds in which every class learns alike."""
    first, last, common = (scores(classes, [value] * len(classes)) for value in (before, after, majority))
    yield Started("cpu", "float32", 4, 64, None, 50.0, 1, 1, majority=common)
    yield Validated(0, 0.0, first, False)
    yield from (Step(n, 2 / n, 0.002 * math.sin(n / 20), float(n), n / 50) for n in range(1, 51))
    yield from (Noted(second, text) for second, text in notes)
    yield Validated(50, 50.0, last, True)
    yield Finished("completed", 50, 50.0, 50, first, last, summary, common)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved, in their order."""
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig

    def remember(self, *arguments, **options):
        save(self, *arguments, **options)
        figures.append(self)

    monkeypatch.setattr(Figure, "savefig", remember)
    return figures


def texts(figure):
    """What is written in a figure and where, in pixels; but for the numbers along the axes."""
    from matplotlib.text import Text

    along = {
        id(text)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks())
        for text in (tick.label1, tick.label2)
    }
    seen = [text for text in figure.findobj(Text) if text.get_text().strip() and id(text) not in along]
    hidden = {id(text) for axes in figure.axes if not axes.axison for text in (axes.xaxis.label, axes.yaxis.label)}
    return [(text.get_text(), text.get_window_extent()) for text in seen if id(text) not in hidden]


def assert_readable(figure):
    """Nothing is written over anything else, or beyond the picture's edges."""
    found = texts(figure)
    for (one, here), (other, there) in itertools.combinations(found, 2):
        assert not here.overlaps(there), (one, other)
    width, height = figure.bbox.size
    for text, box in found:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text


def words(figure):
    return " ".join(" ".join(text.split()) for text, _ in texts(figure))


@pytest.mark.parametrize("steps", [0, 1, 2, 40])
@pytest.mark.parametrize("scored", [[], [0], [0, 1, 2]])
def test_any_training_has_a_picture(tmp_path, drawn, steps, scored):
    training_report(tmp_path / "a.png", list(events(steps, scored)), [panel()] if steps else [], CLASSES)
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.format == "PNG"
        assert min(picture.size) > 300
    assert ("nothing was held out" in words(drawn[0])) == (not scored)


def test_classes_have_their_colours(tmp_path):
    training_report(tmp_path / "a.png", list(events(3, [0])), [panel()], CLASSES)
    pixels = np.asarray(Image.open(tmp_path / "a.png").convert("RGB")).reshape(-1, 3)
    for colour in ((0, 255, 0), (0, 0, 255), (255, 0, 0)):
        assert (pixels == colour).all(axis=1).sum() > 1000


def axes_of(figure, label):
    return next(axes for axes in figure.axes if label in (axes.get_ylabel(), axes.get_xlabel()))


def level_lines(axes):
    """Heights of the lines that go all the way across."""
    return [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]


def test_what_must_be_beaten_is_in_the_score_plot(tmp_path, drawn):
    classes = table(2, "rock")
    training_report(tmp_path / "a.png", list(story(classes)), [], classes)
    assert sorted(level_lines(axes_of(drawn[0], "IoU on held-out pixels"))) == pytest.approx([0.1, 0.3])
    written = words(drawn[0])
    for label in ("before training 0.10", "always rock 0 0.30", "mean 0.80", "rock 1 0.80"):
        assert label in written


def test_what_is_not_known_is_not_drawn(tmp_path, drawn):
    training_report(tmp_path / "a.png", list(events(3, [1, 2])), [], CLASSES)
    assert level_lines(axes_of(drawn[0], "IoU on held-out pixels")) == []
    assert "before" not in words(drawn[0])
    assert "always" not in words(drawn[0])


def test_the_learning_rate_has_its_own_axis(tmp_path, drawn):
    told = list(story(table(2)))
    training_report(tmp_path / "a.png", told, [], table(2))
    (line,) = axes_of(drawn[0], "learning rate").lines
    assert list(line.get_ydata()) == [event.rate for event in told if isinstance(event, Step)]
    assert axes_of(drawn[0], "learning rate").get_ylim()[0] == 0


def test_the_summary_is_there_word_for_word(tmp_path, drawn):
    summary = "No better than before: " + "mean IoU on held-out pixels 0.812 before, 0.800 after training; " * 4
    training_report(tmp_path / "a.png", list(story(CLASSES, summary=summary)), [panel()], CLASSES)
    assert " ".join(summary.split()) in words(drawn[0])
    assert_readable(drawn[0])


def test_what_was_noted_is_marked_and_listed(tmp_path, drawn):
    notes = [(10.0, "The batch was halved to 2 patches."), (30.0, "The encoder learns too, from here on.")]
    training_report(tmp_path / "a.png", list(story(table(2), notes=notes)), [], table(2))
    written = words(drawn[0])
    for number, (second, text) in enumerate(notes, start=1):
        assert f"{number} after {second:.0f} s: {text}" in written
    for label in ("loss", "IoU on held-out pixels"):
        axes = axes_of(drawn[0], label)
        upright = [line.get_xdata()[0] for line in axes.lines if list(line.get_ydata()) == [0, 1]]
        assert upright == [10, 30]
        assert [text.get_text() for text in axes.texts if text.get_position()[0] in (10, 30)] == ["1", "2"]


NOTES = [
    (20 + 0.7 * n, f"Features of {n} of 99 patches are kept; those of the others are computed anew.") for n in range(12)
]


@pytest.mark.parametrize(
    ("count", "options"),
    [
        (2, {}),
        (2, {"before": 0.5, "after": 0.5, "majority": 0.5}),
        (9, {"before": 0.0, "after": 0.0, "majority": 0.0}),
        (9, {"before": 1.0, "after": 1.0, "majority": 1.0}),
        (9, {"before": 0.4, "after": 0.45, "majority": 0.42, "notes": NOTES}),
        (30, {"notes": NOTES[:1] * 9}),
        (2, {"notes": [(0.0, "now"), (1.0, "then"), (50.0, "at last")]}),
        (2, {"notes": [(float(s), "again and " * 40) for s in range(0, 50, 6)]}),
    ],
)
@pytest.mark.parametrize("name", ["class", "a very long name of a class that nobody can read", "$x^{$ & $\\frac$"])
def test_nothing_is_written_over_anything_else(tmp_path, drawn, count, options, name):
    classes = table(count, name)
    training_report(tmp_path / "a.png", list(story(classes, **options)), [], classes)
    assert_readable(drawn[0])


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_leaves_a_gap(tmp_path, drawn, loss):
    told = [Step(n, loss if n == 5 else 1.0, 0.1, float(n), n / 9) for n in range(1, 10)]
    training_report(tmp_path / "a.png", told, [], CLASSES)
    line = axes_of(drawn[0], "loss").lines[0]
    assert np.isnan(line.get_ydata()).tolist() == [n == 5 for n in range(1, 10)]
    assert axes_of(drawn[0], "loss").get_ylim()[1] < 2


@given(st.lists(st.floats(0, 1), max_size=10))
def test_labels_are_apart_and_as_near_as_can_be(values):
    values = sorted(values)
    placed = apart(values, 0.1)
    assert len(placed) == len(values)
    assert all(0 <= height <= 1 + 1e-9 for height in placed)
    assert all(upper - lower >= 0.1 - 1e-9 for lower, upper in itertools.pairwise(placed))
    if all(upper - lower >= 0.1 for lower, upper in itertools.pairwise(values)):
        np.testing.assert_allclose(placed, values, atol=1e-9)


def test_two_labels_at_one_height_make_room_on_both_sides():
    np.testing.assert_allclose(apart([0.5, 0.5], 0.1), [0.45, 0.55])
    np.testing.assert_allclose(apart([0.0, 0.0, 1.0], 0.1), [0.0, 0.1, 1.0])


SQUARE = np.zeros((32, 32), np.int64)
SQUARE[10:20, 4:28] = 1


def patches(target=SQUARE, channels=1, varied=3):
    """A ramp, and brighter and brighter ones."""
    ramp = np.linspace(-2, 2, 32 * 32, dtype=np.float32).reshape(1, 32, 32).repeat(channels, axis=0)
    brighter = np.stack([ramp + 0.5 * number for number in range(varied)])
    return (ramp, target), (brighter, np.stack([target] * varied))


def shown(figure):
    """The pictures in a figure, from left to right and from the top."""
    return [np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images]


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_brightness_is_seen_as_it_was_varied(tmp_path, drawn, channels):
    """One stretch for the whole row: as much brighter as it is, where nothing is cut off."""
    augmentation_picture(tmp_path / "a.png", [patches(channels=channels)], CLASSES)
    plain, same, half, one = (picture[12:20, :, 0] for picture in shown(drawn[0]))
    np.testing.assert_array_equal(same, plain)
    step = 4 / (32 * 32 - 1)  # of the ramp, from one pixel to the next
    for picture, more in ((half, 0.5), (one, 1.0)):
        np.testing.assert_allclose(picture - plain, more / step * (plain[0, 1] - plain[0, 0]), rtol=1e-3)


def test_labels_are_outlined_where_they_are(tmp_path, drawn):
    """Between the pixels: the square's rows are 10 to 19, its columns 4 to 27."""
    classes = ClassTable.from_labels([np.array([0, 7])], zero="background", colors={7: "#00ff00"})
    augmentation_picture(tmp_path / "a.png", [patches()], classes)
    from matplotlib.contour import ContourSet

    outlines = [item for axes in drawn[0].axes for item in axes.collections if isinstance(item, ContourSet)]
    assert len(outlines) == 4  # the background is what is left over
    for outline in outlines:
        vertices = np.concatenate([path.vertices for path in outline.get_paths()])
        assert vertices.min(axis=0).tolist() == [3.5, 9.5]
        assert vertices.max(axis=0).tolist() == [27.5, 19.5]
        np.testing.assert_allclose(outline.get_edgecolor()[0], [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("values", "unlabelled", "legend"),
    [
        ([0, 7], False, ["class 7"]),
        ([0, 7], True, ["class 7", "not learnt from"]),
        ([3, 7], False, ["class 3", "class 7"]),
        ([3, 7], True, ["class 3", "class 7"]),  # most of it is unlabelled, and needs no mark
    ],
)
def test_what_is_outlined_is_named(tmp_path, drawn, values, unlabelled, legend):
    classes = ClassTable.from_labels([np.array(values)], zero="background")
    target = np.where((np.arange(32) > 28) & unlabelled, -1, SQUARE)
    augmentation_picture(tmp_path / "a.png", [patches(target)], classes)
    assert [text for text, _ in texts(drawn[0]) if text not in ("as it is", "varied")] == legend
    assert_readable(drawn[0])


def test_rows_may_be_many_and_of_tensors(tmp_path, drawn):
    (plain, judged), (varied, varied_judged) = patches(channels=3, varied=2)
    row = (torch.tensor(plain), torch.tensor(judged)), (torch.tensor(varied), torch.tensor(varied_judged))
    augmentation_picture(tmp_path / "a.png", [row, patches(varied=4), patches(np.full_like(SQUARE, -1))], CLASSES)
    assert len(shown(drawn[0])) == 3 + 5 + 4
    assert [text for text, _ in texts(drawn[0])][:3] == ["as it is", "varied", "varied"]
    assert_readable(drawn[0])


def test_a_picture_of_no_patch_is_refused(tmp_path):
    with pytest.raises(InputError, match="needs one patch at least"):
        augmentation_picture(tmp_path / "a.png", [], CLASSES)
    assert not (tmp_path / "a.png").exists()


def test_the_suggested_rate_is_marked(tmp_path, drawn):
    rates = np.geomspace(1e-6, 1, 60)
    losses = 1 / (1 + (rates / 1e-3)) + np.where(rates > 0.2, 1e6, 0)
    rate_picture(tmp_path / "a.png", rates.tolist(), losses.tolist(), running_mean(losses.tolist()).tolist(), 0.0021)
    (axes,) = drawn[0].axes
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[1] < 3  # how bad the end is does not hide the rest
    raw, smoothed, mark = axes.lines
    np.testing.assert_array_equal(raw.get_ydata(), losses)
    assert list(mark.get_xdata()) == [0.0021, 0.0021]
    assert "suggested: 0.0021" in words(drawn[0])
    assert smoothed.get_ydata()[0] == pytest.approx(losses[0])
    assert_readable(drawn[0])


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 1.0], [1.0, math.nan, math.inf], [math.nan] * 3, [2.0] * 30])
def test_any_search_for_a_rate_has_a_picture(tmp_path, drawn, losses):
    rates = np.geomspace(1e-6, 1, len(losses)).tolist()
    rate_picture(tmp_path / "a.png", rates, losses, losses, None)
    assert "the loss never falls" in words(drawn[0])
    with Image.open(tmp_path / "a.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize("classes", [2, 30])
def test_any_scores_have_a_picture_of_a_size_to_look_at(tmp_path, classes):
    truth = random.integers(0, classes, (50, 50))
    evaluation_report(tmp_path / "a.png", score_pairs([(truth, truth)], names={999: "nowhere"}))
    with Image.open(tmp_path / "a.png") as picture:
        assert 300 < min(picture.size) < max(picture.size) < 5000


def test_drawing_from_a_thread_touches_nothing_global(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    thread = threading.Thread(target=evaluation_report, args=(tmp_path / "a.png", SCORES))
    thread.start()
    thread.join()
    assert (tmp_path / "a.png").exists()
    assert ("matplotlib.pyplot" in sys.modules) == before


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.uint16), (2, np.int16), (3, np.uint8), (8, np.float32)])
def test_any_image_can_be_shown(channels, dtype):
    shown = display(panel(channels, dtype).image)
    assert shown.shape == (40, 50, 3)
    assert shown.min() >= 0
    assert shown.max() <= 1


def test_eight_bit_colours_are_shown_as_they_are():
    image = panel().image
    np.testing.assert_allclose(display(image), np.moveaxis(image, 0, -1) / 255, atol=1e-6)
