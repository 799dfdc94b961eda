"""The verbs do on files what the package does on arrays, and tell it to people and programs."""

from __future__ import annotations

import dataclasses
import errno
import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image
from sklearn.metrics import jaccard_score

from napari_fcn import Segmenter, api
from napari_fcn.cli import console, demo, keeping, tell
from napari_fcn.cli.catalogue import Table, describe
from napari_fcn.cli.options import given_settings
from napari_fcn.config import DataConfig, ModelConfig, PredictionConfig, TrainingConfig
from napari_fcn.io import read_image, read_labels
from napari_fcn.registry import architectures

from .conftest import QUICK, content

COMMAND = (sys.executable, "-c", "import sys; from napari_fcn.cli import main; sys.exit(main())")


def train(run, data, *more):
    paths = ("--images", data / "images", "--labels", data / "labels", "--output", data / "model.safetensors")
    return run("train", *paths, *QUICK, *more)


def test_help_is_quick_and_loads_neither_torch_nor_qt():
    code = (
        "import sys\nfrom napari_fcn.cli import main\n"
        "try: main(sys.argv[1:])\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'napari', 'qtpy', 'timm', 'matplotlib', 'tifffile', 'zarr'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    for arguments in (["--help"], ["train", "--help"]):
        result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("verb", "configs"),
    [("train", (ModelConfig, DataConfig, TrainingConfig)), ("predict", (PredictionConfig,))],
)
def test_every_setting_is_an_option_with_its_explanation(run, verb, configs):
    text = " ".join(run(verb, "--help").out.split())
    for config in configs:
        for entry in dataclasses.fields(config):
            assert f"--{entry.name.replace('_', '-')} " in text
            assert entry.metadata["option"].help.split()[0] in text


