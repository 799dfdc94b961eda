"""Finding an encoder's tensors among those of a file, and putting them in.

Files come from many programs, which put the encoder of a network under names of their own. What is searched is
therefore not a name but a place: the prefix under which most of the encoder's tensors stand with the right shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["adapt_channels", "adapt_first_convolution", "fill"]

COUNTER = "num_batches_tracked"
"""What batch normalisation counts and does not use; files may leave it out."""


def fill(
    encoder: nn.Module, tensors: Mapping[str, Tensor], in_channels: int, *, what: str, whose: str, hint: str = ""
) -> None:
    """Put the tensors of a file into an encoder, wherever in the file they stand.

    Parameters
    ----------
    encoder : all of its tensors must be found, but for counters of batches; what else there is, such as a decoder or a
        classifier, is left alone.
    tensors : by name, in any floating point precision.
    in_channels : channels of the encoder's images; the first convolution is adapted from colours.
    what, whose : names of the weights and of the encoder, for messages.
    hint : what to add to the message when they do not fit.

    Raises
    ------
    InputError
        A tensor is missing or has another shape, or the weights are for another number of channels than 3 and yours.
    """
    wanted = encoder.state_dict()
    places = _places(list(wanted))
    found = _under_best_prefix({place: wanted[name] for place, name in places.items()}, tensors, in_channels)
    absent = [place for place in places if place not in found and not places[place].endswith(COUNTER)]
    if absent:
        needed = sum(not name.endswith(COUNTER) for name in wanted)
        example, shape = places[absent[0]], tuple(wanted[places[absent[0]]].shape)
        raise InputError(
            f"{what} do not fit the encoder {whose!r}: {needed - len(absent)} of its {needed} tensors are there with "
            f"the right shape; {example!r} {shape}, for example, is not{hint}."
        )
    for place, tensor in found.items():
        if tensor.shape != wanted[places[place]].shape:
            if tensor.shape[1] != 3:
                raise InputError(
                    f"{what} are for images with {tensor.shape[1]} channels, and can only be used with as many; "
                    f"weights for 3 channels fit any number. Got {in_channels}."
                )
            found[place] = adapt_first_convolution(tensor, in_channels)
    encoder.load_state_dict({**wanted, **{places[place]: tensor for place, tensor in found.items()}})


def _places(names: list[str]) -> dict[str, str]:
    """The encoder's names by the form in which they are compared.

    A dot and an underscore count as the same, because timm's feature extractors turn the first into the second
    ("stages.0" and "stages_0"); and the level "model." that smp puts around timm's is left out, so that it becomes part
    of the prefix where a file has it.
    """
    level = "model." if all(name.startswith("model.") for name in names) else ""
    return {_plain(name.removeprefix(level)): name for name in names}


def _plain(name: str) -> str:
    return name.replace("_", ".")


def _under_best_prefix(
    wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor], in_channels: int
) -> dict[str, Tensor]:
    """The fitting tensors under the prefix that has most of them; the shortest of several."""
    by_prefix: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        plain = _plain(name)
        starts = [0] + [place + 1 for place, letter in enumerate(plain) if letter == "."]
        for start in starts:
            place = plain[start:]
            if place in wanted and _fits(tensor, wanted[place], in_channels):
                by_prefix.setdefault(plain[:start], {})[place] = tensor
    if not by_prefix:
        return {}
    return max(by_prefix.items(), key=lambda item: (len(item[1]), -len(item[0])))[1]


def _fits(tensor: Tensor, wanted: Tensor, in_channels: int) -> bool:
    """Whether a tensor has the shape, or has it but for the channels of a convolution on the image itself."""
    if tensor.is_floating_point() != wanted.is_floating_point():
        return False
    if tensor.shape == wanted.shape:
        return True
    return (
        tensor.ndim == wanted.ndim == 4
        and wanted.shape[1] == in_channels
        and tensor.shape[0] == wanted.shape[0]
        and tensor.shape[2:] == wanted.shape[2:]
    )


def adapt_first_convolution(kernel: Tensor, in_channels: int) -> Tensor:
    """A first kernel `(F, 3, k, k)` for another number of channels, `(F, in_channels, k, k)`.

    One channel gets the sum over the colours, which is exact for a grey photograph; n channels get colour i % 3 scaled
    by 3 / n.
    """
    if in_channels == 3:
        return kernel
    if in_channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    return kernel[:, [i % 3 for i in range(in_channels)]] * (3 / in_channels)


def adapt_channels(kernel: Tensor, in_channels: int) -> Tensor:
    """A first kernel `(F, C, k, k)` for another number of channels, `(F, in_channels, k, k)`.

    One channel gets the sum over all, which is exact where they were equal. Fewer channels than C keep their kernels,
    scaled by C / in_channels so that the activations keep their size; these two are what
    `adapt_first_convolution` does with colours.

    Of more channels than C, the first C are taken to be the known ones and keep their kernels; the others start at
    zero. So the network begins as the very function that was learnt, whatever the new channels hold, and gradients
    reach the new kernels from the first step on (as Brooks, Holynski and Efros 2023, InstructPix2Pix, section 3.2,
    add channels to a trained network). Repeating the kernels would make of the known channels a mixture that the
    network has never seen. A network of one channel is the exception: nothing says which of the new ones it was, so
    they share its kernel equally, and it begins with their mean.

    Examples
    --------
    >>> import torch
    >>> kernel = torch.tensor([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1)
    >>> [adapt_channels(kernel, count).flatten().tolist() for count in (1, 2, 3, 4)]
    [[7.0], [1.5, 3.0], [1.0, 2.0, 4.0], [1.0, 2.0, 4.0, 0.0]]
    >>> adapt_channels(torch.full((1, 1, 1, 1), 6.0), 3).flatten().tolist()
    [2.0, 2.0, 2.0]
    """
    known = kernel.shape[1]
    if in_channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    if in_channels > known > 1:
        adapted = kernel.new_zeros(kernel.shape[0], in_channels, *kernel.shape[2:])
        adapted[:, :known] = kernel
        return adapted
    return kernel[:, [i % known for i in range(in_channels)]] * (known / in_channels)
