"""A result is on the disk completely, or nothing on the disk has changed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from napari_fcn.errors import InputError, OutputError
from napari_fcn.io import atomic, check_output, read_image, read_labels, write_array, write_labels

LABELS = np.array([[0, 7], [300, 65535]], np.uint16)


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".ome.tif", ".npy", ".zarr"])
@settings(max_examples=10)
@given(labels=npst.arrays(np.uint16, st.tuples(st.integers(1, 5), st.integers(1, 5))))
def test_labels_come_back_as_they_were(tmp_path_factory, suffix, labels):
    path = tmp_path_factory.mktemp("labels") / f"a{suffix}"
    write_labels(path, labels)
    read = read_labels(path)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("suffix", [".tif", ".npy", ".zarr"])
@pytest.mark.parametrize(("shape", "axes"), [((3, 6, 7), "CYX"), ((2, 4, 5, 6), "CZYX")])
def test_probabilities_come_back_as_they_were(tmp_path, suffix, shape, axes):
    array = np.random.default_rng(0).random(shape, dtype=np.float32)
    write_array(tmp_path / f"a{suffix}", array, axes=axes)
    file = read_image(tmp_path / f"a{suffix}")
    assert file.axes == (None if suffix == ".npy" else axes)
    assert file.array.dtype == np.float32
    np.testing.assert_array_equal(file.array[...], array)


def test_stack_of_labels(tmp_path):
    stack = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    write_labels(tmp_path / "a.tif", stack)
    assert read_image(tmp_path / "a.tif").axes == "ZYX"


@pytest.mark.parametrize(
    ("name", "labels", "message"),
    [
        ("a.png", [[70000]], "70000.*tif"),
        ("a.png", [[-1]], "-1.*tif"),
        ("a.png", np.zeros((2, 3, 4), int), "one plane"),
        ("a.jpg", [[1]], r"suffix.*\.png"),
        ("a", [[1]], "suffix"),
        ("a.tif", [[0.5]], "whole numbers"),
    ],
)
def test_what_a_format_cannot_hold_is_said_and_nothing_written(tmp_path, name, labels, message):
    with pytest.raises(OutputError, match=message):
        write_labels(tmp_path / name, np.asarray(labels))
    assert tree(tmp_path) == {}


def test_wrong_axes(tmp_path):
    with pytest.raises(OutputError, match="`axes`"):
        write_array(tmp_path / "a.tif", np.zeros((2, 2)), axes="CYX")
    with pytest.raises(OutputError, match="PNG"):
        write_array(tmp_path / "a.png", np.zeros((2, 2)), axes="YX")


def test_existing_output_is_kept_unless_overwrite(tmp_path):
    for name in ("a.png", "a.tif", "a.zarr"):
        write_labels(tmp_path / name, LABELS)
    before = tree(tmp_path)
    for name in ("a.png", "a.tif", "a.zarr"):
        for refuse in (lambda p: write_labels(p, LABELS * 0), check_output):
            with pytest.raises(OutputError, match="--overwrite"):
                refuse(tmp_path / name)
    assert tree(tmp_path) == before
    for name in ("a.png", "a.tif", "a.zarr"):
        check_output(tmp_path / name, overwrite=True)
        write_labels(tmp_path / name, LABELS * 0, overwrite=True)
        assert not read_labels(tmp_path / name).any()
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "a.tif", "a.zarr"}


@pytest.mark.parametrize("error", [RuntimeError("bug"), KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
@pytest.mark.parametrize("name", ["old.txt", "new.txt", "folder/new.txt"])
def test_failure_half_way_changes_nothing(tmp_path, error, name):
    (tmp_path / "old.txt").write_text("old")
    before = tree(tmp_path)
    expected = OutputError if isinstance(error, OSError) else type(error)

    def fail():
        with atomic(tmp_path / name) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(expected):
        fail()
    assert tree(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["old.txt"]


def test_failure_half_way_keeps_an_existing_folder(tmp_path, monkeypatch):
    write_labels(tmp_path / "a.zarr", LABELS)
    before = tree(tmp_path)
    rename = Path.rename

    def refuse(self, target):
        if "partial" in self.name and not self.name.endswith(".old"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OutputError, match="Input/output error"):
        write_labels(tmp_path / "a.zarr", LABELS * 0, overwrite=True)
    assert tree(tmp_path) == before


def test_other_errors_keep_their_meaning(tmp_path):
    def fail():
        with atomic(tmp_path / "a"):
            raise InputError("no image")

    with pytest.raises(InputError, match="no image"):
        fail()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EIO])
@pytest.mark.parametrize("suffix", ["png", "tif", "npy"])
def test_full_or_read_only_disk_is_one_sentence(tmp_path, monkeypatch, number, suffix):
    def refuse(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputError) as caught:
        write_labels(tmp_path / f"a.{suffix}", LABELS)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    assert "Errno" not in str(caught.value)
    assert tree(tmp_path) == {}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_device_is_never_replaced():
    for overwrite in (False, True):
        with pytest.raises(OutputError, match="neither a file"):
            check_output("/dev/full", overwrite)
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux")
@pytest.mark.parametrize("path", ["/proc/napari-fcn.png", "/proc/folder/napari-fcn.png"])
def test_folder_that_cannot_be_written_is_noticed_before_the_work(path):
    with pytest.raises(OutputError, match="cannot be written"):
        check_output(path)


def test_folder_or_file_in_the_way(tmp_path):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").write_text("x")
    before = tree(tmp_path)
    for path, message in ((tmp_path / "folder.png", "folder"), (tmp_path / "file" / "a.png", "not a folder")):
        for overwrite in (False, True):
            with pytest.raises(OutputError, match=message):
                check_output(path, overwrite)
            with pytest.raises(OutputError, match=message):
                write_labels(path, LABELS, overwrite=overwrite)
    assert tree(tmp_path) == before


def test_check_changes_nothing_and_missing_folders_are_made(tmp_path):
    path = tmp_path / "one" / "two" / "a.png"
    check_output(path)
    assert list(tmp_path.iterdir()) == []
    write_labels(path, LABELS)
    np.testing.assert_array_equal(read_labels(path), LABELS)


def test_link_is_followed_and_rights_are_those_of_new_files(tmp_path):
    write_labels(tmp_path / "real.png", LABELS)
    (tmp_path / "link.png").symlink_to("real.png")
    write_labels(tmp_path / "link.png", LABELS * 0, overwrite=True)
    assert (tmp_path / "link.png").is_symlink()
    assert not read_labels(tmp_path / "real.png").any()
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "real.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_result_has_the_rights_of_any_new_file(tmp_path):
    with atomic(tmp_path / "a") as temporary:
        temporary.touch(mode=0o600)
    (tmp_path / "plain").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_long_names_can_be_written(tmp_path):
    write_labels(tmp_path / f"{'a' * 250}.png", LABELS)
    with pytest.raises(OutputError, match="too long"):
        write_labels(tmp_path / f"{'a' * 300}.png", LABELS)
