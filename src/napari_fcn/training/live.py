"""Live: a pixel head that is fitted anew whenever labels change, on features that are computed once."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from ..config import DataConfig, ModelConfig, TrainingConfig
from ..data.axes import Planes
from ..data.examples import Examples, prepare
from ..data.normalization import Normalization, Statistics
from ..data.normalization_choice import PRESUMED
from ..imaging import Chain
from ..inference.engine import choose_engine
from ..inference.predict import uncertainty
from ..models import NetworkSpec, build
from ..models.encoders import encoder_range
from ..segmenter import Segmenter, now, versions
from .loop import fingerprint
from .pixel_fit import FeatureStore, choose_pixels, fit, look_at, places, together
from .preview import Window
from .random_numbers import seeded
from .sizes import free_memory

if TYPE_CHECKING:
    from ..models.pixel_network import PixelNetwork

__all__ = ["LivePixels", "Seen"]

MEMORY_SHARE = 0.25
"""Part of the free memory that features may take, unless somebody says how much."""
LIVE_MOST = 3000
"""Pixels of each class that an update learns from: it has to be quick."""


@dataclass(frozen=True)
class Seen:
    """A window as the head segments it.

    Attributes
    ----------
    window : where.
    labels : label values `(h, w)`.
    uncertainty : float32 `(h, w)`, the entropy of the classes from 0 to 1.
    """

    window: Window
    labels: npt.NDArray[Any]
    uncertainty: npt.NDArray[np.float32]


class LivePixels:
    """A conversation: paint, see, correct.

    Parameters
    ----------
    images, axes : as for `napari_fcn.train`; they must not change meanwhile.
    options : fields of `ModelConfig` (encoder and weights), `DataConfig` and `TrainingConfig` (seed, device,
        feature_memory); others are left to trainings.
    class_names, class_colors : by label value.

    Attributes
    ----------
    fitted : whether there is anything to see yet.
    updates : how often it was fitted.

    Examples
    --------
    >>> live = LivePixels([image], "YX", zero="unlabelled")  # doctest: +SKIP
    >>> live.update([labels])  # doctest: +SKIP
    >>> seen = live.see(Window(0, (), slice(0, 512), slice(0, 512)))  # doctest: +SKIP
    """

    def __init__(
        self,
        images: Sequence[Any],
        axes: str,
        *,
        model: ModelConfig,
        data: DataConfig,
        config: TrainingConfig,
        class_names: Mapping[int, str] | None = None,
        class_colors: Mapping[int, str] | None = None,
        pixel_size: float | None = None,
    ) -> None:
        self._images, self._axes = list(images), axes
        self.model, self.data, self.config = model, replace(data, axes=axes), config
        self._names, self._colors, self._pixel_size = class_names, class_colors, pixel_size
        self.engine = choose_engine(config.device)
        memory = (
            MEMORY_SHARE * free_memory(self.engine) if config.feature_memory is None else 1e6 * config.feature_memory
        )
        self._store = FeatureStore(memory)
        self._chain = Chain.parse(data.preprocess).require("before", "preprocess")
        self._planes: dict[int, tuple[Planes, Statistics]] = {}
        self._network: PixelNetwork | None = None
        self._examples: Examples | None = None
        self._seconds = 0.0
        self.updates = 0

    @property
    def fitted(self) -> bool:
        """Whether there is anything to see yet."""
        return bool(self.updates)

    def get_ready(self, window: Window) -> Iterator[None]:
        """Load what is needed, and look at a window, while nothing is painted yet; in steps, to be left at any time.

        Features of several images wait for labels, which say how values are standardised.

        Raises
        ------
        FcnError
            What is wrong with image or settings; `update` says it too.
        """
        planes = self._planes_of(window.image)
        network = self._build(planes.channels, 2)
        yield
        guessed = len(self._images) > 1 or self.data.normalization not in (*PRESUMED, "image")
        if guessed or window.index not in planes.indices:
            return
        normalization = Normalization("image", *self._range(), nodata=self.data.nodata)
        statistics = normalization.fit(planes)
        yield
        number = planes.indices.index(window.index)
        for place in places(planes.height, planes.width):
            if _common(place.rows, window.rows) and _common(place.columns, window.columns):
                raw = planes.read(number, place.seen_rows, place.seen_columns)
                self._store.maps(network, self.engine, normalization.apply(raw, statistics)[0])
                yield

    def update(self, labels: Sequence[npt.NDArray[Any]]) -> None:
        """Fit the head to these labels, one array for each image.

        Raises
        ------
        InputError
            They cannot be learnt from, such as a single class; what was fitted before stays.
        """
        begin = time.perf_counter()
        examples = self._prepare(labels)
        known = self._examples
        network = self._network
        if network is None or known is None or known.classes.values != examples.classes.values:
            network = self._build(examples.channels, len(examples.classes))
        chosen = choose_pixels(
            [plane.target for plane in examples.planes],
            len(examples.classes),
            np.random.default_rng(self.config.seed),
            LIVE_MOST,
        )
        features, indices = together(list(look_at(network, self.engine, examples, chosen, self._store)))
        filters = network.filter_bank.out_channels * network.decoder.filters
        network.take(fit(features, indices, filters, len(examples.classes), network.decoder.hidden, self.config.seed))
        self._network, self._examples = network, examples
        # From now on images are seen as they were the first time, so that their features can stay.
        self.data = replace(self.data, normalization=examples.normalization.mode)
        self._seconds += time.perf_counter() - begin
        self.updates += 1

    def see(self, window: Window) -> Seen | None:
        """The window as it is segmented now; None before the first update, and where there is nothing to see.

        Only what lies inside is put into classes, but features are of larger windows, and are kept.
        """
        import torch

        if self._network is None or self._examples is None:
            return None
        planes, statistics = self._read(window.image, self._examples)
        if window.index not in planes.indices:
            return None
        size = window.rows.stop - window.rows.start, window.columns.stop - window.columns.start
        if min(size) < 1:
            return None
        number = planes.indices.index(window.index)
        classes = self._examples.classes
        probabilities = np.zeros((len(classes), *size), np.float32)
        gone = np.zeros(size, bool)
        for place in places(planes.height, planes.width):
            rows, columns = _common(place.rows, window.rows), _common(place.columns, window.columns)
            if rows is None or columns is None:
                continue
            raw = planes.read(number, place.seen_rows, place.seen_columns)
            values, missing = self._examples.normalization.apply(raw, statistics)
            maps = self._store.maps(self._network, self.engine, values)
            inside = _shifted(rows, place.seen_rows.start), _shifted(columns, place.seen_columns.start)
            own = _shifted(rows, window.rows.start), _shifted(columns, window.columns.start)
            # Maps are kept in float32; to shorten them for every look would take longer than it saves.
            with torch.inference_mode():
                logits = self._network.judge_part(maps, *inside)
                probabilities[:, *own] = logits.softmax(1)[0].cpu().numpy()
            if missing is not None:
                gone[own] = missing[inside]
        indices = probabilities.argmax(0)
        indices[gone] = -1
        doubt = uncertainty(probabilities)
        doubt[gone] = 0
        return Seen(window, classes.to_values(indices), doubt)

    def segmenter(self) -> Segmenter:
        """What was fitted last, as a segmenter; it shares nothing with what is fitted next.

        Raises
        ------
        RuntimeError
            Nothing was fitted yet.
        """
        import copy

        if self._network is None or self._examples is None:
            raise RuntimeError("Nothing was fitted yet.")
        examples = self._examples
        return Segmenter(
            network=copy.deepcopy(self._network).to("cpu").eval().requires_grad_(False),
            model=self.model,
            channels=examples.channels,
            classes=examples.classes,
            normalization=examples.normalization,
            training={**self.data.to_json(), **self.config.to_json()},
            history={
                "steps": self.updates,
                "best_step": self.updates,
                "seconds": round(self._seconds, 3),
                "scores": None,
                "start_scores": None,
                "majority_scores": None,
                "device": self.engine.device,
                "precision": self.engine.precision,
                "data": fingerprint(examples),
                "versions": versions(),
                "date": now(),
            },
            pixel_size=self._pixel_size,
            preprocess=self._chain,
        )

    def _prepare(self, labels: Sequence[npt.NDArray[Any]]) -> Examples:
        return prepare(
            self._images,
            labels,
            self.data,
            encoder_range=self._range(),
            names=self._names,
            colors=self._colors,
            preprocess=partial(self._chain.image, nodata=self.data.nodata) if self._chain else None,
        )

    def _range(self) -> tuple[float, float]:
        return encoder_range(str(self.model.encoder), self.model.weights)

    def _build(self, channels: int, classes: int) -> PixelNetwork:
        with seeded(self.config.seed):
            network = build(NetworkSpec(self.model, channels, classes))
        self.engine.place(network)
        return cast("PixelNetwork", network.eval().requires_grad_(False))

    def _read(self, image: int, examples: Examples) -> tuple[Planes, Statistics]:
        if image not in self._planes:
            planes = self._planes_of(image)
            self._planes[image] = planes, examples.normalization.fit(planes)
        return self._planes[image]

    def _planes_of(self, image: int) -> Planes:
        prepare_plane = partial(self._chain.image, nodata=self.data.nodata) if self._chain else None
        return Planes(self._images[image], self._axes, self.data.channels, prepare_plane)


def _common(one: slice, other: slice) -> slice | None:
    start, stop = max(one.start, other.start), min(one.stop, other.stop)
    return slice(start, stop) if start < stop else None


def _shifted(part: slice, start: int) -> slice:
    return slice(part.start - start, part.stop - start)
