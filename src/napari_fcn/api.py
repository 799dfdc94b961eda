"""The same verbs as on the command line, for arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .config import DataConfig, ModelConfig, TrainingConfig, usual_with
from .data.normalization import Statistics
from .errors import InputError
from .metrics import Scores, score_pairs
from .options import split

if TYPE_CHECKING:
    from .autoencoder import Autoencoder
    from .imaging import Chain
    from .segmenter import Segmenter
    from .training import Event, Pretraining, RateCurve, Training

__all__ = ["evaluate", "find_rate", "prepare_pretraining", "prepare_training", "pretrain", "process", "train"]


def train(
    images: Any,
    labels: Any,
    *,
    validation_data: tuple[Any, Any] | None = None,
    class_names: Mapping[int, str] | None = None,
    class_colors: Mapping[int, str] | None = None,
    pixel_size: float | None = None,
    init: Segmenter | str | Path | None = None,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    on_event: Callable[[Event], None] | None = None,
    **options: Any,
) -> Segmenter:
    """Teach a network to segment, from images with labels.

    Parameters
    ----------
    images : an array or a list of arrays of any integer or float dtype, with the axes in the option `axes`, guessed
        when that is not given. Sizes may differ, channels may not.
    labels : integers, an array or a list like `images`, each of its image's shape without C. What 0 means is the
        option `zero`.
    validation_data : (images, labels) to measure progress on; without it, blocks of the labels are held out.
    class_names, class_colors : by label value.
    pixel_size : micrometres or map units a pixel, for the record.
    init : a segmenter or its file to start from: all settings of the network that are not given are its own, and its
        weights are taken wherever they fit, also with other classes or channels. Also networks of other programs: a
        BioImage.IO package, a folder of segmentation-models-pytorch's `save_pretrained`, or a state dict (.pth, .pt,
        .safetensors) of one of its networks or torchvision's; what fitted is the training's first note.
    run_dir : a new folder for settings, events, checkpoints and the best segmenter, written while training runs.
    resume : such a folder of a training that was stopped or killed: goes on from its last checkpoint, with its
        settings; images and labels must be the same.
    on_event : called with each event of the training, see `napari_fcn.training.events`. KeyboardInterrupt stops and
        is raised again; to keep what was learnt then, use `prepare_training`.
    options : the fields of `ModelConfig`, `DataConfig` and `TrainingConfig`, such as `architecture`, `transfer`,
        `zero` and `time_budget`.

    Returns
    -------
    Segmenter
        With the weights that were best on the held-out pixels.

    Raises
    ------
    InputError
        Images, labels or options cannot be used; the message says why and what works.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 99, (64, 64), np.uint8)
    >>> labels = (image > 50).astype(np.uint8)
    >>> segmenter = train(image, labels, steps=1, batch_size=1, patch_size=64)
    >>> segmenter.predict(image).shape
    (64, 64)
    """
    training = prepare_training(
        images,
        labels,
        validation_data=validation_data,
        class_names=class_names,
        class_colors=class_colors,
        pixel_size=pixel_size,
        init=init,
        run_dir=run_dir,
        resume=resume,
        **options,
    )
    for event in training.run():
        if on_event is not None:
            on_event(event)
    return training.segmenter()


def prepare_training(
    images: Any,
    labels: Any,
    *,
    validation_data: tuple[Any, Any] | None = None,
    class_names: Mapping[int, str] | None = None,
    class_colors: Mapping[int, str] | None = None,
    pixel_size: float | None = None,
    init: Segmenter | str | Path | None = None,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    paths: Mapping[str, str] | None = None,
    **options: Any,
) -> Training:
    """A training that is checked and ready to run; parameters as for `train`.

    `training.run()` is a generator of events; closing it stops within one step, and `training.segmenter()` gives the
    best weights so far, always.

    Parameters
    ----------
    paths : where images and labels came from, for the run folder's record.
    """
    from .data.examples import prepare
    from .imaging import Chain
    from .losses.class_weights import check_class_weights
    from .models.encoders import encoder_range
    from .segmenter import Segmenter
    from .training import BehindTraining, PixelTraining, RunFolder, Training, is_behind, is_fitted, value_range
    from .training.transfer import starting_weights

    folder = None if resume is None else RunFolder.open(resume)
    if folder is not None:
        if folder.config.get("verb") == "pretrain":
            raise InputError(f"The run in {str(folder.path)!r} learns without labels; go on with `pretrain`.")
        options = {**folder.config["settings"], **options}
        init = options.get("init") if init is None else init
    fitted = ""
    given = dict(options)
    if init is not None and not isinstance(init, Segmenter):
        from .export.start import read_start

        given["init"] = options["init"] = str(Path(init).absolute())
        init, decided, fitted = read_start(init, options)
        options |= decided
    if init is None:
        options = _belonging(options)
    if init is not None:
        options = _continued(init, options)
        class_names = {**init.classes.names, **(class_names or {})}
        class_colors = {**{entry.value: entry.color for entry in init.classes}, **(class_colors or {})}
    model, data, config = split(options, ModelConfig, DataConfig, TrainingConfig)
    check_class_weights(config.class_weights)
    chain = Chain.parse(data.preprocess).require("before", "preprocess")
    preprocess = partial(chain.image, nodata=data.nodata) if chain else None
    if init is None:
        gain_and_offset = encoder_range(model.encoder, starting_weights(model.weights, config.transfer))
    else:
        gain_and_offset = value_range(init, model)
    examples = prepare(
        _reflectance(images, data),
        _listed(labels),
        data,
        encoder_range=gain_and_offset,
        names=class_names,
        colors=class_colors,
        preprocess=preprocess,
        of_weights=partial(_of_weights, model, init),
    )
    validation = None
    if validation_data is not None:
        more_images, more_labels = validation_data
        validation = prepare(
            _reflectance(more_images, data),
            _listed(more_labels),
            data,
            encoder_range=gain_and_offset,
            like=examples,
            preprocess=preprocess,
        )
    kind = PixelTraining if is_fitted(model, config) else BehindTraining if is_behind(model, config, init) else Training
    training = kind(examples, model, data, config, validation=validation, pixel_size=pixel_size, init=init)
    if fitted:
        training.notes = (fitted, *training.notes)
    if run_dir is not None and training.workers.is_first:
        folder = RunFolder.create(run_dir, {"paths": dict(paths or {}), "settings": given})
    if folder is not None:
        training.save_to(folder)
    return training


def _belonging(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, and of architecture and transfer the one that goes with the other where only one is given.

    Transfer "head" without a segmenter to start from fits a pixel head, and another architecture that is asked for
    learns behind it; and the pixel head is fitted unless another way is asked for. Settings of the architecture have
    the values that are usual with the transfer.
    """
    found = {name: value for name, value in options.items() if value is not None}
    if found.get("transfer") == "head":
        found = {"architecture": "pixel", **found}
    elif found.get("architecture") == "pixel":
        found = {"transfer": "head", **found}
    defaults: dict[str, Any] = {entry.name: entry.default for entry in (*fields(ModelConfig), *fields(TrainingConfig))}
    chosen = {**defaults, **found}
    return {**usual_with(chosen["transfer"], chosen["architecture"]), **found}


