"""Starting from a segmenter: its weights are reused where they fit, and what was not is said.

The encoder's come from the same encoder, those of decoder and last layer from the same architecture: there, a tensor of
the same name means the same. Whatever counts classes or channels is fitted: rows of classes whose label value both
know are kept, and the first convolution is adapted to other channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from ..config import ARCHITECTURE_SETTINGS, ModelConfig
from ..errors import InputError
from ..models import NetworkSpec, build
from ..models.encoders import encoder_range, resolve
from ..models.filling import COUNTER, adapt_channels
from ..registry import architectures, weights
from .random_numbers import seeded
from .start_notes import notes_of

if TYPE_CHECKING:
    from torch import Tensor

    from ..data import ClassTable
    from ..models.base import Network
    from ..segmenter import Segmenter

__all__ = ["Start", "builds_pretrained", "model_options", "start_from", "value_range"]


@dataclass(frozen=True)
class Start:
    """What a network took over from a segmenter.

    Attributes
    ----------
    taken : tensors that came from the segmenter, some of them perhaps adapted to other channels, or only in the rows of
        classes that both know.
    total : tensors of the network.
    complete : the network is the segmenter's: all of its tensors were taken over as they are, at most with their
        classes in another order, and none was left over.
    encoder_taken, decoder_taken : every tensor of that part was taken over, no row of it is new.
    notes : one or two sentences for people.
    """

    taken: int
    total: int
    complete: bool
    encoder_taken: bool
    decoder_taken: bool
    notes: tuple[str, ...]


def model_options(init: Segmenter, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `ModelConfig` for a network that starts from a segmenter.

    Parameters
    ----------
    init : gives what the user did not: architecture, encoder, weights; the architecture's settings when it stays, and
        the name of the weights when the encoder stays.
    given : options as the user gave them, None for those not given; options of other stages may be among them and are
        left to these.

    Returns
    -------
    dict
        For `ModelConfig(**options)`, which completes what depends on a new architecture or a new encoder.

    Raises
    ------
    UnknownNameError
        There is no such architecture or encoder.
    InputError
        Other weights were given for the segmenter's own encoder, whose values come from the segmenter.
    """
    model = init.model
    chosen = {e.name: given[e.name] for e in fields(ModelConfig) if given.get(e.name) is not None}
    options: dict[str, Any] = {"architecture": chosen.get("architecture", model.architecture)}
    own = architectures[options["architecture"]].details.get("encoder")
    belonging = weights[chosen["weights"]].details.get("encoder") if chosen.get("weights") in weights else None
    if _same_encoder(chosen.get("encoder") or own or belonging or model.encoder, model.encoder):
        if chosen.get("weights", model.weights) != model.weights:
            raise InputError(
                f"The values of the encoder {model.encoder!r} come from the segmenter that training starts from "
                f"(weights {model.weights!r}); leave out `weights`, or choose another encoder. "
                f"Got {chosen['weights']!r}."
            )
        options |= {"encoder": model.encoder, "weights": model.weights}
    if options["architecture"] == model.architecture:
        settings = {name: getattr(model, name) for name in ARCHITECTURE_SETTINGS}
        if chosen.get("upsampling", model.upsampling) != model.upsampling:
            # It belongs to the segmenter's operator, and another one may have no kernel.
            settings["upsampling_kernel"] = None
        options |= {name: value for name, value in settings.items() if value is not None}
    return options | chosen


def value_range(init: Segmenter, model: ModelConfig) -> tuple[float, float]:
    """Gain and offset of the normalisation for a training that starts from a segmenter.

    The segmenter's own when `model` has its encoder, which learnt with them; else those of the new encoder's weights.

    Raises
    ------
    UnknownNameError, InputError, MissingExtraError
        As for `napari_fcn.models.encoders.encoder_range`.
    """
    if _same_encoder(model.encoder, init.model.encoder):
        return init.normalization.gain, init.normalization.offset
    return encoder_range(model.encoder, model.weights)


