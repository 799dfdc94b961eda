"""Settings: frozen, checked when made, JSON both ways, and described once.

Every setting that a user can choose is a field of one of the classes here, one class a stage. The command line makes
its options from the fields, the widgets their controls, `train` and `predict` their keyword arguments; so a setting has
one name, one default and one explanation everywhere.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from .errors import InputError, UnknownNameError
from .registry import Registry, architectures, augmentations, encoders, losses, nearest, upsampling, weights

__all__ = [
    "ARCHITECTURE_SETTINGS",
    "DEFAULT_ENCODER",
    "Config",
    "DataConfig",
    "ModelConfig",
    "Option",
    "PredictionConfig",
    "TrainingConfig",
    "option",
    "options",
    "settings_of",
    "split",
]

Kind = Literal["text", "integer", "number", "integers"]

DEFAULT_ENCODER = "tf_efficientnet_lite0"
"""The encoder whose pretrained weights come with the package."""


@dataclass(frozen=True)
class Option:
    """What the command line, the widgets and the docs have to know of a setting.

    Attributes
    ----------
    help : one line in plain words.
    kind : how a value looks; `integers` is a list of them.
    choices : the allowed names, from a registry or as a tuple with the meaning of each; None when free.
    open : the choices are suggestions (encoders: thousands more are known by name); who uses the name checks it.
    joined : several choices may be joined by '+'.
    minimum, maximum : bounds of numbers, inclusive.
    multiple : whole numbers must be a multiple of this.
    advanced : folded away in the widgets.
    """

    help: str
    kind: Kind = "text"
    choices: Registry | Mapping[str, str] | None = None
    open: bool = False
    joined: bool = False
    minimum: float | None = None
    maximum: float | None = None
    multiple: int | None = None
    advanced: bool = False

    def names(self) -> list[str]:
        """The choices, in their order."""
        return list(self.choices) if self.choices is not None else []

    def check(self, name: str, value: Any) -> None:
        """Raise `InputError` when `value` cannot be the setting `name`; None means 'not given' and is always right."""
        if value is None:
            return
        checks: dict[Kind, Callable[[Any], bool]] = {
            "text": lambda v: isinstance(v, str),
            "integer": lambda v: isinstance(v, int) and not isinstance(v, bool),
            "number": lambda v: isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v),
            "integers": lambda v: isinstance(v, tuple) and all(isinstance(i, int) for i in v),
        }
        words = {"text": "a text", "integer": "a whole number", "number": "a number", "integers": "whole numbers"}
        if not checks[self.kind](value):
            raise InputError(f"`{name}` must be {words[self.kind]}. Got {value!r}.")
        if self.kind in ("integer", "number"):
            self._check_bounds(name, value)
        if self.choices is not None and not self.open:
            for part in value.split("+") if self.joined else [value]:
                if part not in self.choices:
                    raise self._unknown(name, part)

    def _check_bounds(self, name: str, value: float) -> None:
        if self.minimum is not None and value < self.minimum:
            raise InputError(f"`{name}` must be at least {self.minimum:g}. Got {value:g}.")
        if self.maximum is not None and value > self.maximum:
            raise InputError(f"`{name}` must be at most {self.maximum:g}. Got {value:g}.")
        if self.multiple is not None and value % self.multiple:
            below = int(value // self.multiple) * self.multiple
            near = ", ".join(str(v) for v in (below, below + self.multiple) if v > 0)
            raise InputError(f"`{name}` must be a multiple of {self.multiple}. Got {value:g}; nearest: {near}.")

    def _unknown(self, name: str, value: str) -> UnknownNameError:
        if isinstance(self.choices, Registry):
            return self.choices.unknown(value)
        return UnknownNameError(f"`{name}` must be one of {', '.join(self.names())}. Got {value!r}.")


def option(default: Any, help: str, **details: Any) -> Any:
    """A dataclass field that carries an `Option`."""
    return field(default=default, metadata={"option": Option(help=help, **details)})


C = TypeVar("C", bound="Config")


@dataclass(frozen=True)
class Config:
    """Base of all settings: checks every value, refuses unknown keys, goes to JSON and back."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if isinstance(value, list):
                object.__setattr__(self, entry.name, tuple(value))
            if value is None and entry.default is not None:
                raise InputError(f"`{entry.name}` must be given; the usual value is {entry.default!r}.")
            entry.metadata["option"].check(entry.name, getattr(self, entry.name))

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `json.dumps` takes and `from_json` turns back into an equal object."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in dataclasses.asdict(self).items()}

    @classmethod
    def from_json(cls: type[C], document: Mapping[str, Any]) -> C:
        """The settings that `to_json` described; an unknown key raises `InputError` with the nearest known one."""
        refuse_unknown(document, [entry.name for entry in fields(cls)])
        return cls(**document)


