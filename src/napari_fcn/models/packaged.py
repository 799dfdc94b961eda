"""Files of pretrained weights that other Python packages carry, so that nothing has to be downloaded at run time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import InputError, MissingExtraError

__all__ = ["PackagedFile"]


@dataclass(frozen=True)
class PackagedFile:
    """A file inside an installed Python package, found without importing the package.

    Attributes
    ----------
    package : its name for pip.
    module : its name for Python.
    path : of the file, within the module.
    sha256 : checksum of the file as published.
    extra : this package's extra that brings it; None when it is always there.
    reader : the module that it takes to read the file, brought by the same extra.
    """

    package: str
    module: str
    path: str
    sha256: str
    extra: str | None = None
    reader: str | None = None

    @property
    def installed(self) -> bool:
        """Whether the package and its reader are there."""
        return self._folder() is not None and (self.reader is None or find_spec(self.reader) is not None)

    def require(self, what: str) -> None:
        """Raise `MissingExtraError` when the package is not installed; `what` is the thing that was asked for."""
        if not self.installed:
            command = f'pip install "napari-fcn[{self.extra}]"' if self.extra else f"pip install {self.package}"
            raise MissingExtraError(
                f"{what} come with the Python package {self.package}, which is not installed; {command} brings them."
            )

    def read(self, what: str) -> bytes:
        """The whole file, after a look at its checksum.

        Raises
        ------
        MissingExtraError
            The package is not installed.
        InputError
            The file is gone or is not what was published.
        """
        self.require(what)
        path = (self._folder() or Path()) / self.path
        try:
            content = path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read; reinstall the package {self.package}.") from error
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise InputError(f"{path} is damaged (its checksum is wrong); reinstall the package {self.package}.")
        return content

    def _folder(self) -> Path | None:
        spec = find_spec(self.module)
        return Path(spec.origin).parent if spec is not None and spec.origin is not None else None