def builds_pretrained(init: Segmenter, model: ModelConfig) -> bool:
    """Whether published weights have to be read before a network starts from a segmenter.

    Not when every tensor of the encoder will come from the segmenter, however many channels the images have; so such a
    training needs neither a network nor the file that the first one may have begun with.

    Raises
    ------
    UnknownNameError, InputError
        The network that `model` describes cannot be built.
    """
    if model.weights == "none":
        return False
    if not _same_encoder(model.encoder, init.model.encoder):
        return True
    there = {name: tuple(tensor.shape) for name, tensor in init.network.state_dict().items()}
    wanted = _shapes(NetworkSpec(model, init.channels, len(init.classes)))
    return any(there.get(name) != shape for name, shape in wanted.items() if _part(name) == "encoder")


def start_from(network: Network, spec: NetworkSpec, classes: ClassTable, init: Segmenter) -> Start:
    """Fill a network with the weights of a segmenter, where they fit; the rest keeps its values.

    Buffers, such as the statistics of batch normalisation, are taken over like weights. In layers that score classes,
    the rows of classes whose label value both know are taken over; a transposed convolution from classes to classes
    keeps what known ones give to known ones, and stays the interpolation that it starts as for new ones. A first
    convolution for another number of channels is adapted by `adapt_channels`. The last layer is taken over only
    together with something of its decoder.

    Parameters
    ----------
    network : changed in place; `spec` describes it.
    spec, classes : of the new training.
    init : what to start from; it is not changed, and shares no memory with the network.

    Returns
    -------
    Start
        What was taken over.

    Raises
    ------
    InputError
        Nothing fits: encoder and architecture are others, or their settings are; the network is as it was.
    """
    old, new = init.network.state_dict(), network.state_dict()
    difference = _difference(network, spec, classes, init)
    usable = {"encoder": _same_encoder(spec.model.encoder, init.model.encoder)}
    same_architecture = spec.model.architecture == init.model.architecture
    taken: dict[str, Tensor] = {}
    for name, fresh in new.items():
        if name not in old or not usable.get(_part(name), same_architecture):
            continue
        if name.endswith(COUNTER) and name.removesuffix(COUNTER) + "running_mean" not in taken:
            # A counter has no shape that could differ; it goes with what it counts.
            continue
        tensor = difference.taken(name, fresh, old[name].to(fresh))
        if tensor is not None:
            taken[name] = tensor
    decoder = [name for name in new if _part(name) == "decoder"]
    if decoder and not any(name in taken for name in decoder):
        taken = {name: tensor for name, tensor in taken.items() if _part(name) != "head"}
    if not taken:
        raise _nothing_fits(init.model, spec.model)
    network.load_state_dict({**new, **taken})
    whole = {name for name in taken if difference.all_known or name not in difference.classes}
    return Start(
        taken=len(taken),
        total=len(new),
        complete=(
            len(whole) == len(new) == len(old)
            and not difference.channels
            and sorted(classes.values) == sorted(init.classes.values)
        ),
        encoder_taken=all(name in whole for name in new if _part(name) == "encoder"),
        decoder_taken=all(name in whole for name in decoder),
        notes=notes_of(
            list(new),
            taken,
            spec,
            classes,
            init,
            scoring=difference.classes,
            adapted=difference.channels,
            other_encoder=not usable["encoder"],
        ),
    )


