"""The autoencoder that learnt from images without labels: what it gives back, its code, drafts, and its file.

The file is one of encoder weights too: `--weights FILE` takes its encoder into every architecture that has the same.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .autoencoder_file import FORMAT, WHAT, is_autoencoder, read_autoencoder
from .config import ModelConfig, PredictionConfig
from .data import Normalization, Planes, check_axes, guess_axes
from .errors import FcnError, InputError, SegmenterFileError, UnknownNameError
from .io.tensor_file import save_tensors
from .models import NetworkSpec, build
from .registry import nearest

if TYPE_CHECKING:
    from torch import Tensor

    from .data.normalization import Statistics
    from .inference.codes import LinearMap
    from .inference.engine import Engine
    from .models.base import Network

__all__ = ["FORMAT", "OUTPUTS", "Autoencoder", "is_autoencoder"]

TILE = 512
"""Side of the tiles when nobody says, in pixels."""
OUTPUTS = {
    "reconstruction": "reconstruction: what comes back through the code",
    "residual": "residual: the image minus what comes back, what the autoencoder does not know",
    "denoised": "image without noise: of a denoising autoencoder alone",
    "code": "code as colours: its three principal components as red, green and blue",
    "draft": "draft labels: places with a similar code, to start painting from",
}
"""What an autoencoder makes of an image: the name for people, then what it is."""
DETAILS = {
    "code": "the code alone: coarse",
    "fine": "the code and all finer features of the encoder",
}
"""What colours and drafts are made of."""


@dataclass(frozen=True)
class Autoencoder:
    """A network that has learnt to give images back through a code.

    Attributes
    ----------
    network : fp32, on the CPU; its outputs are standardised images.
    model : encoder, code, upsampling and where the encoder's weights came from.
    channels : channels of its images.
    normalization : how images are standardised.
    code : "plain", "gaussian" (variational) or "sigmoid".
    training : settings that it was trained with; its `kind` among them.
    history : what happened: steps, seconds, losses, the data's fingerprint, package versions, date.
    further : stages of the encoder beyond the network's depth, as they were at the start: for the file alone.

    Examples
    --------
    >>> autoencoder = Autoencoder.load("tissue.safetensors")  # doctest: +SKIP
    >>> residual = autoencoder.residual(image)  # doctest: +SKIP
    """

    network: Network
    model: ModelConfig
    channels: int
    normalization: Normalization
    code: str = "plain"
    training: Mapping[str, Any] = field(default_factory=dict)
    history: Mapping[str, Any] = field(default_factory=dict)
    further: Mapping[str, Tensor] = field(default_factory=dict)

    def reconstruct(self, image: Any, axes: str | None = None, **options: Any) -> npt.NDArray[np.float32]:
        """What comes back through the code: float32 in the image's shape and units, NaN where there is no data.

        Parameters
        ----------
        image : array of any integer or float dtype, also dask or zarr.
        axes : such as "YX", "YXC", "TZCYX"; as in training, or guessed, when None.
        options : `channels`, those of the training when None; `on_progress`, called with the finished fraction; and
            the fields of `PredictionConfig`.

        Raises
        ------
        InputError
            Axes or channels do not fit.
        """
        return self._make("reconstruction", image, axes, **options)

    def residual(self, image: Any, axes: str | None = None, **options: Any) -> npt.NDArray[np.float32]:
        """The image minus its reconstruction; parameters and result as for `reconstruct`."""
        return self._make("residual", image, axes, **options)

    def denoise(self, image: Any, axes: str | None = None, **options: Any) -> npt.NDArray[Any]:
        """The image without noise, in its own dtype, and as it was where there is no data; as `reconstruct`.

        Raises
        ------
        InputError
            It is not a denoising autoencoder, or axes or channels do not fit.
        """
        return self._make("denoised", image, axes, **options)

    def code_image(
        self, image: Any, axes: str | None = None, *, detail: str = "code", **options: Any
    ) -> npt.NDArray[np.float32]:
        """The code's three principal components as colours: float32 in [0, 1], `(*spatial, 3)`; NaN without data.

        `spatial` is the image's shape without C. With `detail` "fine" the encoder's finer features take part. Other
        parameters as for `reconstruct`.
        """
        return self._make("code", image, axes, detail=detail, **options)

    def draft_labels(
        self, image: Any, classes: int = 4, axes: str | None = None, *, detail: str = "fine", **options: Any
    ) -> npt.NDArray[np.uint8]:
        """Labels 1, 2, ... of places with a similar code, the most common first, and 0 without data: uint8 `spatial`.

        k-means on what `detail` names, a draft to start painting from. Other parameters as for `reconstruct`.

        Raises
        ------
        MissingExtraError
            scikit-learn is not installed (extra `drafts`).
        InputError
            `classes` is not from 2 to 255, or the image has fewer different places.
        """
        return self._make("draft", image, axes, classes=classes, detail=detail, **options)

    def sample(self, count: int = 1, size: int = 128, seed: int = 0) -> npt.NDArray[np.float32]:
        """New images from random codes, of a variational autoencoder: float32 `(count, C, size, size)`.

        Values are standardised: mean 0, deviation 1 of each channel.

        Raises
        ------
        InputError
            The kind is another one, or upsampling needs the indices of an image.
        """
        import torch

        from .inference.engine import evaluating

        if self.code != "gaussian":
            raise InputError(f"Only a variational autoencoder can be sampled. Got kind {self.training.get('kind')!r}.")
        if self.model.upsampling == "max_unpool":
            raise InputError("Max unpooling needs an image, and a random code has none; use another upsampling.")
        decoder: Any = self.network.decoder
        side = -(-size // self.network.stride)
        codes = torch.randn(
            count, decoder.to_code.out_channels, side, side, generator=torch.Generator().manual_seed(seed)
        )
        with evaluating(self.network):
            images = self.network.judge(decoder.decode(codes))[..., :size, :size]
        made: npt.NDArray[np.float32] = images.numpy()
        return made

    def steps(
        self,
        output: str,
        image: Any,
        axes: str | None = None,
        *,
        channels: tuple[int, ...] | None = None,
        classes: int = 4,
        detail: str | None = None,
        **options: Any,
    ) -> Generator[float, None, npt.NDArray[Any]]:
        """One of `OUTPUTS`, as a generator of finished fractions that returns the array.

        Closing it stops after the current row of tiles. Parameters as for the methods that make these outputs.
        """
        from .inference.engine import choose_engine
        from .inference.outputs import colors, in_units, labels

        _check_name("output", output, OUTPUTS)
        detail = detail or ("fine" if output == "draft" else "code")
        _check_name("detail", detail, DETAILS)
        if output == "denoised" and self.training.get("kind") != "denoising":
            raise InputError(
                f"Only a denoising autoencoder removes noise. Got kind {self.training.get('kind')!r}; its "
                f"reconstruction is what it can give."
            )
        if output == "draft" and not 2 <= classes <= 255:
            raise InputError(f"`classes` must be from 2 to 255. Got {classes}.")
        config = PredictionConfig(**options)
        planes = self._planes(image, axes, channels)
        # Values of reduced precision would be seen in the image, where labels hardly change.
        engine = replace(choose_engine(config.device), precision="float32")
        engine.place(self.network).eval()
        statistics = self.normalization.fit(planes)
        if output in ("code", "draft"):
            mapping = yield from self._mapping(output, planes, statistics, engine, detail, classes)
            compute = partial(mapping.of_images, levels=partial(self._levels, detail=detail))
            finish = colors if output == "code" else labels
            made = np.empty((3, *planes.spatial_shape), np.float32) if output == "code" else None
            result = np.empty(planes.spatial_shape, np.uint8) if made is None else made
            count = len(mapping.bias)
            yield from self._fill(result, planes, statistics, engine, config, count, compute, finish)
            return result if made is None else np.moveaxis(made, 0, -1)
        whole = np.empty((planes.channels, *planes.spatial_shape), planes.array.dtype if output == "denoised" else "f4")
        finish = partial(in_units, statistics=statistics, output=output)
        count = planes.channels
        yield from self._fill(whole, planes, statistics, engine, config, count, self.network, finish)
        return np.moveaxis(whole, 0, planes.axes.index("C")) if "C" in planes.axes else whole[0]

    def _make(
        self, output: str, *arguments: Any, on_progress: Callable[[float], None] | None = None, **options: Any
    ) -> npt.NDArray[Any]:
        steps = self.steps(output, *arguments, **options)
        while True:
            try:
                fraction = next(steps)
            except StopIteration as end:
                result: npt.NDArray[Any] = end.value
                return result
            if on_progress is not None:
                on_progress(fraction)

    def _mapping(
        self, output: str, planes: Planes, statistics: Statistics, engine: Engine, detail: str, classes: int
    ) -> Generator[float, None, LinearMap]:
        from .inference.codes import cluster_map, color_map, sample_features

        yield 0.0
        vectors = sample_features(
            partial(self._levels, detail=detail),
            planes,
            normalization=self.normalization,
            channel_statistics=statistics,
            engine=engine,
        )
        return color_map(vectors) if output == "code" else cluster_map(vectors, classes)

    def _levels(self, images: Tensor, detail: str) -> list[tuple[int, Tensor]]:
        """The code, with "fine" also the encoder's feature maps, each with its stride."""
        features = self.network.features(images)
        decoder: Any = self.network.decoder
        levels: list[tuple[int, Tensor]] = [(self.network.stride, decoder.encode(features))]
        if detail == "fine":
            depth = len(decoder.levels)
            levels += [(2**n, features[n]) for n in range(1, depth + 1) if features[n].shape[1]]
        return levels

    def _fill(
        self,
        result: npt.NDArray[Any],
        planes: Planes,
        statistics: Statistics,
        engine: Engine,
        config: PredictionConfig,
        count: int,
        compute: Callable[[Tensor], Tensor],
        finish: Callable[[Any], npt.NDArray[Any]],
    ) -> Generator[float, None, None]:
        """Compute maps and put what `finish` makes of their parts into place."""
        from .inference.maps import map_parts
        from .inference.tiles import TileGrid

        grid = TileGrid(planes.height, planes.width, config.tile_size or TILE, config.overlap)
        for plane in range(len(planes)):
            parts = map_parts(
                compute,
                planes,
                plane,
                count=count,
                normalization=self.normalization,
                channel_statistics=statistics,
                grid=grid,
                engine=engine,
            )
            for part in parts:
                made = finish(part)
                if made.ndim == 2:
                    planes.plane_of(result, plane)[part.rows, part.columns] = made
                else:
                    for number, its in enumerate(made):
                        planes.plane_of(result[number], plane)[part.rows, part.columns] = its
                if part.columns.stop == planes.width:
                    yield (plane + part.rows.stop / planes.height) / len(planes)

    def _planes(self, image: Any, axes: str | None, channels: tuple[int, ...] | None) -> Planes:
        if not hasattr(image, "dtype"):
            image = np.asarray(image)
        trained, shape = self.training.get("axes"), tuple(image.shape)
        if axes is None and trained and len(trained) == len(shape):
            axes = trained
        picked = channels or self.training.get("channels")
        axes = check_axes(axes, shape) if axes else guess_axes(shape, channels=self.channels)
        planes = Planes(image, axes)
        if planes.channels != self.channels or channels:
            planes = Planes(image, axes, tuple(picked) if picked else None)
        if planes.channels != self.channels:
            raise InputError(
                f"This autoencoder learnt from images with {self.channels} channel{'s' * (self.channels != 1)}. "
                f"Got {planes.channels} (shape {shape}, axes {planes.axes})."
            )
        return planes

    def to_json(self) -> dict[str, Any]:
        """The document that the file carries beside its tensors."""
        return {
            "what": WHAT,
            "format": FORMAT,
            "model": self.model.to_json(),
            "channels": self.channels,
            "normalization": self.normalization.to_json(),
            "code": self.code,
            "training": dict(self.training),
            "history": dict(self.history),
        }

    def describe(self) -> str:
        """A few lines about the autoencoder, for people."""
        history = self.history
        lines = [
            f"{self.training.get('kind', 'plain')} autoencoder on {self.model.encoder} ({self.model.weights} weights), "
            f"{self.network.count():,} parameters",
            f"channels: {self.channels}; code: {self.model.code} channels at stride {self.network.stride}",
        ]
        if history:
            lines.append(f"trained {history['seconds']:.0f} s, {history['steps']} steps, {history['date'][:10]}")
            if history.get("loss") is not None:
                lines.append(f"loss on held-out pixels: {history['loss']:.4f}, of the mean {history['mean_loss']:.4f}")
        return "\n".join(lines)

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write it to one `.safetensors` file, complete or not at all; `weights=FILE` takes the encoder from there.

        Raises
        ------
        OutputError
            The file exists and `overwrite` is not set, or the place cannot be written.
        """
        whole = {**self.further, **self.network.state_dict()}
        return save_tensors(path, whole, self.to_json(), what="An autoencoder", overwrite=overwrite)

    @classmethod
    def load(cls, path: str | Path) -> Autoencoder:
        """Read an autoencoder; needs no network.

        Raises
        ------
        SegmenterFileError
            There is no such file, or it is damaged, of another kind, of a newer format or inconsistent.
        """
        document, tensors = read_autoencoder(Path(path))
        try:
            model = ModelConfig.from_json(document["model"])
            channels, code = int(document["channels"]), str(document["code"])
            network = build(NetworkSpec(model, channels, channels), pretrained=False)
            decoder: Any = network.decoder
            decoder.make_code(code)
            normalization = Normalization.from_json(document["normalization"])
            training, history = document["training"], document["history"]
        except (KeyError, TypeError, ValueError, AttributeError, FcnError) as error:
            reason = str(error).rstrip(".") or type(error).__name__
            raise SegmenterFileError(f"{str(path)!r} is not a complete autoencoder ({reason}).") from error
        wanted = network.state_dict()
        wrong = [n for n, tensor in wanted.items() if n not in tensors or tensors[n].shape != tensor.shape]
        wrong += [n for n in tensors if n not in wanted and not n.startswith("encoder.")]
        if wrong:
            raise SegmenterFileError(
                f"{str(path)!r} does not fit the network that it names: {len(wrong)} tensors are wrong, such as "
                f"{wrong[0]}."
            )
        network.load_state_dict({name: tensors[name] for name in wanted})
        further = {name: tensor for name, tensor in tensors.items() if name not in wanted}
        return cls(network.eval(), model, channels, normalization, code, training, history, further)


def _check_name(what: str, name: str, known: Iterable[str]) -> None:
    names = list(known)
    if name not in names:
        close = nearest(name, names)
        hint = f"the nearest is {close!r}" if close else f"known are {', '.join(names)}"
        raise UnknownNameError(f"There is no {what} {name!r}; {hint}.")