def _reflectance(images: Any, data: DataConfig) -> list[Any]:
    """Images whose values are reflectance, where that is asked for."""
    if data.reflectance is None:
        return _listed(images)
    from .geo.bands import as_reflectance

    return [as_reflectance(image, data.reflectance, data.nodata) for image in map(_array, _listed(images))]


def _array(image: Any) -> Any:
    return image if hasattr(image, "dtype") else np.asarray(image)


def _of_weights(model: ModelConfig, init: Segmenter | None, channels: int) -> Statistics:
    """The statistics of what an encoder learnt from; a segmenter to start from has its own."""
    from .models.satellite import published_statistics

    if init is not None and init.normalization.dataset is not None and init.channels == channels:
        return init.normalization.dataset
    return Statistics(*published_statistics(model.weights, channels))


def _continued(init: Segmenter, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options, and of those that are not given the segmenter's own."""
    from .training import model_options

    of_model = [entry.name for entry in fields(ModelConfig)]
    model = model_options(init, {name: value for name, value in options.items() if name in of_model})
    rest = {name: value for name, value in options.items() if name not in of_model}
    kept: dict[str, Any] = {"preprocess": str(init.preprocess) or None}
    if "imported" not in init.training:  # of those, nobody knows how their images were standardised
        own = init.training.get("normalization") == "weights"
        kept["normalization"] = "weights" if own else init.normalization.mode
        kept["reflectance"] = init.training.get("reflectance")
    return {**kept, **rest, **model}


def pretrain(
    images: Any,
    *,
    validation_data: Any = None,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    on_event: Callable[[Event], None] | None = None,
    **options: Any,
) -> Autoencoder:
    """Learn from images without labels.

    Parameters
    ----------
    images : an array or a list of arrays, as for `train`.
    validation_data : images to measure progress on; without them, blocks of `images` are held out.
    run_dir, resume, on_event : as for `train`.
    options : the fields of `PretrainingConfig` and `DataConfig`, and of `ModelConfig` those that an autoencoder has,
        such as `kind`, `encoder`, `weights` (what to start from), `code` and `time_budget`.

    Returns
    -------
    Autoencoder
        With the weights that were best on the held-out pixels. `train(..., weights=FILE)` takes its encoder from the
        file that its `save` writes.

    Raises
    ------
    InputError
        Images or options cannot be used; the message says why and what works.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).integers(0, 99, (64, 64), np.uint8)
    >>> autoencoder = pretrain(image, kind="plain", encoder="classic", depth=1, steps=1, batch_size=1, patch_size=32)
    >>> autoencoder.reconstruct(image).shape
    (64, 64)
    """
    training = prepare_pretraining(images, validation_data=validation_data, run_dir=run_dir, resume=resume, **options)
    for event in training.run():
        if on_event is not None:
            on_event(event)
    return training.autoencoder()


def prepare_pretraining(
    images: Any,
    *,
    validation_data: Any = None,
    run_dir: str | Path | None = None,
    resume: str | Path | None = None,
    paths: Mapping[str, str] | None = None,
    **options: Any,
) -> Pretraining:
    """A training without labels that is checked and ready to run; parameters as for `pretrain`.

    `training.run()` is a generator of events; closing it stops within one step, and `training.autoencoder()` gives
    the best weights so far, always.

    Parameters
    ----------
    paths : where images came from, for the run folder's record.
    """
    from .data.unlabelled import prepare_unlabelled
    from .models.encoders import encoder_range
    from .pretraining_config import split_pretraining
    from .training import Pretraining, RunFolder

    folder = None if resume is None else RunFolder.open(resume)
    if folder is not None:
        if folder.config.get("verb") != "pretrain":
            raise InputError(f"The run in {str(folder.path)!r} learns from labels; go on with `train`.")
        options = {**folder.config["settings"], **options}
    model, data, config = split_pretraining(options)
    gain_and_offset = encoder_range(model.encoder, model.weights)
    arrays = _listed(images) if hasattr(images, "shape") or len(images) else []
    examples = prepare_unlabelled(arrays, data, encoder_range=gain_and_offset)
    more = None
    if validation_data is not None:
        more = prepare_unlabelled(_listed(validation_data), data, encoder_range=gain_and_offset, like=examples)
    training = Pretraining(examples, model, data, config, validation=more)
    if run_dir is not None and training.workers.is_first:
        record = {"verb": "pretrain", "paths": dict(paths or {}), "settings": options}
        folder = RunFolder.create(run_dir, record)
    if folder is not None:
        training.save_to(folder)
    return training


def find_rate(
    images: Any, labels: Any, *, on_progress: Callable[[float], None] | None = None, **options: Any
) -> RateCurve:
    """Find a learning rate: learn for some steps at rates that grow from far too low to far too high.

    Parameters
    ----------
    images, labels, options : as for `train`; the rate that is suggested is for exactly these.
    on_progress : called with the finished fraction.

    Returns
    -------
    RateCurve
        Rates, losses and a suggestion, see `napari_fcn.training.rate_finder`.
    """
    from .training import find_rate as search

    run = search(prepare_training(images, labels, **options))
    while True:
        try:
            fraction = next(run)
        except StopIteration as end:
            curve: RateCurve = end.value
            return curve
        if on_progress is not None:
            on_progress(fraction)


def evaluate(
    predictions: Any,
    labels: Any,
    *,
    zero: str = "background",
    ignore: Sequence[int] = (),
    class_names: Mapping[int, str] | None = None,
) -> Scores:
    """Compare predicted labels with the truth.

    Parameters
    ----------
    predictions, labels : integers of the same shape, an array or a list of arrays each.
    zero : "unlabelled" leaves out the pixels whose true label is 0; with "background" 0 is a class.
    ignore : pixels where either side has one of these values are left out.
    class_names : by label value.

    Returns
    -------
    Scores
        From one confusion matrix pooled over all pixels of all arrays.

    Raises
    ------
    InputError
        Shapes differ, labels are no integers, or nothing is left to compare.

    Examples
    --------
    >>> evaluate([[1, 1], [0, 0]], [[1, 0], [0, 0]]).pixel_accuracy
    0.75
    """
    pairs = zip(_listed(predictions), _listed(labels), strict=True)
    return score_pairs(pairs, zero=zero, ignore=ignore, names=class_names)


def process(
    array: Any,
    filters: str | Sequence[str] | Chain,
    axes: str | None = None,
    *,
    image: Any = None,
    image_axes: str | None = None,
    ignore: Sequence[int] = (),
    nodata: float | None = None,
) -> Any:
    """Filter an image, or labels, plane by plane.

    Parameters
    ----------
    array : an image of any integer or float dtype for filters of images, whole numbers for filters of labels.
    filters : such as "median:radius=3 + clahe"; all of them on images, or all on labels.
    axes : of the array, such as "YX" or "ZYXC"; guessed when None.
    image, image_axes : what labels belong to, for filters that need it.
    ignore : label values of pixels that stay as they are.
    nodata : image value of missing pixels.

    Returns
    -------
    An array of the same shape and, where the filtered values allow it, dtype; int32 where objects are numbered.

    Raises
    ------
    InputError
        A filter, a setting or the axes cannot be used; the message says why and what works.

    Examples
    --------
    >>> import numpy as np
    >>> process(np.array([[1, 1, 1], [1, 2, 1], [1, 1, 1]]), "remove_small_objects:size=2").tolist()
    [[1, 1, 1], [1, 1, 1], [1, 1, 1]]
    """
    from .data import guess_axes
    from .imaging import Chain
    from .processing import process_image, process_labels

    chain = Chain.parse(filters)
    array = array if hasattr(array, "dtype") else np.asarray(array)
    if all(step.stage == "before" for step in chain):
        steps = process_image(array, chain, axes or guess_axes(array.shape), nodata=nodata)
    else:
        axes = axes or "TZYX"[-array.ndim :]
        if image is not None and image_axes is None:
            image_axes = guess_axes(image.shape, labels_shape=array.shape)
        details = {"image": image, "image_axes": image_axes, "ignore": ignore, "nodata": nodata}
        steps = process_labels(array, chain, axes, **details)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def _listed(arrays: Any) -> list[Any]:
    """One array or several as a list of arrays; a nested list of numbers is one array."""
    if hasattr(arrays, "shape"):
        return [arrays]
    listed = list(arrays)
    if listed and all(hasattr(array, "shape") for array in listed):
        return listed
    return [arrays]