@dataclass(frozen=True)
class _Difference:
    """How the tensors of a network differ from a segmenter's of the same name.

    Attributes
    ----------
    classes : tensors that depend on the number of classes, with the dimensions that count them; none where the
        dependence is of another kind. Empty when the classes are the same, in the same order.
    channels : likewise for channels; empty when their number is the same.
    new_rows, old_rows : indices of the classes that both know, in the network and in the segmenter.
    all_known : the segmenter knows every class.
    old_classes, old_channels : the segmenter's numbers.
    """

    classes: Mapping[str, tuple[int, ...]]
    channels: Mapping[str, tuple[int, ...]]
    new_rows: Tensor
    old_rows: Tensor
    all_known: bool
    old_classes: int
    old_channels: int

    def taken(self, name: str, fresh: Tensor, old: Tensor) -> Tensor | None:
        """The segmenter's tensor in the shape of the network's; None when it does not fit."""
        by_class, by_channel = self.classes.get(name), self.channels.get(name)
        if by_class == () or by_channel == () or (by_class and not len(self.new_rows)):
            return None
        shape = list(fresh.shape)
        for dimension in by_class or ():
            shape[dimension] = self.old_classes
        for dimension in by_channel or ():
            shape[dimension] = self.old_channels
        if list(old.shape) != shape:
            return None
        if by_channel:
            return adapt_channels(old, fresh.shape[1]) if by_channel == (1,) and fresh.ndim == 4 else None
        return self._with_rows(fresh, old, by_class or ())

    def _with_rows(self, fresh: Tensor, old: Tensor, dimensions: tuple[int, ...]) -> Tensor:
        """`fresh` with the values of `old` where all `dimensions` are at classes that both know."""
        if not dimensions:
            return old
        first, *rest = dimensions
        known = self._with_rows(
            fresh.index_select(first, self.new_rows), old.index_select(first, self.old_rows), tuple(rest)
        )
        return fresh.index_copy(first, self.new_rows, known)


def _difference(network: Network, spec: NetworkSpec, classes: ClassTable, init: Segmenter) -> _Difference:
    import torch

    places = {value: place for place, value in enumerate(init.classes.values)}
    rows = [(place, places[value]) for place, value in enumerate(classes.values) if value in places]
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    return _Difference(
        classes={} if classes.values == init.classes.values else _depending_on("classes", spec, shapes),
        channels={} if spec.in_channels == init.channels else _depending_on("in_channels", spec, shapes),
        new_rows=torch.tensor([new for new, _ in rows], dtype=torch.long),
        old_rows=torch.tensor([old for _, old in rows], dtype=torch.long),
        all_known=len(rows) == len(classes),
        old_classes=len(init.classes),
        old_channels=init.channels,
    )


def _depending_on(number: str, spec: NetworkSpec, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Tensors whose shape depends on a number of `spec`, with the dimensions that are this number.

    Seen from a network with one more: other dimensions that have this size do not grow with it.
    """
    count = getattr(spec, number)
    more: dict[str, Any] = {number: count + 1}
    larger = _shapes(dataclasses.replace(spec, **more))
    found: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        grown = larger.get(name, ())
        if grown == shape:
            continue
        pairs = list(enumerate(zip(shape, grown, strict=True))) if len(grown) == len(shape) else []
        dimensions = tuple(d for d, (size, other) in pairs if size != other)
        found[name] = dimensions if all(pairs[d][1] == (count, count + 1) for d in dimensions) else ()
    return found


def _shapes(spec: NetworkSpec) -> dict[str, tuple[int, ...]]:
    """The shapes of a network's tensors, mostly without computing values; random numbers go on as before."""
    import torch

    with seeded(0):
        try:
            with torch.device("meta"):
                network = build(spec, pretrained=False)
        except (InputError, RuntimeError, TypeError):
            # Some networks compute with values while they are made, and this device has none.
            network = build(spec, pretrained=False)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def _same_encoder(one: str, other: str) -> bool:
    return one == other or resolve(one) == resolve(other)


def _part(name: str) -> str:
    """Of which part of the network a tensor is: encoder, decoder or head."""
    return name.partition(".")[0]


def _nothing_fits(model: ModelConfig, wanted: ModelConfig) -> InputError:
    names: tuple[str, ...] = ("encoder", "architecture")
    if wanted.architecture == model.architecture:
        names += ARCHITECTURE_SETTINGS
    pairs = [(name, getattr(model, name)) for name in names]
    keep = " or ".join(f"{name} {value!r}" for name, value in pairs if value != getattr(wanted, name))
    return InputError(
        f"Nothing of the segmenter to start from fits: it is {model.architecture!r} on {model.encoder!r}, and "
        f"{wanted.architecture!r} on {wanted.encoder!r} was asked for; keep its {keep}."
    )
