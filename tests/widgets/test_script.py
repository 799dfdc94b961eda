"""Copied scripts do what the widget did: both are run, and their results compared."""

import json
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from qtpy.QtGui import QGuiApplication

from napari_fcn import Segmenter, samples
from napari_fcn.autoencoder import Autoencoder
from napari_fcn.cli import main
from napari_fcn.widgets import Evaluate, Segment, Train
from napari_fcn.widgets.script import command

SHORT = {"steps": 2, "batch_size": 1, "patch_size": 64, "zero": "background", "label_smoothing": 0.05}


def add_nuclei(viewer: napari.Viewer) -> tuple[Any, Any]:
    sample = samples.load("nuclei")
    image = viewer.add_image(sample.train_images[0][:96, :96], name="cells / 1", rgb=True)
    labels = viewer.add_labels(sample.train_labels[0][:96, :96].astype(np.uint8), name="painted")
    labels.features = {"index": [0, 1], "name": ["tissue", "nucleus"]}
    return image, labels


def run_python(program: str, tmp_path: Path) -> None:
    file = tmp_path / "repeat.py"
    file.write_text(program, encoding="utf-8")
    subprocess.run([sys.executable, str(file)], check=True, timeout=300)


@pytest.mark.slow
def test_training_and_segmenting_repeat_to_the_last_pixel(
    viewer: napari.Viewer, train: Train, segment: Segment, tmp_path: Path
) -> None:
    image, _ = add_nuclei(viewer)
    train(image=image, **SHORT)
    here = train.wait(120)
    script = train.script(tmp_path / "training")
    run_python(script.python, tmp_path)
    output = tmp_path / "training" / "segmenter.safetensors"
    by_python = Segmenter.load(output)
    assert by_python.classes == here.classes
    assert main([*shlex.split(script.command)[1:], "--overwrite"]) == 0
    by_command = Segmenter.load(output)
    for other in (by_python, by_command):
        for mine, theirs in zip(here.network.state_dict().values(), other.network.state_dict().values(), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())

    segment(image=image, tile_size=64, overlap=16)
    labels = segment.wait(60).data
    script = segment.script(tmp_path / "segmenting")
    result = tmp_path / "segmenting" / "00_cells___1 labels.npy"
    run_here(script.python, tmp_path)
    np.testing.assert_array_equal(np.load(result), labels)
    assert main([*shlex.split(script.command)[1:], "--overwrite"]) == 0
    np.testing.assert_array_equal(np.load(result), labels)


def test_segmenting_repeats_whatever_is_segmented(
    viewer: napari.Viewer, train: Train, segment: Segment, tmp_path: Path
) -> None:
    """What is seen, with all extras; several layers; and files."""
    image, _ = add_nuclei(viewer)
    stack = viewer.add_image(samples.load("nuclei").train_images[1][None, :200, :200], name="frames", rgb=True)
    train(image=image, labels=viewer.layers["painted"], **SHORT)
    train.wait(300)
    viewer.scene.camera.center, viewer.scene.camera.zoom = (120, 130), 8
    viewer.window._qt_window.resize(900, 700)
    segment.engine.value = "float32"  # nothing is to be measured
    folders = {kind: tmp_path / kind for kind in ("view", "layers", "folder")}

    segment(image=stack, scope="view", with_probabilities=True, with_uncertainty=True, with_objects=True)
    made = segment.wait(300)
    assert made.data.shape[-1] < 200
    script = segment.script(folders["view"])
    run_here(script.python, tmp_path)
    np.testing.assert_array_equal(np.load(folders["view"] / "00_frames labels.npy"), made.data[0])
    for kind in ("probabilities", "uncertainty", "objects"):
        layer = viewer.layers[f"frames {kind}"]
        repeated = np.load(folders["view"] / f"00_frames {kind}.npy")
        np.testing.assert_allclose(repeated, layer.data.squeeze(), atol=1e-6)
    assert main([*shlex.split(script.command)[1:], "--overwrite"]) == 0
    around = np.load(folders["view"] / "00_frames labels.npy")
    assert np.isin(around, made.data).all()
    assert around.shape > made.data[0].shape  # the surroundings, which the command line does not cut

    segment(scope="layers", images=[image, stack], with_probabilities=False, with_uncertainty=False, with_objects=False)
    results = segment.wait(300)
    script = segment.script(folders["layers"])
    for run in (lambda: run_here(script.python, tmp_path), lambda: run_commands(script.command)):
        run()
        for file, layer in zip(("00_cells___1", "01_frames"), results, strict=True):
            np.testing.assert_array_equal(np.load(folders["layers"] / f"{file} labels.npy"), layer.data.squeeze())

    (tmp_path / "files").mkdir()
    np.save(tmp_path / "files" / "cells.npy", image.data)
    segment(scope="folder", source=tmp_path / "files", target=folders["folder"], overwrite=True)
    (written,) = segment.wait(300)
    first = np.load(written)
    np.testing.assert_array_equal(first, results[0].data)
    script = segment.script(tmp_path / "files script")
    for run in (lambda: run_here(script.python, tmp_path), lambda: run_commands(script.command)):
        written.unlink()
        run()
        np.testing.assert_array_equal(np.load(written), first)


