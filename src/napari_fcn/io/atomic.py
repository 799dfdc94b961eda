"""Files and folders that are either the old one or the complete new one, never something between.

Everything that this package writes goes through `atomic`; `check_output` asks beforehand whether it will work, so that
nobody learns after an hour of training that the result cannot be saved.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ..errors import FcnError, OutputError

__all__ = ["atomic", "check_output", "make_parents", "translated"]

_PROBE = b"\0" * 65536  # more than a block, so that a full disk is noticed


@contextlib.contextmanager
def atomic(path: str | Path, *, overwrite: bool = True) -> Iterator[Path]:
    """Give a temporary path to write to, and put it in place when all went well.

    The temporary file or folder lies in the target's folder under a hidden name with the target's suffix. It is flushed
    to the disk before it replaces the target in one step. After any failure, Ctrl-C included, it is removed and the
    target is what it was. Missing parent folders are made; links are followed.

    Parameters
    ----------
    path : where the file or folder is to be.
    overwrite : whether an existing one may be replaced.

    Yields
    ------
    Path
        Does not exist yet: write a file or make a folder there.

    Raises
    ------
    OutputError
        When the target exists and `overwrite` is False, or the operating system refuses: read-only, full, a folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with atomic(Path(folder, "notes.txt")) as temporary:
    ...         _ = temporary.write_text("complete")
    ...     [file.name for file in Path(folder).iterdir()]
    ['notes.txt']
    """
    shown, target = Path(path), _resolve(path)
    _refuse(shown, target, overwrite)
    made: list[Path] = []
    temporary = target.with_name(f".{target.stem[:100]}.{secrets.token_hex(4)}.partial{target.suffix}")
    try:
        with translated(shown):
            made = make_parents(target.parent)
            rights = _rights_of_new_files(temporary)
            yield temporary
            if temporary.is_file():  # some libraries make files that nobody else may read
                temporary.chmod(rights)
            _flush(temporary)
            _replace(temporary, target)
    except BaseException:
        _remove(temporary)
        for folder in reversed(made):
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def check_output(path: str | Path, overwrite: bool = False) -> None:
    """Raise `OutputError` when `path` could not be written: call it before the work whose result goes there.

    Nothing is changed: a small hidden file is written to the folder (or to the nearest one that exists) and removed.

    Raises
    ------
    OutputError
        When it exists and `overwrite` is False (the message names `--overwrite`), when it is no ordinary file or
        folder, when its folder is read-only, full, or no folder at all.
    """
    shown, target = Path(path), _resolve(path)
    _refuse(shown, target, overwrite)
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    probe = folder / f".{secrets.token_hex(8)}.partial"
    with translated(shown):
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, "", str(folder))
        try:
            probe.write_bytes(_PROBE)
        finally:
            _remove(probe)


def _resolve(path: str | Path) -> Path:
    with translated(Path(path)):
        return Path(path).expanduser().resolve()


def _refuse(shown: Path, target: Path, overwrite: bool) -> None:
    """Raise for what must not be replaced."""
    with translated(shown):
        exists, is_folder, is_file = target.exists(), target.is_dir(), target.is_file()
    if not exists:
        return
    if is_folder and target.suffix.lower() != ".zarr":
        raise OutputError(f"{str(shown)!r} is a folder, where a file is to be written; add a file name to it.")
    if not (is_file or is_folder):
        raise OutputError(f"{str(shown)!r} is neither a file nor a folder and cannot be replaced by a result.")
    if not overwrite:
        raise OutputError(
            f"{str(shown)!r} exists already; choose another name or allow to replace it with --overwrite."
        )


def make_parents(folder: Path) -> list[Path]:
    """Make the missing ones of a folder and those above it, and return them from the top."""
    missing = []
    while not folder.exists() and folder != folder.parent:
        missing.append(folder)
        folder = folder.parent
    made: list[Path] = []
    try:
        for each in reversed(missing):
            each.mkdir(exist_ok=True)
            made.append(each)
    except OSError:
        for each in reversed(made):
            each.rmdir()
        raise
    return made


def _rights_of_new_files(unused: Path) -> int:
    unused.touch(exist_ok=False)
    rights = stat.S_IMODE(unused.stat().st_mode)
    unused.unlink()
    return rights


def _flush(path: Path) -> None:
    """Make sure that the bytes are on the disk before a name points to them."""
    for file in [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]:
        with file.open("rb+") as stream:
            os.fsync(stream.fileno())


def _replace(temporary: Path, target: Path) -> None:
    if temporary.is_dir() and target.exists():  # a folder cannot replace one that has contents
        aside = temporary.with_name(f"{temporary.name}.old")
        target.rename(aside)
        try:
            temporary.rename(target)
        except BaseException:
            aside.rename(target)
            raise
        _remove(aside)
    else:
        temporary.replace(target)
    with contextlib.suppress(OSError):  # not every system can flush a folder
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def translated(shown: Path) -> Iterator[None]:
    """Turn what the operating system says into a sentence."""
    try:
        yield
    except FcnError:
        raise
    except OSError as error:
        reasons = {
            errno.EACCES: "writing there is not permitted",
            errno.EPERM: "writing there is not permitted",
            errno.EROFS: "the disk is read-only",
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "your share of the disk is full",
            errno.ENOTDIR: "a part of its path is a file, not a folder",
            errno.EISDIR: "it is a folder",
            errno.ENAMETOOLONG: "the name is too long",
            errno.EFBIG: "the file would be too large for this disk",
        }
        reason = reasons.get(error.errno or 0, (error.strerror or str(error)).rstrip("."))
        raise OutputError(f"{str(shown)!r} cannot be written: {reason}.") from None
