"""Options of the command line, made from the settings' fields: no option is written twice."""

from __future__ import annotations

import json
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..config import ARCHITECTURE_SETTINGS
from ..errors import InputError
from ..options import Config, Option, options, refuse_unknown

if TYPE_CHECKING:
    from argparse import _ActionsContainer

__all__ = ["add_setting", "add_settings", "given_settings"]

BUDGETS = ("time_budget", "steps", "epochs")

# How values look, where the kind alone does not say it.
_METAVARS = {
    "weights": "imagenet|none|FILE|NAME",
    "axes": "AXES",
    "channels": "0,1,2",
    "bands": "NAME,NAME=NUMBER",
    "reflectance": "SCALE,OFFSET",
    "ignore": "VALUE",
    "loss": "NAME[+NAME]",
    "init": "MODEL",
    "time_budget": "SECONDS",
    "overlap": "PIXELS",
    "tile_size": "PIXELS",
    "patch_size": "PIXELS",
    "validation": "FRACTION|PATH",
}

_SPECIAL = (
    "Without them, what is usual for the architecture is used; 'napari-fcn models' lists which architecture has which, "
    "with its values."
)


def add_settings(parser: ArgumentParser, *configs: type[Config]) -> None:
    """An option for each setting; what is not given stays out of the result, so that defaults stand in one place.

    The help has a paragraph for each stage, and one for what only some architectures have.
    """
    for config in configs:
        stage = parser.add_argument_group((config.__doc__ or config.__name__).partition(".")[0].lower())
        special = None
        for name in options(config):
            if name in ARCHITECTURE_SETTINGS and special is None:
                special = parser.add_argument_group("settings of some architectures", _SPECIAL)
            add_setting(special if special and name in ARCHITECTURE_SETTINGS else stage, config, name)


def add_setting(parser: _ActionsContainer, config: type[Config], name: str, explanation: str | None = None) -> None:
    """An option for one setting, with another explanation than the setting's where it means something else."""
    default, option = options(config)[name]
    several: dict[str, Any] = {"nargs": "+", "action": "extend"} if name == "ignore" else {}
    if name == "tta":  # `--tta` alone means everything
        several = {"nargs": "?", "const": "all"}
    parser.add_argument(
        f"--{name.replace('_', '-')}",
        dest=name,
        type=_number_or_path if name == "validation" else _CONVERT[option.kind],
        default=SUPPRESS,
        metavar=_METAVARS.get(name, {"text": "NAME", "integer": "N", "number": "X", "integers": "N"}[option.kind]),
        help=_explain(name, default, option, explanation).replace("%", "%%"),
        **several,
    )


def given_settings(arguments: Namespace, *configs: type[Config]) -> dict[str, Any]:
    """The settings that were given: in the file named by --config, then on the command line, which wins.

    Raises
    ------
    InputError
        The file cannot be read or holds an option that there is not.
    """
    known = options(*configs)
    here = {name: value for name, value in vars(arguments).items() if name in known}
    settings: dict[str, Any] = {}
    if getattr(arguments, "config", None):
        settings = _read_config(Path(arguments.config))
        refuse_unknown(settings, list(known))
        if any(name in here for name in BUDGETS):  # one budget replaces the other
            settings = {name: value for name, value in settings.items() if name not in BUDGETS}
    settings |= here
    if "ignore" in here:  # `--ignore 1 2` and `--ignore 1,2` alike
        settings["ignore"] = tuple(value for group in here["ignore"] for value in group)
    return settings


def _read_config(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise InputError(f"{str(path)!r} is no JSON file: {error}.") from None
    if not isinstance(document, dict):
        raise InputError(f'{str(path)!r} must hold one JSON object, such as {{"steps": 100}}.')
    return document


def _explain(name: str, default: Any, option: Option, explanation: str | None) -> str:
    text = explanation or option.help
    if option.choices is not None:
        text += ": " + (" + " if option.joined else ", ").join(option.names()) + (", ..." if option.open else "")
    if name == "validation" and explanation is None:
        text += ", or PATH of images to measure on, which have their labels among --labels"
    return text if default is None or default == () else f"{text} ({default})"


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a whole number; got {text!r}") from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ArgumentTypeError(f"must be a number; got {text!r}") from None


def _integers(text: str) -> tuple[int, ...]:
    return tuple(_integer(part) for part in text.split(","))


def _number_or_path(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


_CONVERT: dict[str, Callable[[str], Any]] = {
    "text": str,
    "integer": _integer,
    "number": _number,
    "integers": _integers,
}