def test_only_what_differs_from_the_usual_is_written_and_it_can_be_pasted(
    viewer: napari.Viewer, train: Train, tmp_path: Path
) -> None:
    add_nuclei(viewer)
    script = train.script(tmp_path)
    assert "rate" not in script.command
    assert "--time-budget 60" in script.command
    train.rate.value = 0.01
    script = train.script(tmp_path)
    assert "--rate 0.01" in script.command
    assert "rate=0.01" in script.python
    script.copy()
    clipboard = QGuiApplication.clipboard()
    assert clipboard is not None
    compile(clipboard.text(), "clipboard", "exec")
    assert script.command in clipboard.text()


def test_a_segmenter_to_start_from_is_written_too(viewer: napari.Viewer, train: Train, tmp_path: Path) -> None:
    add_nuclei(viewer)
    train(**SHORT)
    train.wait(60)
    from napari_fcn.widgets.store import segmenters

    train.start.value = next(iter(segmenters))
    script = train.script(tmp_path)
    assert f"--init {tmp_path / 'start.safetensors'}" in script.command
    assert Segmenter.load(tmp_path / "start.safetensors").classes == segmenters[train.start.value].classes


def test_going_on_repeats(viewer: napari.Viewer, train: Train, tmp_path: Path) -> None:
    add_nuclei(viewer)
    train(**SHORT)
    train.wait(60)
    train.go_on()
    here = train.wait(60)
    script = train.script(tmp_path)
    assert f"--init {tmp_path / 'start.safetensors'}" in script.command
    run_here(script.python, tmp_path)
    there = Segmenter.load(tmp_path / "segmenter.safetensors")
    for mine, theirs in zip(here.network.state_dict().values(), there.network.state_dict().values(), strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    train.start_from(tmp_path / "segmenter.safetensors")
    train.wait(60)
    assert train.start.value == "segmenter"
    assert train.result is here  # which Continue goes on with


def run_here(program: str, tmp_path: Path) -> None:
    """Without another process, which would load everything anew."""
    file = tmp_path / "repeat.py"
    file.write_text(program, encoding="utf-8")
    runpy.run_path(str(file))


def run_commands(line: str) -> None:
    for one in line.split(" && "):
        assert main([*shlex.split(one)[1:], *["--overwrite"] * ("--overwrite" not in one)]) == 0


@pytest.mark.parametrize("region", [False, True])
def test_comparing_repeats(
    viewer: napari.Viewer, tmp_path: Path, capsys: pytest.CaptureFixture[str], region: bool
) -> None:
    _, evaluate = viewer.window.add_plugin_dock_widget("napari-fcn", "Evaluate")
    truth = add_nuclei(viewer)[1]
    prediction = viewer.add_labels(np.roll(truth.data, 2, 0) * np.uint8(5), name="moved")
    prediction.features = {"index": [0, 5], "name": ["tissue", "nucleus"]}
    mask = viewer.add_labels(np.pad(np.ones((40, 40), int), 28), name="mask")
    evaluate(prediction=prediction, truth=truth, region=mask if region else None)
    here = evaluate.wait(30)
    script = evaluate.script(tmp_path)
    capsys.readouterr()
    run_here(script.python, tmp_path)
    assert capsys.readouterr().out == here.to_csv() + "\n"
    assert main([*shlex.split(script.command)[1:], "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["mean_iou"] == pytest.approx(here.scores.mean_iou)
    assert [row["pixels"] for row in told["classes"]] == [row.pixels for row in here.scores.classes]


@pytest.mark.parametrize(
    ("kind", "chain"),
    [("image", "median:radius=1 + gamma:exponent=0.5"), ("labels", "smooth:radius=2"), ("labels", "random_walker")],
)
def test_filtering_repeats(viewer: napari.Viewer, tmp_path: Path, kind: str, chain: str) -> None:
    _, process = viewer.window.add_plugin_dock_widget("napari-fcn", "Process")
    image, labels = add_nuclei(viewer)
    process(layer=image if kind == "image" else labels, chain=chain, image=image, preview=False)
    here = process.wait(30).data
    script = process.script(tmp_path / kind)
    result = tmp_path / kind / "filtered.npy"
    run_here(script.python, tmp_path)
    np.testing.assert_array_equal(np.load(result), here)
    assert main([*shlex.split(script.command)[1:], "--overwrite"]) == 0
    np.testing.assert_array_equal(np.load(result), here)


def test_learning_without_labels_repeats(viewer: napari.Viewer, tmp_path: Path) -> None:
    _, widget = viewer.window.add_plugin_dock_widget("napari-fcn", "Autoencoder")
    image = add_nuclei(viewer)[0]
    given = {"encoder": "classic", "weights": "none", "depth": 1, "batch_size": 1, "patch_size": 32, "steps": 2}
    widget(image=image, kind="plain", **given)
    here = widget.wait(60)
    script = widget.script(tmp_path)
    run_here(script.python, tmp_path)
    output = tmp_path / "autoencoder.safetensors"
    results = [Autoencoder.load(output)]
    assert main([*shlex.split(script.command)[1:], "--overwrite"]) == 0
    results.append(Autoencoder.load(output))
    for other in results:
        for mine, theirs in zip(here.network.state_dict().values(), other.network.state_dict().values(), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())


def test_what_was_chosen_comes_back_in_the_next_session(viewer: napari.Viewer) -> None:
    image, labels = add_nuclei(viewer)
    same = viewer.add_labels(labels.data.copy(), name="same")
    evaluate = viewer.window.add_plugin_dock_widget("napari-fcn", "Evaluate")[1]
    evaluate(prediction=same, truth=labels, boundaries=False, objects="none")
    evaluate.wait(30)
    again = Evaluate(viewer)
    assert (again.boundaries.value, again.objects.value, again.match.value) == (False, "none", "names")
    process = viewer.window.add_plugin_dock_widget("napari-fcn", "Process")[1]
    process(layer=image, chain="median:radius=1", preview=False)
    process.wait(30)
    viewer.window.remove_dock_widget(process.native)
    again = viewer.window.add_plugin_dock_widget("napari-fcn", "Process")[1]
    again.layer.value = image
    assert again.chain.value == "median:radius=1"
    again.layer.value = labels
    assert again.chain.value == ""
    assert not again.preview.value  # nothing is filtered before somebody asks for it


def test_values_with_spaces_and_lists_are_quoted() -> None:
    line = command("train", {"images": "my images", "channels": (2, 1), "rate": 1e-4, "loss": "dice+focal"})
    assert line == "napari-fcn train --images 'my images' --channels 2,1 --rate 0.0001 --loss dice+focal"
