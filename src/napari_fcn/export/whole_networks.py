"""Whole networks of other programs as segmenters: segmentation-models-pytorch's, torchvision's, plain state dicts.

A file of tensors names its parts as the program that wrote it does. The names are brought into this package's, the
architecture and the encoder are those of the file's description or the first ones in which every tensor has its place,
and what was taken over and what was not is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..config import ModelConfig, settings_of
from ..data.classes import ClassTable, LabelClass, default_color
from ..data.normalization import Normalization, Statistics
from ..errors import FcnError, InputError
from ..models import NetworkSpec, build
from ..models.encoders import encoder_range
from ..models.filling import COUNTER
from ..models.weights_file import read_tensors
from ..segmenter import Segmenter
from .agreement import SMP, same_classes
from .reading import DESCRIPTION

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["IMPORTED", "Found", "find_in", "find_network", "read_network", "segmenter_of"]

IMPORTED = "imported"
"""Key in a segmenter's training settings: the file that it came from."""
ENCODERS: dict[str, tuple[str, ...]] = {
    "layer1.": ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d", "se_resnext50_32x4d"),
    "_blocks.": tuple(f"efficientnet-b{n}" for n in range(8)),
    "features.": ("mobilenet_v2", "vgg11_bn", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19_bn", "densenet121"),
    "patch_embed1.": ("mit_b0", "mit_b1", "mit_b2", "mit_b3"),
    "model.": ("tf_efficientnet_lite0", "tf_efficientnet_lite1", "tf_efficientnet_lite2", "convnext_tiny"),
}
"""Encoders that are tried where nothing names the right one, by how names of their tensors begin."""
VOC = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
"""The classes of torchvision's checkpoints, which all have them (Everingham et al. 2010, Pascal VOC)."""
LEAST_AGREEMENT = 0.99
"""Part of a random image's pixels that must get the same class, or the network counts as another one."""
COLOURS = 3

_PYRAMID = (
    (r"convs\.([0-3])\.", r"decoder.0.branches.\1."),
    (r"convs\.4\.1\.", "decoder.0.pooling.1.0."),
    (r"convs\.4\.2\.", "decoder.0.pooling.1.1."),
    (r"project\.([01])\.", r"decoder.0.project.0.\1."),
)
_RENAMED: dict[str, tuple[tuple[str, str], ...]] = {
    "torchvision": (
        (r"backbone\.", "encoder."),
        *((r"classifier\.0\." + old, new) for old, new in _PYRAMID),
        (r"classifier\.([12])\.", r"decoder.1.{\1}."),
        (r"classifier\.4\.", "head.0."),
    ),
    "deeplabv3": (
        (r"segmentation_head\.", "head."),
        *((r"decoder\.aspp\." + old, new) for old, new in _PYRAMID),
        (r"decoder\.conv\.", "decoder.1.0."),
        (r"decoder\.bn\.", "decoder.1.1."),
    ),
    "smp": ((r"segmentation_head\.", "head."),),
}


@dataclass(frozen=True)
class Found:
    """A network in a file.

    Attributes
    ----------
    tensors : in this package's names, all of the network's where `whole`, else the encoder's.
    model : architecture and encoder, where `whole`; else only the encoder means something.
    channels, classes : of a whole network; 1 class is the logit of the second of two.
    whole : every tensor of the network is there, and none of the file's decoder and last layer is left over.
    report : a sentence about what fitted.
    source : "torchvision", "smp" or "", which wrote the file.
    """

    tensors: Mapping[str, Tensor]
    model: ModelConfig
    channels: int
    classes: int
    whole: bool
    report: str
    source: str = ""


def read_network(
    path: str | Path,
    *,
    architecture: str | None = None,
    encoder: str | None = None,
    names: Sequence[str] | None = None,
) -> tuple[Segmenter, str]:
    """A segmenter of a whole network that another program trained, and a sentence about what fitted.

    Parameters
    ----------
    path : a folder that `save_pretrained` of segmentation-models-pytorch wrote, or a file of a state dict (.pth, .pt,
        .safetensors).
    architecture, encoder : of the network, where the file does not say it; found by trying when None.
    names : of its classes 0, 1, 2 ...

    Raises
    ------
    InputError
        It is missing, damaged, holds code, or does not fit wholly; the message says how much does.
    """
    found = find_network(path, architecture=architecture, encoder=encoder)
    if not found.whole:
        raise InputError(
            f"{found.report} Only whole networks can become segmenters; train one from it (weights {str(path)!r})."
        )
    return segmenter_of(found, str(path), names), found.report


def find_network(path: str | Path, *, architecture: str | None = None, encoder: str | None = None) -> Found:
    """What of a file's network fits; parameters and errors as for `read_network`.

    Raises
    ------
    InputError
        Not even an encoder fits.
    """
    place = Path(path).expanduser()
    tensors = read_tensors(str(path))
    if place.is_dir() and (place / DESCRIPTION).is_file():
        return _of_folder(place, tensors)
    return find_in(tensors, repr(str(path)), architecture=architecture, encoder=encoder)


def find_in(
    tensors: Mapping[str, Tensor], what: str, *, architecture: str | None = None, encoder: str | None = None
) -> Found:
    """As `find_network`, for tensors by name; `what` is their name in messages."""
    tensors = _unwrapped(tensors)
    torchvision = any(name.startswith("backbone.") for name in tensors)
    source = "torchvision" if torchvision else "smp"
    part = "backbone." if torchvision else "encoder."
    own = {name.removeprefix(part): tensor for name, tensor in tensors.items() if name.startswith(part)}
    if not own:
        raise InputError(
            f"{what} is no segmenter, and has no part that is called encoder or backbone, as networks of "
            f"segmentation-models-pytorch and torchvision have it; an encoder alone is taken by the option weights. It "
            f"has {_some(list(tensors))}."
        )
    encoder, channels = _encoder_of(own, what, encoder)
    if torchvision:
        kinds: tuple[str, ...] = ("deeplabv3",)
    else:
        kinds = (architecture,) if architecture in SMP else tuple(SMP)
    for kind in kinds:
        whole = _whole(tensors, kind, encoder, channels, source, what)
        if whole is not None:
            return whole
    return _encoder_alone(tensors, own, encoder, what, source)


def segmenter_of(
    found: Found, path: str, names: Sequence[str] | None = None, normalization: Normalization | None = None
) -> Segmenter:
    """A segmenter of a whole network; its images are photographs unless `normalization` says more."""
    import torch

    count = max(2, found.classes)
    tensors = dict(found.tensors)
    if found.classes == 1:  # a logit z against 0
        for name in [name for name in tensors if name.startswith("head.")]:
            tensors[name] = torch.cat([torch.zeros_like(tensors[name]), tensors[name]])
    network = build(NetworkSpec(found.model, found.channels, count), pretrained=False)
    network.load_state_dict({**network.state_dict(), **tensors})
    usual: Sequence[str] = [f"class {number}" for number in range(count)]
    if found.source == "torchvision" and count == len(VOC):
        usual = VOC
    if names is not None and len(names) != count:
        raise InputError(f"The network has {count} classes, which need as many names. Got {len(names)}.")
    table = ClassTable(tuple(LabelClass(n, name, default_color(n)) for n, name in enumerate(names or usual)))
    return Segmenter(
        network.eval(),
        found.model,
        found.channels,
        table,
        normalization or _photographs(found),
        training={IMPORTED: path},
    )


def _photographs(found: Found) -> Normalization:
    """Colours in 0 to 255 as ImageNet's photographs are standardised; other channels each image by itself."""
    gain, offset = _range(found.model.encoder)
    if found.channels != 3:
        return Normalization("image", gain, offset)
    mean, std = (np.array(each) * 255 for each in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    # Such that gain * z + offset is (value - mean) / deviation.
    return Normalization("dataset", gain, offset, dataset=Statistics(mean + offset * std, gain * std))


def _range(encoder: str) -> tuple[float, float]:
    try:
        return encoder_range(encoder, "imagenet")
    except FcnError:  # it has no ImageNet weights
        return 1.0, 0.0


def _of_folder(folder: Path, tensors: Mapping[str, Tensor]) -> Found:
    """The network of a folder whose description names architecture, encoder and settings."""
    what = repr(str(folder))
    try:
        facts: dict[str, Any] = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        kind, encoder = facts["_model_class"], facts["encoder_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{what} has no description that names its network ({DESCRIPTION}).") from error
    known = {theirs: ours for ours, theirs in SMP.items()}
    prefix = "encoder."
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    encoder, channels = _encoder_of(own, what, str(encoder), depth=int(facts.get("encoder_depth", 5)))
    if kind in known:
        found = _whole(tensors, known[kind], encoder, channels, "smp", what, facts)
        if found is not None:
            return found
    return _encoder_alone(tensors, own, encoder, what, "smp")


def _whole(
    tensors: Mapping[str, Tensor],
    architecture: str,
    encoder: str,
    channels: int,
    source: str,
    what: str,
    facts: Mapping[str, Any] | None = None,
) -> Found | None:
    """The network when it is of this architecture, every tensor has its place and none of its parts is left over."""
    import torch

    table = _RENAMED.get("torchvision" if source == "torchvision" else architecture, _RENAMED["smp"])
    renamed = {_renamed(name, table): tensor for name, tensor in tensors.items()}
    last = [t for name, t in renamed.items() if name.startswith("head.") and t.ndim == 4]
    if not last:
        return None
    classes = int(last[-1].shape[0])
    settings: dict[str, Any] = {}
    having = settings_of(architecture)
    if "output_stride" in having:
        settings["output_stride"] = int((facts or {}).get("encoder_output_stride", 8))
    if "depth" in having:
        blocks = {name.split(".")[2] for name in renamed if name.startswith("decoder.blocks.")}
        settings["depth"] = int((facts or {}).get("encoder_depth", min(5, max(2, len(blocks) or 5))))
    first = renamed.get("decoder.blocks.0.conv1.0.weight")
    if architecture == "unet" and first is not None:
        settings["width"] = max(4, int(first.shape[0]) >> (settings["depth"] - 1))
    if "upsampling" in having and (facts or {}).get("decoder_interpolation") in having["upsampling"]:
        settings["upsampling"] = facts and facts["decoder_interpolation"]
    try:
        model = ModelConfig(architecture, encoder, "none", **settings)
        wanted = _shapes_of(NetworkSpec(model, channels, max(2, classes)))
    except (FcnError, ValueError, RuntimeError):
        return None
    taken = {}
    for name, tensor in wanted.items():
        shape = list(tensor.shape)
        if classes == 1 and name.startswith("head."):
            shape[0] = 1
        given = renamed.get(name)
        if given is None and name.endswith(COUNTER):
            given = torch.zeros((), dtype=torch.long)
        if given is None or given.numel() != int(np.prod(shape)):
            return None
        taken[name] = given.reshape(shape).to(tensor.dtype)
    left = [name for name in renamed if name not in wanted]
    if any(name.startswith(("decoder.", "head.")) for name in left):  # deeper stages of an encoder are not needed
        return None
    share = 1.0 if source == "torchvision" else same_classes(tensors, taken, model, channels, classes, facts)
    if share < LEAST_AGREEMENT:
        return None
    report = f"{what} is the network {architecture!r} on {encoder!r}: all {len(wanted)} tensors fit"
    report += f", {len(left)} others ({_some(left)}) are not needed" if left else ""
    report += f"; {channels} channels, {classes} class{'es' * (classes != 1)}"
    if share < 1:
        report += f", and the same class as there for {share:.1%} of the pixels of a random image"
    return Found(taken, model, channels, classes, True, f"{report}.", source)


def _shapes_of(spec: NetworkSpec) -> dict[str, Tensor]:
    """The tensors of a network, without values where it can be made without."""
    import torch

    try:
        with torch.device("meta"):
            return dict(build(spec, pretrained=False).state_dict())
    except (RuntimeError, TypeError, NotImplementedError):
        return dict(build(spec, pretrained=False).state_dict())


def _encoder_alone(
    tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], encoder: str, what: str, source: str
) -> Found:
    others = [name for name in tensors if not name.startswith(("encoder.", "backbone."))]
    report = (
        f"Of {what} the encoder {encoder!r} fits wholly ({len(own)} tensors); {len(others)} others ({_some(others)}) "
        f"fit no decoder here, which is new."
    )
    return Found(own, ModelConfig(encoder=encoder, weights="none"), 0, 0, False, report, source)


def _encoder_of(own: Mapping[str, Tensor], what: str, given: str | None, depth: int = 5) -> tuple[str, int]:
    """The first encoder whose tensors are all there with the right shapes, and the number of its channels."""
    candidates: tuple[str, ...] = (given,) if given else ()
    for start, names in ENCODERS.items():
        if not candidates and any(name.startswith(start) for name in own):
            candidates = names
    best: tuple[int, int, str] = (0, 1, "")
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
    for name in candidates:
        wanted = _encoder_shapes(name, depth, strict=given is not None)
        wrong = [each for each, shape in wanted.items() if shapes.get(each) != shape]
        if wanted and not wrong:
            return name, COLOURS
        if len(wrong) == 1:  # the first convolution, of images with other channels
            (shape, there) = (wanted[wrong[0]], shapes.get(wrong[0], ()))
            if len(shape) == len(there) == 4 and shape[1] == COLOURS and shape[::2] == there[::2]:
                return name, int(there[1])
        best = max(best, (len(wanted) - len(wrong), len(wanted), name))
    there_now, total, name = best
    raise InputError(
        f"{what} fits no encoder that {'was asked for' if given else 'is known here'}: of {name or given!r}, the "
        f"nearest, {there_now} of {total} tensors are there with the right shape; name the right one with the option "
        f"encoder."
    )


def _encoder_shapes(name: str, depth: int, *, strict: bool) -> dict[str, tuple[int, ...]]:
    import torch

    from ..models.encoders import make_encoder

    try:
        with torch.device("meta"):
            encoder = make_encoder(name, "none", COLOURS, depth=depth)
    except (FcnError, ValueError, RuntimeError, NotImplementedError, KeyError):
        if strict:
            encoder = make_encoder(name, "none", COLOURS, depth=depth)
        else:
            return {}
    return {each: tuple(t.shape) for each, t in encoder.state_dict().items() if not each.endswith(COUNTER)}


def _unwrapped(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without what wrappers put before all names, such as "module." and "model."."""
    starts = [match.start(1) for name in tensors if (match := re.search(r"(?:^|\.)((?:encoder|backbone)\.)", name))]
    first = next((name for name in tensors if re.search(r"(?:^|\.)(?:encoder|backbone)\.", name)), "")
    prefix = first[: starts[0]] if starts else ""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}


def _renamed(name: str, table: Sequence[tuple[str, str]]) -> str:
    for old, new in table:
        match = re.match(old, name)
        if match:
            return _numbered(match.expand(new)) + name[match.end() :]
    return name


def _numbered(name: str) -> str:
    """The numbers in braces less one."""
    return re.sub(r"\{(\d)\}", lambda match: str(int(match[1]) - 1), name)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:2]) + (" ..." if len(names) > 2 else "")
