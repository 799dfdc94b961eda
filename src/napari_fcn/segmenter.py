"""The segmenter: a trained network with all that it takes to use it, in memory and as one file."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from .config import ModelConfig, PredictionConfig, settings_of
from .data import ClassTable, Normalization, Planes, check_axes, guess_axes
from .errors import FcnError, InputError, SegmenterFileError
from .geo.bands import as_reflectance
from .imaging import Chain
from .io.tensor_file import KEY, save_tensors
from .models import NetworkSpec
from .models.build import build_with

if TYPE_CHECKING:
    from distributed import Client

    from .inference.predictor import Output, Predictor
    from .io.pieces import Sink
    from .models.base import Network

__all__ = ["FORMAT", "KEY", "Segmenter"]

FORMAT = 2
"""Version of the file format; a file of a higher one is refused. Format 1 named an upsampling for all architectures."""


@dataclass(frozen=True)
class Segmenter:
    """A trained network that segments images.

    Attributes
    ----------
    network : fp32, on the CPU.
    model : architecture, encoder and where its weights came from.
    channels : channels of its images.
    classes : label values, names and colours.
    normalization : how images are standardised.
    training : settings that it was trained with.
    history : what happened: steps, seconds, scores, the data's fingerprint, package versions, date.
    pixel_size : micrometres or map units a pixel, where known.
    preprocess : filters that images go through before they are standardised, as in training.
    postprocess : filters that labels go through after prediction.

    Examples
    --------
    >>> segmenter = Segmenter.load("nuclei.safetensors")  # doctest: +SKIP
    >>> labels = segmenter.predict(image)  # doctest: +SKIP
    """

    network: Network
    model: ModelConfig
    channels: int
    classes: ClassTable
    normalization: Normalization
    training: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    pixel_size: float | None = None
    preprocess: Chain = field(default_factory=Chain)
    postprocess: Chain = field(default_factory=Chain)

    def __post_init__(self) -> None:
        self.preprocess.require("before", "preprocess")
        self.postprocess.require("after", "postprocess")

    @property
    def nodata_value(self) -> int:
        """The label value that prediction writes where there is no data."""
        return self.classes.nodata_value

    @overload
    def predict(
        self,
        image: Any,
        axes: str | None = None,
        *,
        channels: tuple[int, ...] | None = None,
        probabilities: Literal[False] = False,
        on_progress: Callable[[float], None] | None = None,
        **options: Any,
    ) -> npt.NDArray[Any]: ...

    @overload
    def predict(
        self,
        image: Any,
        axes: str | None = None,
        *,
        channels: tuple[int, ...] | None = None,
        probabilities: Literal[True],
        on_progress: Callable[[float], None] | None = None,
        **options: Any,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]: ...

    def predict(
        self,
        image: Any,
        axes: str | None = None,
        *,
        channels: tuple[int, ...] | None = None,
        probabilities: bool = False,
        on_progress: Callable[[float], None] | None = None,
        **options: Any,
    ) -> npt.NDArray[Any] | tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Segment an image of any size.

        Parameters
        ----------
        image : array of any integer or float dtype, also dask or zarr, or a multiscale one as napari has it.
        axes : such as "YX", "YXC", "TZCYX"; guessed from shape and channels when None.
        channels : indices of the channels to use; those of the training when None and the image has as many channels
            as the training images had.
        probabilities : also return class probabilities.
        on_progress : called with the finished fraction, between 0 and 1.
        options : fields of `PredictionConfig`, such as `tile_size`, `overlap`, `tta` and `device`.

        Returns
        -------
        labels : the painted label values, over the image's axes without C, in the smallest dtype that holds them;
            `nodata_value` where there is no data. After `postprocess`; int32 where that numbers objects.
        probabilities : float32 `(K, *labels.shape)`, only with `probabilities=True`.

        Raises
        ------
        InputError
            Axes or channels do not fit.
        """
        steps = self.predict_steps(image, axes, channels=channels, probabilities=probabilities, **options)
        while True:
            try:
                fraction = next(steps)
            except StopIteration as end:
                labels, scores = end.value
                return labels if scores is None else (labels, scores)
            if on_progress is not None:
                on_progress(fraction)

    def predict_steps(
        self,
        image: Any,
        axes: str | None = None,
        *,
        channels: tuple[int, ...] | None = None,
        probabilities: bool = False,
        **options: Any,
    ) -> Generator[float, None, tuple[npt.NDArray[Any], npt.NDArray[np.float32] | None]]:
        """As `predict`, as a generator of finished fractions that returns (labels, probabilities or None).

        Closing it stops after the tile under way.
        """
        from .inference.predictor import Output
        from .inference.whole_planes import WholePlanes
        from .io.pieces import ArraySink

        predictor = self.predictor(image, axes, channels=channels, **options)
        labels = np.empty(predictor.frame.shape, self.postprocess.labels_dtype(self.classes.dtype))
        into: Sink = ArraySink(labels, predictor.frame)
        outputs = WholePlanes(into, self, predictor).outputs() if self.postprocess else [Output("labels", into)]
        scores = None
        if probabilities:
            scores = np.empty((len(self.classes), *predictor.frame.shape), np.float32)
            outputs.append(Output("probabilities", ArraySink(scores, predictor.frame)))
        yield from self.write(predictor, outputs)
        return labels, scores

    def write(
        self,
        predictor: Predictor,
        outputs: Sequence[Output],
        *,
        done: Sequence[int] | None = None,
        folder: Path | None = None,
    ) -> Iterator[float]:
        """Segment the image of a predictor into sinks, in the planes that its settings name, giving the fraction.

        The caller finishes the sinks, or aborts them; closing the generator stops after the tile under way.

        Parameters
        ----------
        predictor : from `predictor`.
        outputs : what is wanted, labels, probabilities or uncertainty, and where it goes.
        done : rows of each plane that the sinks have already.
        folder : for large intermediate results of 'ortho' planes.
        """
        if predictor.config.planes == "own":
            yield from predictor.write(outputs, done)
            return
        from .inference.ortho import DIRECTIONS, predict_in_three_directions, turned_axes

        planes, options = predictor.planes, predictor.config.to_json()
        others = [
            self.predictor(planes.array, turned_axes(planes.axes, direction), channels=planes.selection, **options)
            for direction in DIRECTIONS[1:]
        ]
        for other in others:
            other.statistics = predictor.statistics
        yield from predict_in_three_directions([predictor, *others], outputs, folder)

    def predictor(
        self,
        image: Any,
        axes: str | None = None,
        *,
        channels: tuple[int, ...] | None = None,
        plan: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Predictor:
        """The segmenter made ready for one image, to have finished regions one by one or written to sinks.

        Parameters
        ----------
        image, axes, channels, options : as for `predict`.
        plan : the `plan` of an earlier predictor of the same image, to go on with the same tiles and engine.

        Examples
        --------
        >>> predictor = segmenter.predictor(image)  # doctest: +SKIP
        >>> for region in predictor.regions(first=(0, slice(0, 512), slice(0, 512))):  # doctest: +SKIP
        ...     show(region.rows, region.columns, region.probabilities.argmax(axis=0))
        """
        from .inference.predictor import Predictor

        config = PredictionConfig(**options)
        planes = self._planes(image, axes, channels)
        return Predictor(
            self.network,
            planes,
            classes=self.classes,
            normalization=self.normalization,
            config=config,
            plan=plan,
        )

    def finish_plane(
        self,
        labels: npt.NDArray[Any],
        *,
        image: npt.NDArray[Any] | None = None,
        probabilities: npt.NDArray[np.float32] | None = None,
        first: int = 1,
    ) -> npt.NDArray[Any]:
        """A predicted plane `(H, W)` of label values after `postprocess`, which sees it whole.

        Parameters
        ----------
        image : `(C, H, W)`, only where `postprocess.needs_image`.
        probabilities : `(K, H, W)`, only where `postprocess.needs_probabilities`.
        first : the lowest number for objects, where they are numbered.
        """
        return self.postprocess.labels(
            labels,
            image=image,
            probabilities=probabilities,
            values=self.classes.values,
            ignore=(self.nodata_value,),
            nodata=self.normalization.nodata,
            first=first,
        )

    def predict_to(
        self,
        image: Any,
        axes: str | None = None,
        *,
        labels: str | Path,
        probabilities: str | Path | None = None,
        uncertainty: str | Path | None = None,
        client: Client | None = None,
        resume: bool = False,
        overwrite: bool = False,
        on_progress: Callable[[float], None] | None = None,
        **options: Any,
    ) -> None:
        """Segment an image of any size into files, with the memory of a few tiles.

        Parameters
        ----------
        image, axes, options : as for `predict`; what is larger than the memory is a dask or Zarr array, or what
            `napari_fcn.io.read_image` gives of a file.
        labels, probabilities, uncertainty : where they go: `.zarr`, `.ome.zarr`, `.tif` or `.npy`.
        client : a `distributed.Client`, whose cluster then does the work.
        resume : go on where an earlier call with the same arguments was interrupted.
        overwrite : whether files that are there may be replaced.
        on_progress : called with the finished fraction.

        Raises
        ------
        InputError
            Image or settings cannot be used.
        OutputError
            A place cannot be written, or holds a result already.
        """
        from .inference.to_files import to_files

        targets = {"labels": labels, "probabilities": probabilities, "uncertainty": uncertainty}
        paths: Any = {kind: Path(path) for kind, path in targets.items() if path is not None}
        steps = to_files(self, image, axes, paths, client=client, resume=resume, overwrite=overwrite, **options)
        for fraction in steps:
            if on_progress is not None:
                on_progress(fraction)

    def axes_for(self, shape: tuple[int, ...], axes: str | None = None) -> str:
        """The axes of an image of this shape: as given, as in training where that fits, else the most likely ones."""
        if axes:
            return check_axes(axes, shape)
        trained = self.training.get("axes")
        picked = self.training.get("channels")
        wanted = max(picked) + 1 if picked else self.channels
        if trained and len(trained) == len(shape):
            available = shape[trained.index("C")] if "C" in trained else 1
            if available == self.channels or available >= wanted > self.channels:
                return str(trained)
        return guess_axes(shape, channels=wanted)

    def settled_on(self, image: Any, axes: str | None = None) -> Segmenter:
        """A segmenter with the statistics of `image`, by which parts of it are segmented as the whole would be."""
        normalization = self.normalization
        if normalization.mode == "dataset":
            return self
        statistics = normalization.fit(self._planes(image, axes, None))
        return replace(self, normalization=replace(normalization, mode="dataset", dataset=statistics))

    def _planes(self, image: Any, axes: str | None, channels: tuple[int, ...] | None) -> Planes:
        """The image as planes with the model's channels, or an error that says what the model wants."""
        image = as_reflectance(full_resolution(image), self.training.get("reflectance"), self.normalization.nodata)
        axes = self.axes_for(tuple(image.shape), axes)
        prepare = partial(self.preprocess.image, nodata=self.normalization.nodata) if self.preprocess else None
        planes = Planes(image, axes, channels, prepare)
        picked = self.training.get("channels")
        if channels is None and picked and planes.channels > max(picked) and planes.channels != self.channels:
            planes = Planes(image, axes, tuple(picked), prepare)
        if planes.channels != self.channels:
            raise InputError(
                f"This segmenter was trained on images with {self.channels} channel{'s' * (self.channels != 1)}. "
                f"Got {planes.channels} (shape {tuple(image.shape)}, axes {planes.axes})."
            )
        return planes

    def to_json(self) -> dict[str, Any]:
        """The document that the file carries beside its tensors."""
        return {
            "format": FORMAT,
            "model": self.model.to_json(),
            "channels": self.channels,
            "classes": self.classes.to_json(),
            "normalization": self.normalization.to_json(),
            "pixel_size": self.pixel_size,
            "training": dict(self.training),
            "history": dict(self.history),
            "preprocess": self.preprocess.to_json(),
            "postprocess": self.postprocess.to_json(),
        }

    def describe(self) -> str:
        """A few lines about the segmenter, for people."""
        classes = ", ".join(f"{entry.value} = {entry.name}" for entry in self.classes)
        beside = "beside a pixel head " if hasattr(self.network, "beside") else ""
        lines = [
            f"{self.model.architecture} {beside}on {self.model.encoder} ({self.model.weights} weights), "
            f"{self.network.count():,} parameters",
            f"channels: {self.channels}; standardised by {self.normalization.mode}",
            f"classes: {classes}",
        ]
        for word, chain in (("before it sees an image", self.preprocess), ("after it", self.postprocess)):
            if chain:
                lines.append(f"{word}: {chain}")
        if self.history:
            lines.append(
                f"trained {self.history['seconds']:.0f} s, {self.history['steps']} steps "
                f"({self.training.get('transfer')}), {self.history['date'][:10]}"
            )
            score = (self.history.get("scores") or {}).get("mean_iou")
            if score is not None:
                lines.append(f"mean IoU on held-out pixels: {score:.3f}")
        return "\n".join(lines)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the segmenter to one `.safetensors` file, complete or not at all.

        Raises
        ------
        OutputError
            The file exists and `overwrite` is not set, or the place cannot be written.
        """
        return save_tensors(path, self.network.state_dict(), self.to_json(), what="A segmenter", overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Segmenter:
        """Read a segmenter; needs no network, whatever the encoder.

        Raises
        ------
        SegmenterFileError
            There is no such file, or it is damaged, of another kind, of a newer format or inconsistent.
        """
        document, tensors = _read(Path(path))
        try:
            model = ModelConfig.from_json(_model_settings(document))
            classes = ClassTable.from_json(document["classes"])
            channels = int(document["channels"])
            network = build_with(NetworkSpec(model, channels, len(classes)), tensors)
            normalization = Normalization.from_json(document["normalization"])
            size = document["pixel_size"]
            rest: dict[str, Any] = {"training": document["training"], "history": document["history"]}
            # Older files have none.
            rest |= {key: Chain.from_json(document.get(key, [])) for key in ("preprocess", "postprocess")}
        except (KeyError, TypeError, ValueError, FcnError) as error:
            raise SegmenterFileError(f"{str(path)!r} is not a complete segmenter ({_reason(error)}).") from error
        _fill(network, tensors, path)
        return cls(network.eval(), model, channels, classes, normalization, pixel_size=size, **rest)


def full_resolution(image: Any) -> Any:
    """An array: of the levels of a multiscale image, as napari has them, the finest."""
    if hasattr(image, "dtype"):
        return image
    levels = list(image) if isinstance(image, Sequence) or hasattr(image, "__getitem__") else []
    if len(levels) > 1 and all(hasattr(level, "dtype") for level in levels):
        sizes = [tuple(level.shape) for level in levels]
        if all(
            len(a) == len(b) and a != b and all(x >= y for x, y in zip(a, b, strict=True)) for a, b in pairwise(sizes)
        ):
            return levels[0]
    return np.asarray(image)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document and the tensors of a segmenter's file."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise SegmenterFileError(f"There is no segmenter file {str(path)!r}.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (SafetensorError, OSError, ValueError) as error:
        raise SegmenterFileError(
            f"{str(path)!r} is damaged or no segmenter; a segmenter is a .safetensors file that this program wrote."
        ) from error
    if KEY not in metadata:
        raise SegmenterFileError(
            f"{str(path)!r} holds tensors, but is no segmenter: it was written by another program."
        )
    try:
        document: dict[str, Any] = json.loads(metadata[KEY])
        if document.get("what") == "autoencoder":
            raise SegmenterFileError(
                f"{str(path)!r} is an autoencoder, which knows no classes; train a segmenter with its encoder "
                f"(weights {str(path)!r})."
            )
        newest = int(document["format"])
    except SegmenterFileError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise SegmenterFileError(f"{str(path)!r} is not a complete segmenter ({_reason(error)}).") from error
    if newest > FORMAT:
        raise SegmenterFileError(
            f"{str(path)!r} was written by a newer napari-fcn (format {newest}, this one reads up to {FORMAT}); update "
            f"napari-fcn."
        )
    return document, tensors


def _model_settings(document: dict[str, Any]) -> dict[str, Any]:
    """The settings of the model in a document of this format or an older one."""
    settings: dict[str, Any] = dict(document["model"])
    if int(document["format"]) < 2 and "upsampling" not in settings_of(settings["architecture"]):
        settings.pop("upsampling", None)
    return settings


def _fill(network: Network, tensors: dict[str, Any], path: str | Path) -> None:
    """Put the tensors into the network when every one of them fits."""
    wanted = network.state_dict()
    wrong = sorted(set(wanted) ^ set(tensors)) or [n for n, t in wanted.items() if t.shape != tensors[n].shape]
    if wrong:
        raise SegmenterFileError(
            f"{str(path)!r} does not fit the network that it names: {len(wrong)} tensors are wrong, such as {wrong[0]}."
        )
    network.load_state_dict(tensors)


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]!r} is missing"
    return str(error).rstrip(".") or type(error).__name__


def now() -> str:
    """Date and time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Versions of the packages that a result depends on."""
    names = ("napari-fcn", "torch", "segmentation-models-pytorch", "timm", "numpy")
    return {name: version(name) for name in names}