def refuse_unknown(names: Iterable[str], known: list[str]) -> None:
    """Raise `InputError` for the first of `names` that is not `known`."""
    for name in names:
        if name not in known:
            close = nearest(name, known)
            hint = f"the nearest is {close!r}" if close else f"known are {', '.join(known)}"
            raise InputError(f"There is no option {name!r}; {hint}.")


def options(*configs: type[Config]) -> dict[str, tuple[Any, Option]]:
    """All settings of some stages: name to (default, `Option`)."""
    return {entry.name: (entry.default, entry.metadata["option"]) for config in configs for entry in fields(config)}


def split(values: Mapping[str, Any], *configs: type[Config]) -> list[Any]:
    """One object of each class in `configs`, made from a flat dictionary of settings; unknown names are refused."""
    refuse_unknown(values, [entry.name for config in configs for entry in fields(config)])
    return [config(**{e.name: values[e.name] for e in fields(config) if e.name in values}) for config in configs]


@dataclass(frozen=True)
class ModelConfig(Config):
    """Which network.

    What is not given takes the value that is usual for the chosen architecture, as its registry entry says, so an
    object of this class is always complete; a setting that the architecture does not have is None, and giving it is an
    error.
    """

    architecture: str = option("unet", "the kind of network", choices=architectures)
    encoder: str = option(
        None,
        f"the pretrained part of the network, by its name (usually {DEFAULT_ENCODER})",
        choices=encoders,
        open=True,
    )
    weights: str = option(
        None,
        "where the encoder's first values come from: a name, a file, or one of the encoder's other weights "
        "(usually imagenet)",
        choices=weights,
        open=True,
    )
    upsampling: str | None = option(None, "how the decoder enlarges features", choices=upsampling, advanced=True)
    upsampling_kernel: int | None = option(
        None,
        "side of the kernel of transposed convolutions, a multiple of their stride 2",
        kind="integer",
        minimum=1,
        maximum=16,
        advanced=True,
    )
    output_stride: int | None = option(
        None, "pixels between the coarsest features: 8 is finer, 16 faster", kind="integer", minimum=1, advanced=True
    )
    atrous: str | None = option(
        None,
        "the kind of atrous convolution",
        choices={"plain": "plain atrous convolution", "separable": "depthwise separable: lighter"},
        advanced=True,
    )
    depth: int | None = option(None, "how many times features are halved", kind="integer", minimum=1, advanced=True)
    width: int | None = option(
        None, "channels of the finest features", kind="integer", minimum=4, maximum=512, advanced=True
    )
    convolutions: int | None = option(
        None, "convolutions at each level", kind="integer", minimum=1, maximum=8, advanced=True
    )
    norm: str | None = option(
        None,
        "what follows each convolution",
        choices={
            "batch": "batch normalisation",
            "group": "group normalisation: the same for any batch",
            "none": "nothing, as in the first paper",
        },
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self._complete_settings()
        self._complete_encoder()

    def _complete_settings(self) -> None:
        """Fill in the architecture's usual values, and refuse settings and values that it does not have."""
        having = settings_of(self.architecture)
        for name in ARCHITECTURE_SETTINGS:
            value = getattr(self, name)
            if name not in having:
                if value is not None:
                    others = ", ".join(other for other in architectures if name in settings_of(other))
                    raise InputError(
                        f"`{name}` can be chosen for {others}, not for {self.architecture!r}. "
                        f"Got {value!r}; leave it out."
                    )
                continue
            allowed = having[name]
            several = allowed if isinstance(allowed, tuple) else None
            if value is None:
                object.__setattr__(self, name, allowed if several is None else several[0])
            elif several is not None and value not in several:
                raise InputError(
                    f"`{name}` of {self.architecture!r} must be one of {', '.join(map(str, several))}. Got {value!r}."
                )
        if self.upsampling_kernel is not None and self.upsampling != "transposed":
            raise InputError(
                f"`upsampling_kernel` belongs to upsampling 'transposed'. Got {self.upsampling_kernel} with "
                f"{self.upsampling!r}; leave it out."
            )

    def _complete_encoder(self) -> None:
        """Fill in encoder and weights: the architecture's, those that belong to each other, or the usual ones."""
        own = architectures[self.architecture].details.get("encoder")
        if own is not None and self.encoder not in (None, own):
            raise InputError(
                f"{self.architecture!r} is made of its own encoder, {own!r}; 'unet' takes pretrained ones. "
                f"Got {self.encoder!r}."
            )
        known = weights[self.weights].details if self.weights in weights else {}
        encoder = self.encoder or own or known.get("encoder") or DEFAULT_ENCODER
        object.__setattr__(self, "encoder", encoder)
        if not self.weights:
            usual = encoders[encoder].details.get("weights", ()) if encoder in encoders else ()
            object.__setattr__(self, "weights", usual[0] if usual else "imagenet")


ARCHITECTURE_SETTINGS = tuple(
    entry.name for entry in fields(ModelConfig) if entry.name not in ("architecture", "encoder", "weights")
)
"""Settings that only some architectures have."""


def settings_of(architecture: str) -> Mapping[str, Any]:
    """The settings of `ModelConfig` that an architecture has.

    Each with its usual value, which may be None, or with a tuple of the values that it may have, the usual one first.
    """
    settings: Mapping[str, Any] = architectures[architecture].details.get("settings", {})
    return settings


@dataclass(frozen=True)
class DataConfig(Config):
    """How images and labels are to be understood."""

    axes: str | None = option(None, "order of the image's axes, such as YX, YXC, CYX, ZYX or TZCYX")
    channels: tuple[int, ...] | None = option(
        None, "channels to use, counted from 0; all when not given", kind="integers"
    )
    zero: str = option(
        "background",
        "what the label value 0 means",
        choices={"background": "a class of its own", "unlabelled": "nobody has judged this pixel"},
    )
    ignore: tuple[int, ...] = option((), "further label values that are not learnt from", kind="integers")
    nodata: float | None = option(None, "image value that marks missing pixels", kind="number", advanced=True)
    normalization: str = option(
        "image",
        "which pixels give the mean and deviation that channels are standardised with",
        choices={"image": "each image by itself", "dataset": "all training images together"},
        advanced=True,
    )


@dataclass(frozen=True)
class TrainingConfig(Config):
    """How the network learns."""

    transfer: str = option(
        "finetune",
        "how training treats the pretrained encoder",
        choices={
            "frozen": "keep the pretrained features, learn the rest",
            "finetune": "fine-tune everything, the encoder gently",
            "scratch": "forget the pretrained weights and learn everything",
        },
    )
    encoder_rate: float = option(
        0.3,
        "the encoder's learning rate as a fraction of the decoder's (finetune)",
        kind="number",
        minimum=0,
        maximum=10,
        advanced=True,
    )
    rate: float = option(0.002, "highest learning rate", kind="number", minimum=1e-8, maximum=10, advanced=True)
    loss: str = option("cross_entropy+dice", "what training minimises", choices=losses, joined=True, advanced=True)
    class_weights: str = option(
        "none",
        "how much each class counts in cross-entropy",
        choices={"none": "by its pixels", "balanced": "rare classes count more"},
        advanced=True,
    )
    validation: float = option(
        0.15,
        "fraction of the labelled blocks that is held out to measure progress",
        kind="number",
        minimum=0,
        maximum=0.9,
        advanced=True,
    )
    time_budget: float | None = option(
        None, "seconds of training (60 when no other limit is given)", kind="number", minimum=1
    )
    steps: int | None = option(
        None, "number of training steps, instead of seconds", kind="integer", minimum=1, advanced=True
    )
    epochs: int | None = option(
        None, "number of passes over the labelled area, instead of seconds", kind="integer", minimum=1, advanced=True
    )
    batch_size: int = option(4, "patches a step", kind="integer", minimum=1, maximum=4096, advanced=True)
    patch_size: int | None = option(
        None,
        "side of a patch in pixels; chosen from the images when not given",
        kind="integer",
        minimum=32,
        multiple=32,
        advanced=True,
    )
    augment: str = option("default", "how patches are varied", choices=augmentations, advanced=True)
    seed: int = option(0, "start of all random numbers", kind="integer", minimum=0, maximum=2**32 - 1, advanced=True)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps", advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        budgets = [name for name in ("time_budget", "steps", "epochs") if getattr(self, name) is not None]
        if len(budgets) > 1:
            raise InputError(f"Give only one of time_budget, steps and epochs. Got {' and '.join(budgets)}.")
        if not budgets:
            object.__setattr__(self, "time_budget", 60.0)


@dataclass(frozen=True)
class PredictionConfig(Config):
    """How an image is segmented."""

    tile_size: int = option(512, "side of the tiles in pixels", kind="integer", minimum=64, multiple=32, advanced=True)
    overlap: int = option(64, "overlap of neighbouring tiles in pixels", kind="integer", minimum=0, advanced=True)
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps", advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if 2 * self.overlap > self.tile_size:
            raise InputError(
                f"`overlap` must be at most half of `tile_size` ({self.tile_size // 2}). Got {self.overlap}."
            )
