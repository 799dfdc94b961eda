"""Whatever a person gives by mistake: exit code 2, one sentence that helps, and nothing written or lost."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from .conftest import QUICK, draw

TRAIN = ("train", "--images", "a", "--labels", "b")


def train_arguments(data, *more):
    paths = ("--images", data / "images", "--labels", data / "labels", "--output", data / "model.safetensors")
    return ("train", *paths, *QUICK, *more)


def predict_arguments(data, model, *more):
    return ("predict", "--model", model, "--images", data / "images", "--output", data / "results", *more)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "VERB"),
        (("evalute",), "evaluate"),
        (("train",), "--images"),
        (("info",), "MODEL"),
        (("models", "--jsom"), "'--json'"),
        ((*TRAIN, "--output", "c.safetensors", "--resum", "d"), "no option '--resum'; the nearest is '--resume'"),
        ((*TRAIN, "--output", "c.safetensors", "--rat", "1"), "'--rate'"),
        ((*TRAIN, "--output", "c.safetensors", "--steps", "many"), "whole number"),
        ((*TRAIN, "--output", "c.safetensors", "--steps", "0"), "at least 1"),
        ((*TRAIN, "--output", "c.safetensors", "--patch-size", "100"), "96, 128"),
        ((*TRAIN, "--output", "c.safetensors", "--zero", "unlabeled"), "unlabelled"),
        ((*TRAIN, "--output", "c.safetensors", "--steps", "1", "--epochs", "1"), "one"),
        ((*TRAIN, "--output", "model.pth"), "model.safetensors"),
        ((*TRAIN, "--output", "c.safetensors"), "no file or folder"),
        (("predict", "--model", "m", "--images", "a", "--output", "b", "--tile-size", "250"), "224, 256"),
        (("evaluate", "--predictions", "a", "--labels", "b", "--ignore", "x"), "whole number"),
    ],
)  # fmt: skip
def test_wrong_usage(refused, arguments, message):
    assert message in refused(*arguments)


@pytest.mark.parametrize("path", ["imagse", "images/*.tif", "images/3.png"])
def test_no_file_matches(refused, data, path):
    message = refused(*train_arguments(data, "--images", data / path))
    assert path.split("/")[-1] in message


def test_nothing_pairs(refused, data):
    for number in range(2):
        (data / "labels" / f"{number}.png").rename(data / "labels" / f"{number}_mask.png")
    assert "'0.png', '1.png'" in refused(*train_arguments(data))


def test_image_and_label_of_different_shape(refused, data):
    Image.fromarray(np.zeros((50, 60), np.uint8)).save(data / "labels" / "0.png")
    message = refused(*train_arguments(data))
    assert "(50, 60)" in message
    assert "(192, 160)" in message
    assert "0.png" in message


@pytest.mark.parametrize("value", [0, 7])
@pytest.mark.parametrize("zero", ["background", "unlabelled"])
def test_labels_of_one_class(refused, data, value, zero):
    for number in range(2):
        Image.fromarray(np.full((192, 160), value, np.uint8)).save(data / "labels" / f"{number}.png")
    assert "two classes" in refused(*train_arguments(data, "--zero", zero))


def test_float_labels(refused, data):
    for number in range(2):
        (data / "labels" / f"{number}.png").unlink()
        tifffile.imwrite(data / "labels" / f"{number}.tif", np.ones((192, 160), np.float32))
    message = refused(*train_arguments(data))
    assert "whole numbers" in message
    assert "astype" in message


def test_colour_overlay_as_labels(refused, data):
    Image.fromarray(np.zeros((192, 160, 3), np.uint8)).save(data / "labels" / "0.png")
    assert "one whole number a pixel" in refused(*train_arguments(data))


@pytest.mark.parametrize("name", ["0.png", "0.tif", "0.npy"])
def test_file_that_is_no_image(refused, data, name):
    (data / "images" / "0.png").unlink()
    (data / "images" / name).write_text("Dear Sir or Madam,\n" * 20)
    assert name in refused(*train_arguments(data))


def test_truncated_tiff(refused, data, trained):
    image = data / "images" / "0.tif"
    tifffile.imwrite(image, np.asarray(Image.open(data / "images" / "0.png")), compression="zlib")
    (data / "images" / "0.png").unlink()
    image.write_bytes(image.read_bytes()[:-100])
    assert "cut short" in refused(*train_arguments(data))
    assert "cut short" in refused(*predict_arguments(data, trained))


def test_pickled_array(refused, data, trained):
    np.save(data / "images" / "a.npy", np.array([{}], dtype=object))
    assert "pickled" in refused(*predict_arguments(data, trained, "--images", data / "images" / "a.npy"))


@pytest.mark.parametrize(
    ("option", "wrong", "right"),
    [
        ("--architecture", "unett", "unet"),
        ("--encoder", "tf_efficientnet_lite00", "tf_efficientnet_lite0"),
        ("--weights", "imagnet", "imagenet"),
        ("--loss", "cross_entropy+dise", "dice"),
        ("--augment", "flip", "flips"),
        ("--transfer", "fine-tune", "finetune"),
    ],
)
def test_unknown_name_is_answered_with_the_nearest(refused, data, option, wrong, right):
    message = refused(*train_arguments(data, option, wrong))
    assert f"{right}" in message


def test_unknown_device(refused, data):
    assert "cpu" in refused(*train_arguments(data, "--device", "gpu"))


def test_channels_that_do_not_exist(refused, data):
    assert "`channels`" in refused(*train_arguments(data, "--channels", "0,3"))


def test_another_number_of_channels_than_the_model(refused, tmp_path, trained):
    draw(tmp_path, channels=3)
    message = refused(*predict_arguments(tmp_path, trained))
    assert "1 channel" in message
    assert "0.png" in message


def test_image_of_nothing_but_nan(refused, data, trained):
    for number in range(2):
        (data / "images" / f"{number}.png").unlink()
        np.save(data / "images" / f"{number}.npy", np.full((192, 160), np.nan, np.float32))
    assert "no data" in refused(*train_arguments(data))
    assert "no data" in refused(*predict_arguments(data, trained))


def test_wrong_axes(refused, data, trained):
    assert "`axes`" in refused(*train_arguments(data, "--axes", "ZYX"))
    assert "`axes`" in refused(*predict_arguments(data, trained, "--axes", "QX"))


@pytest.mark.parametrize("place", ["/proc/model.safetensors", "/dev/full"])
def test_output_that_cannot_be_written_is_noticed_before_training(refused, data, place):
    # The images are missing, so that a message about the output shows that it is looked at first.
    refused(*train_arguments(data, "--images", "nowhere", "--output", place))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux")
def test_results_that_cannot_be_written(refused, data, trained):
    assert "/proc" in refused(*predict_arguments(data, trained, "--output", "/proc/results"))
    assert "/proc" in refused(*train_arguments(data, "--report", "/proc/report.png"))
    labels = ("--predictions", data / "labels", "--labels", data / "labels")
    assert "/proc" in refused("evaluate", *labels, "--report", "/proc/report.png")
    assert "/proc" in refused("demo", "--output", "/proc/demo")


def test_existing_output_without_overwrite(refused, data, trained):
    shutil.copy(trained, data / "model.safetensors")
    (data / "results").mkdir()
    (data / "results" / "1.png").write_bytes(b"precious")
    (data / "report.png").write_bytes(b"precious")
    assert "--overwrite" in refused(*train_arguments(data))
    assert "--overwrite" in refused(
        *train_arguments(data, "--output", data / "new.safetensors", "--report", data / "report.png")
    )
    assert "--overwrite" in refused(*predict_arguments(data, trained))
    labels = ("--predictions", data / "labels", "--labels", data / "labels")
    assert "--overwrite" in refused("evaluate", *labels, "--report", data / "report.png")
    (data / "demo.png").write_bytes(b"precious")
    assert "--overwrite" in refused("demo", "--output", data)


def test_results_never_replace_images_or_each_other(refused, data, trained):
    assert "replace the image" in refused(*predict_arguments(data, trained, "--output", data / "images", "--overwrite"))
    assert "2 results" in refused(*predict_arguments(data, trained, "--output", data / "all.png"))
    one = ("--images", data / "images" / "0.png", "--output", data / "0.tif", "--probabilities", data / "0.tif")
    assert "both" in refused(*predict_arguments(data, trained, *one))


def test_stack_does_not_go_into_a_png(refused, data, trained):
    np.save(data / "stack.npy", np.zeros((5, 40, 40), np.uint8))
    stack = ("--images", data / "stack.npy", "--axes", "ZYX", "--output", data / "labels.png")
    assert "one plane" in refused(*predict_arguments(data, trained, *stack))


def test_report_is_a_png(refused, data):
    assert "report.png" in refused(*train_arguments(data, "--report", data / "report.jpg"))


def damaged_models(folder, trained):
    whole = trained.read_bytes()
    with safe_open(trained, framework="pt") as file:
        document = json.loads(file.metadata()["napari_fcn"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    def write(name, change):
        path = folder / name
        change(path)
        return path

    def save(path, metadata, values=tensors):
        save_file(values, path, metadata=metadata)

    small = {"weight": torch.zeros(3)}
    newer = json.dumps({**document, "format": document["format"] + 1})
    yield write("half.safetensors", lambda p: p.write_bytes(whole[: len(whole) // 2])), "damaged"
    yield write("start.safetensors", lambda p: p.write_bytes(whole[:5])), "damaged"
    yield write("empty.safetensors", lambda p: p.write_bytes(b"")), "damaged"
    yield write("pickle.safetensors", lambda p: p.write_bytes(pickle.dumps({"a": 1}))), "damaged"
    yield write("torch.pt", lambda p: torch.save({"a": torch.zeros(3)}, p)), "no segmenter"
    yield write("picture.png", lambda p: Image.fromarray(np.zeros((5, 5), np.uint8)).save(p)), "no segmenter"
    yield write("newer.safetensors", lambda p: save(p, {"napari_fcn": newer})), "newer"
    yield write("other.safetensors", lambda p: save(p, None, small)), "another program"
    yield write("json.safetensors", lambda p: save(p, {"napari_fcn": "{"}, small)), "not a complete"
    yield write("poor.safetensors", lambda p: save(p, {"napari_fcn": '{"format": 1}'}, small)), "missing"
    wrong = {"napari_fcn": json.dumps(document)}
    yield write("shapes.safetensors", lambda p: save(p, wrong, small)), "does not fit"
    yield folder / "nowhere.safetensors", "no segmenter file"
    yield folder, "no BioImage.IO package"


def test_model_file_that_is_none(refused, data, trained):
    for path, message in list(damaged_models(data, trained)):
        assert message in refused("info", path), path
        assert message in refused(*predict_arguments(data, path)), path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "object"),
        ('{"step": 3}', "'steps'"),
        ('{"steps": "3"}', "whole number"),
        (None, "read"),
    ],
)
def test_settings_file(refused, data, text, message):
    if text is not None:
        (data / "settings.json").write_text(text)
    paths = ("--images", data / "images", "--labels", data / "labels", "--output", data / "model.safetensors")
    assert message in refused("train", *paths, "--config", data / "settings.json")


def test_predictions_that_do_not_fit(refused, data):
    (data / "predictions").mkdir()
    Image.fromarray(np.zeros((50, 60), np.uint8)).save(data / "predictions" / "0.png")
    arguments = ("evaluate", "--predictions", data / "predictions", "--labels", data / "labels")
    assert "same shape" in refused(*arguments)
    Image.fromarray(np.zeros((192, 160), np.uint8)).save(data / "predictions" / "0.png")
    assert "no pixel" in refused(*arguments, "--ignore", 0, 7)


def test_validation_images_that_are_all_images(refused, data):
    assert "left to learn from" in refused(*train_arguments(data, "--validation", data / "images"))
    assert "at most 0.9" in refused(*train_arguments(data, "--validation", "1.5"))
    assert "no file" in refused(*train_arguments(data, "--validation", data / "nowhere"))


def test_images_of_different_axes(refused, data):
    Image.fromarray(np.zeros((192, 160, 3), np.uint8)).save(data / "images" / "0.png")
    assert "same axes" in refused(*train_arguments(data))


def test_files_that_state_different_nodata(refused, data):
    for number in range(2):
        (data / "images" / f"{number}.png").unlink()
        tag = [(42113, "s", 0, str(-number), True)]
        tifffile.imwrite(data / "images" / f"{number}.tif", np.ones((192, 160), np.int16), extratags=tag)
    assert "--nodata" in refused(*train_arguments(data))
