"""The packages of the extra `geo`, imported when they are needed."""

from __future__ import annotations

import importlib
from typing import Any

from ..errors import MissingExtraError

__all__ = ["need"]


def need(*names: str) -> list[Any]:
    """The modules called so.

    Raises
    ------
    MissingExtraError
        One of them is not installed.
    """
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise MissingExtraError(
            f"This needs the package {names[0].partition('.')[0]!r}; install it with: pip install 'napari-fcn[geo]'."
        ) from error
