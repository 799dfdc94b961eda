"""The verb `process`: filters on files, or saved with a segmenter."""

from __future__ import annotations

import dataclasses
import time
from argparse import Namespace
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data import guess_axes
from ..errors import InputError
from ..imaging import Chain
from ..io import check_output, find_files, output_paths, pair_by_stem, read_image, read_labels, write_labels
from ..io.write import write_image
from ..processing import process_image, process_labels
from ..registry import filters
from .console import Progress, say, show
from .remarks import tell

__all__ = ["filter_list", "process"]


def filter_list() -> str:
    """All filters with their settings, for the end of the help."""
    lines = []
    for stage, title in (("before", "filters of images"), ("after", "filters of labels")):
        lines.append(f"{title}:")
        for name, entry in filters.items():
            if entry.details["stage"] == stage:
                lines.append(f"  {name}: {entry.summary}")
                for key, (default, option) in entry.details["settings"].items():
                    given = "" if default is None else f" ({default})"
                    lines.append(f"      {key}: {option.help}{given}")
    return "\n".join(lines)


def process(arguments: Namespace) -> int:
    """Filter files one after the other, or save the chain with a segmenter."""
    chain = Chain.parse(arguments.filters)
    if not chain:
        raise InputError(f"Give at least one filter: {', '.join(filters)}.")
    begin = time.perf_counter()
    if arguments.model:
        return _save_with_segmenter(arguments, chain)
    main = (arguments.labels or arguments.images) if chain.steps[0].stage == "after" else arguments.images
    if main is None:
        raise InputError("Give the files to filter with --images, or with --labels for filters of labels.")
    if chain.steps[0].stage == "before" and arguments.labels:
        raise InputError(f"The filter {chain.steps[0].name!r} works on images; give them alone, without --labels.")
    files = find_files(main)
    companions = _companions(arguments, chain, files)
    outputs = output_paths(arguments.output, files)
    for path in outputs:
        check_output(path, arguments.overwrite)
    done = 0
    try:
        with Progress("filtering") as progress:
            for file, companion, output in zip(files, companions, outputs, strict=True):
                try:
                    for fraction in _process_file(arguments, chain, file, companion, output):
                        progress.move((done + fraction) / len(files), file.name)
                except InputError as error:
                    message = str(error) if file.name in str(error) else f"{file}: {error}"
                    raise type(error)(message) from None
                done += 1
    except KeyboardInterrupt:
        say(f"napari-fcn: Stopped; {done} of {len(files)} files are filtered, in {arguments.output}.")
        return 130
    seconds = time.perf_counter() - begin
    document = {"filters": chain.to_json(), "outputs": [str(path) for path in outputs], "seconds": round(seconds, 3)}
    text = f"{len(files)} file{'s' * (len(files) != 1)} filtered by {chain} in {seconds:.1f} s, in {arguments.output}."
    show(document, text, arguments.json)
    return 0


def _companions(arguments: Namespace, chain: Chain, files: Sequence[Path]) -> Sequence[Path | None]:
    """The image that belongs to each labels file, where a filter needs it."""
    if chain.needs_probabilities:
        name = next(step.name for step in chain if "probabilities" in step.takes)
        raise InputError(
            f"The filter {name!r} needs probabilities, which only prediction has; save it with a segmenter "
            "(--model MODEL), and 'predict' uses it."
        )
    if not chain.needs_image:
        return [None] * len(files)
    if not (arguments.labels and arguments.images):
        name = next(step.name for step in chain if "image" in step.takes)
        raise InputError(f"The filter {name!r} needs labels and their images; give both, --labels and --images.")
    images = find_files(arguments.images)
    if len(files) == len(images) == 1:
        return images
    pairs, alone = pair_by_stem(files, images)
    if alone:
        raise InputError(f"Every labels file needs its image, of the same name. Got none for {alone[0].name!r}.")
    return [image for _, image in pairs]


def _process_file(
    arguments: Namespace, chain: Chain, path: Path, companion: Path | None, output: Path
) -> Generator[float, None, None]:
    given: str | None = getattr(arguments, "axes", None)
    if chain.steps[0].stage == "before":
        file = read_image(path)
        tell(file.notes)
        axes = given or file.axes or guess_axes(file.array.shape)
        image = yield from process_image(file.array, chain, axes, nodata=file.nodata)
        write_image(output, image, axes=axes, overwrite=arguments.overwrite)
        return
    labels = read_labels(path)
    axes = "TZYX"[-labels.ndim :]
    details: dict[str, Any] = {}
    if companion is not None:
        guide = read_image(companion)
        image_axes = given or guide.axes or guess_axes(guide.array.shape, labels_shape=labels.shape)
        details = {"image": guide.array, "image_axes": image_axes, "nodata": guide.nodata}
    ignore = tuple(value for group in getattr(arguments, "ignore", ()) for value in group)
    result = yield from process_labels(labels, chain, axes, ignore=ignore, **details)
    low, high = int(result.min()), int(result.max())
    if chain.numbers:
        result = result.astype(np.promote_types(np.min_scalar_type(low), np.min_scalar_type(high)))
    write_labels(output, result, axes=axes, overwrite=arguments.overwrite)


def _save_with_segmenter(arguments: Namespace, chain: Chain) -> int:
    """Write a copy of the segmenter that filters its labels by the chain."""
    if arguments.images or arguments.labels:
        raise InputError("Give either files to filter or a segmenter to save the filters with. Got both.")
    if chain.steps[0].stage == "before":
        raise InputError(
            f"Images must be filtered before a segmenter as they were when it learnt. Got {chain.steps[0].name!r}; "
            "give it to train, --preprocess."
        )
    check_output(arguments.output, arguments.overwrite)
    from ..segmenter import Segmenter

    segmenter = dataclasses.replace(Segmenter.load(arguments.model), postprocess=chain)
    path = segmenter.save(arguments.output, overwrite=arguments.overwrite)
    document = {"filters": chain.to_json(), "output": str(path)}
    show(document, f"Predictions of {path} go through {chain}.", arguments.json)
    return 0
