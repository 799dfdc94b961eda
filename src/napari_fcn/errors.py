"""What can go wrong, said in one sentence.

Every error that a user can cause derives from `FcnError`; its message is a single sentence that names the thing, the
rule, what was given and what works. The command line prints it and exits with 2, the widgets show it as a notification.
"""

from __future__ import annotations

__all__ = [
    "FcnError",
    "InputError",
    "MissingExtraError",
    "OfflineError",
    "OutputError",
    "SegmenterFileError",
    "UnknownNameError",
]


class FcnError(Exception):
    """Base of all errors whose message is meant for the user."""


class InputError(FcnError, ValueError):
    """An image, a label array, a path or an option that cannot be used as given."""


class UnknownNameError(InputError):
    """A name that no registry knows; the message offers the nearest one."""


class OutputError(FcnError, OSError):
    """A result that cannot be written: it exists already, or the place is full or read-only."""


class SegmenterFileError(InputError):
    """A file that is no segmenter, is damaged, or was written by a newer version."""


class OfflineError(FcnError, ConnectionError):
    """Something that needs the network, asked for without one; the message names what works offline."""


class MissingExtraError(FcnError, ImportError):
    """An optional dependency that is not installed; the message names the extra that brings it."""
