"""The settings of each stage, from the network to prediction; what a setting is stands in `options`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from .errors import InputError
from .options import Config, option
from .registry import architectures, augmentations, class_weightings, encoders, losses, upsampling, weights

__all__ = [
    "ARCHITECTURE_SETTINGS",
    "DEFAULT_ENCODER",
    "DataConfig",
    "ModelConfig",
    "PredictionConfig",
    "TrainingConfig",
    "parse_reflectance",
    "presuming",
    "settings_of",
    "usual_with",
]

DEFAULT_ENCODER = "tf_efficientnet_lite0"
"""The encoder whose pretrained weights come with the package."""


@dataclass(frozen=True)
class ModelConfig(Config):
    """Which network.

    What is not given takes the value that is usual for the chosen architecture, as its registry entry says, so an
    object of this class is always complete; a setting that the architecture does not have is None, and giving it is an
    error.
    """

    group: ClassVar[str] = "Network"

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
        group="Transfer",
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
    depth: int | None = option(
        None,
        "how often features are halved; a pretrained encoder is cut there",
        kind="integer",
        minimum=1,
        advanced=True,
    )
    width: int | None = option(
        None,
        "channels of the finest features; of unet usually 8 with transfer frozen",
        kind="integer",
        minimum=4,
        maximum=512,
        advanced=True,
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

    code: int | None = option(
        None, "channels of the code between encoder and decoder", kind="integer", minimum=1, maximum=4096, advanced=True
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


def usual_with(transfer: str, architecture: str) -> Mapping[str, Any]:
    """The usual values of those settings of an architecture for which they depend on the way of transfer.

    Examples
    --------
    >>> usual_with("frozen", "unet"), usual_with("finetune", "unet"), usual_with("frozen", "fpn")
    ({'width': 8}, {'width': 16}, {})
    """
    by_transfer: Mapping[str, Mapping[str, Any]] = architectures[architecture].details.get("usual_with", {})
    elsewhere = {name: settings_of(architecture)[name] for special in by_transfer.values() for name in special}
    return {**elsewhere, **by_transfer.get(transfer, {})}


@dataclass(frozen=True)
class DataConfig(Config):
    """How images and labels are to be understood."""

    group: ClassVar[str] = "Data"

    axes: str | None = option(None, "order of the image's axes, such as YX, YXC, CYX, ZYX or TZCYX")
    channels: tuple[int, ...] | None = option(
        None, "channels to use, counted from 0; all when not given", kind="integers"
    )
    bands: str | None = option(
        None,
        "channels by name and spectral indices of them (NDVI, NDWI, MNDWI, NDBI), such as red,nir,NDVI; NAME=NUMBER "
        "where the file has no names",
        advanced=True,
    )
    reflectance: str | None = option(
        None,
        "what makes reflectance of the image's values, SCALE or SCALE,OFFSET: 0.0001,-0.1 for Sentinel-2 of today",
        advanced=True,
    )
    zero: str = option(
        "background",
        "what the label value 0 means",
        choices={"background": "a class of its own", "unlabelled": "nobody has judged this pixel"},
    )
    slices: str = option(
        "painted",
        "which slices or frames of a stack are learnt from",
        choices={
            "painted": "those with labels: slices whose labels are all 0 are left out, if there are others",
            "all": "all of them: empty slices are background too",
        },
        advanced=True,
    )
    ignore: tuple[int, ...] = option((), "further label values that are not learnt from", kind="integers")
    nodata: float | None = option(None, "image value that marks missing pixels", kind="number", advanced=True)
    normalization: str = option(
        "auto",
        "which pixels give the mean and deviation that channels are standardised with",
        choices={
            "auto": "as tells the classes apart better in labelled images that are left out; else each image by itself",
            "auto-dataset": "the same, and else all images together: usual for several with a place on Earth",
            "image": "each image by itself: stain, exposure or dose vary",
            "dataset": "all training images together: values mean the same everywhere",
            "weights": "the satellite images that the encoder learnt from: for its weights, and images in reflectance",
        },
        advanced=True,
    )
    preprocess: str | None = option(
        None,
        "filters that images go through first, as 'median:radius=2 + clahe'; 'napari-fcn process --help' lists them",
        advanced=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bands is not None and self.channels is not None:
            raise InputError(f"Give only one of `bands` and `channels`. Got {self.bands!r} and {list(self.channels)}.")
        if self.reflectance is not None:
            parse_reflectance(self.reflectance)


def presuming(settings: Mapping[str, Any], placed: bool) -> dict[str, Any]:
    """Settings that presume that values mean the same in all images, where all have a place on Earth and nobody says.

    Examples
    --------
    >>> presuming({}, True), presuming({"normalization": "image"}, True)
    ({'normalization': 'auto-dataset'}, {'normalization': 'image'})
    """
    left_open = settings.get("normalization", "auto") == "auto"
    return {**settings, "normalization": "auto-dataset"} if placed and left_open else dict(settings)


def parse_reflectance(text: str) -> tuple[float, float]:
    """Scale and offset from "SCALE" or "SCALE,OFFSET"; `InputError` when the text is something else.

    Examples
    --------
    >>> parse_reflectance("0.0001,-0.1")
    (0.0001, -0.1)
    """
    try:
        scale, offset = map(float, text.split(",") if "," in text else (text, "0"))
    except ValueError:
        scale, offset = 0.0, 0.0
    if not 0 < scale < float("inf") or not abs(offset) < float("inf"):
        raise InputError(
            f"`reflectance` must be SCALE or SCALE,OFFSET with a scale above 0, such as 0.0001,-0.1. Got {text!r}."
        )
    return scale, offset


@dataclass(frozen=True)
class TrainingConfig(Config):
    """How the network learns."""

    group: ClassVar[str] = "Recipe"

    transfer: str = option(
        "finetune",
        "how training treats what is there already",
        choices={
            "head": "fit a pixel head at once: an answer in a second; another network that is chosen learns "
            "behind it, and joins it where that is better; with a segmenter to start from, learn its last layer only",
            "frozen": "keep the pretrained features: quick, and hard to spoil where little is painted",
            "finetune": "fine-tune everything gently: the pretrained part learns more slowly; usually best",
            "scratch": "start from scratch: forget what was pretrained; needs many labels and much time",
        },
        group="Transfer",
    )
    init: str | None = option(
        None,
        "a segmenter's file to start from, also one with other classes or channels; or another program's network: a "
        "folder of save_pretrained, a state dict, a BioImage.IO package",
        advanced=True,
        group="Transfer",
    )
    freeze_stages: int = option(
        0,
        "stages of the encoder that are kept as they are, from the finest (finetune)",
        kind="integer",
        advanced=True,
        group="Transfer",
    )
    encoder_rate: float = option(
        0.3,
        "the encoder's learning rate as a fraction of the decoder's (finetune)",
        kind="number",
        minimum=0,
        maximum=10,
        advanced=True,
        group="Transfer",
    )
    stage_decay: float = option(
        1.0,
        "learning rate of each stage of the encoder as a fraction of the next coarser one's (finetune)",
        kind="number",
        minimum=0,
        maximum=1,
        advanced=True,
        group="Transfer",
    )
    unfreeze: float = option(
        0.0,
        "part of the training in which the encoder is kept and only the rest learns (finetune)",
        kind="number",
        minimum=0,
        maximum=1,
        advanced=True,
        group="Transfer",
    )
    feature_memory: float | None = option(
        None,
        "megabytes for the features of a frozen encoder, which are computed once and kept; a quarter of what is free "
        "when not given, 0 computes them anew",
        kind="number",
        minimum=0,
        advanced=True,
        group="Transfer",
    )
    rate: float = option(0.002, "highest learning rate", kind="number", minimum=1e-8, maximum=10, advanced=True)
    optimizer: str = option(
        "adamw",
        "how gradients become steps",
        choices={
            "adamw": "Adam with decoupled weight decay: learns quickly at any scale",
            "sgd": "plain steps with Nesterov's momentum 0.9: wants a rate about 10 times higher",
        },
        advanced=True,
    )
    schedule: str = option(
        "cosine",
        "how the rate falls after the warm-up",
        choices={
            "cosine": "half a cosine, to a hundredth",
            "poly": "(1 - progress) to the power of 0.9, as DeepLab does",
            "constant": "not at all",
        },
        advanced=True,
    )
    warm_up: float = option(
        0.05, "part of the training in which the rate rises", kind="number", minimum=0, maximum=0.9, advanced=True
    )
    clip: float = option(
        1.0, "largest norm of the gradient; longer ones are shortened", kind="number", minimum=1e-6, advanced=True
    )
    weight_decay: float = option(
        0.01, "how strongly weights are drawn to zero", kind="number", minimum=0, maximum=1, advanced=True
    )
    dropout: float = option(
        0.0,
        "part of the decoder's channels that each step leaves out",
        kind="number",
        minimum=0,
        maximum=0.9,
        advanced=True,
    )
    loss: str = option("cross_entropy+dice", "what training minimises", choices=losses, joined=True, advanced=True)
    label_smoothing: float = option(
        0.0,
        "part of each label that cross-entropy gives to all classes",
        kind="number",
        minimum=0,
        maximum=0.9,
        advanced=True,
    )
    class_weights: str = option(
        "none",
        "how much each class counts in the loss, also as VALUE=WEIGHT,VALUE=WEIGHT",
        choices=class_weightings,
        open=True,
        advanced=True,
    )
    validation: float = option(
        0.15,
        "fraction of the labelled blocks that is held out to measure progress",
        kind="number",
        minimum=0,
        maximum=0.9,
        advanced=True,
        group="Run",
    )
    time_budget: float | None = option(
        None, "seconds of training (60 when no other limit is given)", kind="number", minimum=1, group="Run"
    )
    steps: int | None = option(
        None, "number of training steps, instead of seconds", kind="integer", minimum=1, advanced=True, group="Run"
    )
    epochs: int | None = option(
        None,
        "number of passes over the labelled area, instead of seconds",
        kind="integer",
        minimum=1,
        advanced=True,
        group="Run",
    )
    patience: int | None = option(
        None,
        "end early when so many scores in a row are no better than the best",
        kind="integer",
        minimum=1,
        advanced=True,
        group="Run",
    )
    batch_size: int | None = option(
        None,
        "patches a step; 4 when not given (8 on a GPU), fewer where memory is short",
        kind="integer",
        minimum=1,
        maximum=4096,
        advanced=True,
        group="Run",
    )
    patch_size: int | None = option(
        None,
        "side of a patch in pixels; chosen from the images when not given",
        kind="integer",
        minimum=32,
        multiple=32,
        advanced=True,
        group="Run",
    )
    augment: str | None = option(
        None,
        "how patches are varied; when not given microscopy, or satellite where all images are standardised alike "
        "(normalization) and so values mean the same in each",
        choices=augmentations,
        advanced=True,
    )
    seed: int = option(
        0, "start of all random numbers", kind="integer", minimum=0, maximum=2**32 - 1, advanced=True, group="Run"
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps", advanced=True, group="Run")

    def __post_init__(self) -> None:
        super().__post_init__()
        budgets = [name for name in ("time_budget", "steps", "epochs") if getattr(self, name) is not None]
        if len(budgets) > 1:
            raise InputError(f"Give only one of time_budget, steps and epochs. Got {' and '.join(budgets)}.")
        if not budgets:
            object.__setattr__(self, "time_budget", 60.0)
        for name, transfers in _BELONGS.items():
            default = next(entry.default for entry in fields(self) if entry.name == name)
            if self.transfer not in transfers and getattr(self, name) != default:
                those = " or ".join(map(repr, transfers))
                raise InputError(
                    f"`{name}` belongs to transfer {those}. Got {getattr(self, name)!r} with {self.transfer!r}; "
                    f"leave it out."
                )


_BELONGS = {
    **dict.fromkeys(("freeze_stages", "encoder_rate", "stage_decay", "unfreeze"), ("finetune",)),
    "feature_memory": ("frozen", "head", "finetune"),  # while fine-tuning has not begun, see `unfreeze`
}
"""Settings that only some ways of transfer have."""


@dataclass(frozen=True)
class PredictionConfig(Config):
    """How an image is segmented."""

    group: ClassVar[str] = "Tiles"

    tile_size: int | None = option(
        None,
        "side of the tiles in pixels; from the image, the network and the memory when not given",
        kind="integer",
        minimum=64,
        multiple=32,
        advanced=True,
    )
    overlap: int = option(64, "overlap of neighbouring tiles in pixels", kind="integer", minimum=0, advanced=True)
    blending: str = option(
        "gaussian",
        "how tiles share the pixels that they have in common",
        choices={"gaussian": "the nearer to a tile's middle the more it counts", "constant": "all count the same"},
        advanced=True,
    )
    border: int = option(
        0,
        "pixels by which the image is continued, mirrored, beyond its edges",
        kind="integer",
        minimum=0,
        advanced=True,
    )
    tta: str = option(
        "none",
        "average over mirror images and rotations of each tile",
        choices={"none": "once, as it is", "flips": "4 mirror images", "all": "8 rotations and mirror images"},
        advanced=True,
    )
    planes: str = option(
        "own",
        "which planes of a stack are segmented",
        choices={"own": "the planes Y and X", "ortho": "XY, XZ and YZ, averaged; for voxels as deep as wide"},
        advanced=True,
    )
    uncertainty_measure: str = option(
        "entropy",
        "how the map of uncertainty is measured",
        choices={"entropy": "of all classes, 0 to 1", "margin": "1 less the lead of the best class over the next"},
        advanced=True,
    )
    engine: str = option(
        "auto",
        "how the network is computed",
        choices={
            "auto": "the fastest way that gives the same labels, measured once",
            "float32": "PyTorch, single precision",
            "contiguous": "the same with another order in memory",
            "bfloat16": "PyTorch, on processors that compute bfloat16",
            "openvino": "OpenVINO, single precision",
            "openvino-bfloat16": "OpenVINO, on processors that compute bfloat16",
        },
        advanced=True,
    )
    memory: float | None = option(
        None,
        "megabytes for the tiles and strips under way, which decide how large tiles are; when not given 400, or 800 "
        "where the image is one tile then, and less where less is free",
        kind="number",
        minimum=16,
        advanced=True,
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps", advanced=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tile_size is not None and 2 * self.overlap > self.tile_size:
            raise InputError(
                f"`overlap` must be at most half of `tile_size` ({self.tile_size // 2}). Got {self.overlap}."
            )