def test_help_says_how_the_network_is_chosen(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    text = run("train", "--help").out
    assert "--weights imagenet|none|FILE|NAME" in text
    assert "'napari-fcn models' lists which architecture has which" in " ".join(text.split())
    for name in ("unet-classic", "efficientnet-b4", "csmask-4b-l1c", "max_unpool"):
        assert name in text  # whole, to be copied
    assert "None" not in text


def test_every_verb_has_help_and_json(run):
    for verb in ("demo", "models", "train", "predict", "evaluate", "info"):
        outcome = run(verb, "--help")
        assert outcome.code == 0
        assert "--json" in outcome.out


FACTS = (
    "name", "summary", "family", "year", "paper", "licence",
    "parameters", "multiply_adds", "stride", "offline", "settings",
)  # fmt: skip


@pytest.fixture(scope="module")
def described():
    """What there is, with two architectures: measuring all takes seconds, and the page docs/models.md is tested."""
    few = {name: architectures[name] for name in ("unet", "unet-classic")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(architectures, "_entries", few)
        return describe()


def test_models_lists_what_there_is(run, described, monkeypatch):
    monkeypatch.setattr(tell, "describe", lambda progress: described)
    document = run("models", "--json").json
    for kind in ("architectures", "encoders", "weights", "upsampling", "losses", "augmentations"):
        assert document[kind]
        assert all(entry["name"] for entry in document[kind])
    for entry in document["architectures"]:
        assert set(FACTS) <= set(entry)
    found = {kind: {entry["name"]: entry for entry in document[kind]} for kind in document}
    # Ronneberger et al. 2015 with 32 channels, 3 x 3 convolutions with batch normalisation, 2 x 2 transposed ones.
    levels = [3, 32, 64, 128, 256, 512]
    down = sum(9 * (i * o + o * o) + 4 * o for i, o in itertools.pairwise(levels))
    up = sum(4 * 2 * o * o + o + 9 * (2 * o * o + o * o) + 4 * o for o in levels[1:-1])
    assert found["architectures"]["unet-classic"]["parameters"] == down + up + 2 * (32 + 1)
    assert found["architectures"]["unet-classic"]["stride"] == 16
    assert found["architectures"]["unet"]["settings"]["upsampling"]["usual"] == "nearest"
    assert "max_unpool" in found["architectures"]["unet-classic"]["settings"]["upsampling"]["choices"]
    for entry in document["encoders"]:
        assert {"licence", "offline", "source", "paper"} <= set(entry)
    assert found["encoders"]["tf_efficientnet_lite0"]["offline"]
    assert not found["encoders"]["resnet18"]["offline"]


def test_models_are_readable_on_a_terminal(run, described, monkeypatch):
    monkeypatch.setattr(tell, "describe", lambda progress: described)
    text = run("models").out
    lines = text.splitlines()
    assert max(map(len, lines)) <= 120
    for words in ("tf_efficientnet_lite0", "non-commercial", "max_unpool", "cross_entropy", "unet-classic"):
        assert words in text
    (row,) = (line for line in lines if line.split()[:2] == ["unet-classic", "U-Net"])
    assert row.split()[2:8] == ["2015", "7.8", "M", "12.1", "G", "16"]


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_a_table_keeps_its_words_and_its_width(width):
    rows = tuple(
        (f"name{n}", "some words of a summary, " * n, "Author et al. 2015, A long-winded title") for n in range(9)
    )
    table = Table("things", "Things", ("name", "what it is", "paper"), rows, frozenset({"paper"}))
    text = table.text(width)
    assert max(map(len, text.splitlines())) <= width
    assert sorted(text.split()) == sorted(" ".join(" ".join(row) for row in (table.header, *rows)).split())


def test_train_writes_a_segmenter_and_tells_how_it_went(run, data):
    outcome = train(run, data, "--json", "--report", data / "report.png")
    assert outcome.code == 0, outcome.err
    document = outcome.json
    assert document["steps"] == 2
    assert document["seconds"] > 0
    assert 0 <= document["best_step"] <= 2
    assert 0 <= document["scores"]["mean_iou"] <= 1
    assert document["output"] == str(data / "model.safetensors")
    assert Segmenter.load(data / "model.safetensors").classes.values == (0, 7)
    with Image.open(data / "report.png") as picture:
        assert picture.size[0] > 500
    assert "mean IoU" in outcome.err
    names = {path.name for path in data.iterdir()}
    assert names == {"images", "labels", "model.safetensors", "report.png"}


def test_train_overwrites_when_told(run, data):
    (data / "model.safetensors").write_bytes(b"old")
    assert train(run, data, "--overwrite").code == 0
    assert Segmenter.load(data / "model.safetensors").channels == 1


def test_command_line_wins_over_the_settings_file(run, data):
    (data / "settings.json").write_text('{"epochs": 50, "seed": 3, "transfer": "frozen", "ignore": [9]}')
    assert train(run, data, "--config", data / "settings.json", "--seed", "4").code == 0
    training = Segmenter.load(data / "model.safetensors").training
    assert (training["seed"], training["transfer"], list(training["ignore"])) == (4, "frozen", [9])
    assert (training["steps"], training["epochs"]) == (2, None)


def test_settings_are_only_those_that_were_given():
    from napari_fcn.cli import _parser

    arguments = _parser().parse_args(["evaluate", "--predictions", "a", "--labels", "b"])
    assert given_settings(arguments, DataConfig) == {}
    more = ["--ignore", "1,2", "-3", "--ignore", "4", "--zero", "unlabelled"]
    arguments = _parser().parse_args(["evaluate", "--predictions", "a", "--labels", "b", *more])
    assert given_settings(arguments, DataConfig) == {"ignore": (1, 2, -3, 4), "zero": "unlabelled"}


def test_train_on_two_files_whose_names_differ(run, data):
    label = (data / "labels" / "0.png").rename(data / "labels" / "painted.png")
    paths = ("--images", data / "images" / "0.png", "--labels", label, "--output", data / "m.safetensors")
    assert run("train", *paths, *QUICK).code == 0


def test_validation_on_named_images(run, data):
    outcome = train(run, data, "--json", "--validation", data / "images" / "1.png")
    assert outcome.code == 0, outcome.err
    truth = np.asarray(Image.open(data / "labels" / "1.png"))
    classes = outcome.json["scores"]["classes"]
    assert [row["pixels"] for row in classes] == [(truth == 0).sum(), (truth == 7).sum()]


def test_image_without_label_is_left_out_and_named(run, data):
    (data / "labels" / "1.png").unlink()
    outcome = train(run, data)
    assert outcome.code == 0
    assert "1.png" in outcome.err


def test_nodata_and_pixel_size_of_a_raster_are_used(run, data, trained):
    tags = [
        (33550, "d", 3, (30.0, 30.0, 0.0), True),
        (34735, "H", 12, (1, 1, 0, 2, 1024, 0, 1, 1, 3072, 0, 1, 32615), True),
        (42113, "s", 0, "-99", True),
    ]
    for number in range(2):
        image = np.asarray(Image.open(data / "images" / f"{number}.png")).astype(np.int16)
        image[:20] = -99
        (data / "images" / f"{number}.png").unlink()
        tifffile.imwrite(data / "images" / f"{number}.tif", image, extratags=tags, metadata=None)
    assert train(run, data).code == 0
    segmenter = Segmenter.load(data / "model.safetensors")
    assert segmenter.normalization.nodata == -99
    assert segmenter.pixel_size == 30
    assert segmenter.normalization.mode == "dataset"  # what is presumed of images with a place on Earth
    # A segmenter that never heard of missing pixels is told by the file.
    assert Segmenter.load(trained).normalization.nodata is None
    for model in (data / "model.safetensors", trained):
        images = data / "images" / "0.tif"
        arguments = ("--model", model, "--images", images, "--output", data / "0.tif", "--overwrite")
        assert run("predict", *arguments).code == 0
        labels = read_labels(data / "0.tif")
        assert (labels[:20] == segmenter.nodata_value).all()
        assert np.isin(labels[20:], (0, 7)).all()


def test_predict_is_what_the_segmenter_says(run, data, trained):
    outcome = run(
        "predict", "--model", trained, "--images", data / "images", "--output", data / "out",
        "--probabilities", data / "probabilities", "--json",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert outcome.json["outputs"] == [str(data / "out" / f"{number}.png") for number in range(2)]
    segmenter = Segmenter.load(trained)
    for number in range(2):
        image = np.asarray(Image.open(data / "images" / f"{number}.png"))
        labels, probabilities = segmenter.predict(image, probabilities=True)
        np.testing.assert_array_equal(read_labels(data / "out" / f"{number}.png"), labels)
        file = read_image(data / "probabilities" / f"{number}.tif")
        assert file.axes == "CYX"
        np.testing.assert_allclose(file.array, probabilities, atol=1e-6)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".zarr"])
def test_predict_one_file(run, data, trained, suffix):
    image, result = data / "images" / "0.png", data / f"labels{suffix}"
    outcome = run("predict", "--model", trained, "--images", image, "--output", result)
    assert outcome.code == 0, outcome.err
    assert read_labels(result).shape == (192, 160)


def test_predict_a_stack(run, data, trained):
    stack = np.stack([np.asarray(Image.open(data / "images" / f"{number}.png")) for number in range(2)])
    tifffile.imwrite(data / "stack.tif", stack, metadata={"axes": "ZYX"}, photometric="minisblack")
    assert run("predict", "--model", trained, "--images", data / "stack.tif", "--output", data / "out").code == 0
    result = read_image(data / "out" / "stack.tif")
    assert result.axes == "ZYX"
    assert result.array.shape == stack.shape


def test_full_disk_while_predicting_leaves_nothing(run, data, trained, monkeypatch):
    monkeypatch.setattr(os, "fsync", fail_with(errno.ENOSPC))
    before = content(data)
    outcome = run("predict", "--model", trained, "--images", data / "images", "--output", data / "out")
    assert outcome.code == 2
    assert "full" in outcome.err
    assert content(data) == before


def test_disk_that_fills_up_while_training_does_not_cost_what_was_learnt(run, data, monkeypatch, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.setattr(keeping.tempfile, "mkdtemp", lambda prefix: str(elsewhere))
    fsync, calls = os.fsync, []

    def full_once(descriptor):
        calls.append(descriptor)
        if len(calls) == 1:
            raise OSError(errno.ENOSPC, "full")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_once)
    outcome = train(run, data)
    assert outcome.code == 2
    assert not (data / "model.safetensors").exists()
    assert str(elsewhere) in outcome.err
    assert Segmenter.load(elsewhere / "model.safetensors").channels == 1


def fail_with(number):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    return refuse


def test_evaluate_agrees_with_scikit_learn(run, data):
    (data / "predictions").mkdir()
    random = np.random.default_rng(0)
    truth, predicted = [], []
    for number in range(2):
        labels = np.asarray(Image.open(data / "labels" / f"{number}.png"))
        other = np.where(random.random(labels.shape) < 0.7, labels, 7 - labels)
        Image.fromarray(other).save(data / "predictions" / f"{number}.png")
        truth.append(labels.ravel())
        predicted.append(other.ravel())
    arguments = ("evaluate", "--predictions", data / "predictions", "--labels", data / "labels")
    document = run(*arguments, "--json", "--report", data / "scores.png").json
    expected = jaccard_score(np.concatenate(truth), np.concatenate(predicted), average=None)
    assert [row["iou"] for row in document["classes"]] == pytest.approx(expected)
    assert document["mean_iou"] == pytest.approx(expected.mean())
    assert {"value", "name", "iou", "dice", "precision", "recall", "pixels"} <= set(document["classes"][0])
    assert {"pixel_accuracy", "mean_dice", "confusion"} <= set(document)
    assert (data / "scores.png").stat().st_size > 1000
    text = run(*arguments).out
    assert f"{expected.mean():.3f}" in text
    unlabelled = run(*arguments, "--json", "--zero", "unlabelled").json
    assert unlabelled["pixel_accuracy"] == pytest.approx(document["classes"][1]["recall"])


def test_info_tells_what_a_segmenter_is(run, trained):
    text = run("info", trained).out
    assert "unet" in text
    assert "7" in text
    document = run("info", trained, "--json").json
    assert document["parameters"] > 1_000_000


def test_progress_without_a_terminal_is_a_line_now_and_then(monkeypatch, capfd):
    with console.Progress("working") as progress:
        progress.move(0.1, "early")
        monkeypatch.setattr(console, "LINE_SECONDS", 0)
        progress.move(0.5, "half way")
    assert capfd.readouterr() == ("", "working  50%  half way\n")


def test_reader_that_has_seen_enough_is_no_error(data):
    arguments = ("evaluate", "--predictions", data / "labels", "--labels", data / "labels")
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_bug_leaves_a_traceback(run, monkeypatch):
    monkeypatch.setattr(tell, "describe", lambda progress: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run("models")


@pytest.mark.slow
def test_demo_learns_something(run, tmp_path, monkeypatch):
    """In some small steps instead of its time, so that a busy machine learns as much as an idle one."""

    prepare_training = api.prepare_training

    def prepare(*arguments, time_budget, **options):
        assert time_budget == demo.DEMO_SECONDS
        return prepare_training(*arguments, steps=16, batch_size=4, patch_size=128, **options)

    monkeypatch.setattr(api, "prepare_training", prepare)
    outcome = run("demo", "--output", tmp_path / "demo", "--json")
    assert outcome.code == 0, outcome.err
    document = outcome.json
    background = next(row for row in document["after"]["classes"] if row["value"] == 0)["pixels"]
    everything = sum(row["pixels"] for row in document["after"]["classes"])
    of_majority = background / everything / 2  # mean IoU of calling everything background
    assert document["after"]["mean_iou"] > max(document["before"]["mean_iou"], of_majority) + 0.1
    for path in document["outputs"]:
        assert Path(path).stat().st_size > 500
    assert Segmenter.load(tmp_path / "demo" / "nuclei.safetensors").classes.names[1] == "nucleus"
    with Image.open(tmp_path / "demo" / "demo.png") as picture:
        assert min(picture.size) > 500
