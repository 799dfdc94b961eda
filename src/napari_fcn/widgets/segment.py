"""The Segment widget: from image layers or files and a segmenter to labels."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels
from napari.utils.colormaps import label_colormap
from qtpy.QtWidgets import QFileDialog

from ..config import PredictionConfig
from ..errors import InputError
from . import layers
from .earth import place_on_earth
from .live import LiveLayer, worth_watching
from .next_place import show_next_place
from .panel import Work, values
from .saving import ask_and_save
from .script import Script, copy_script
from .segment_form import WANTED, SegmentForm, with_filters
from .segment_job import MARGIN, FolderJob, Part, Result, SegmentJob, Watched, WatchedJob
from .segment_layers import Target, show
from .segment_script import files_script, layers_script
from .store import segmenters
from .worker import Progress, Stop, Worker

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari.viewer import Viewer

    from ..segmenter import Segmenter

__all__ = ["Segment"]


class Segment(SegmentForm):
    """Segment image layers or files with a segmenter that was trained here or loaded from a file.

    Fields are `scope` ("layer", "view", "slice", "layers" or "folder"), `image`, `images`, `source` and `target`,
    `segmenter` (its name), `into` (a labels layer to write to), `with_probabilities`, `with_uncertainty`,
    `with_objects`, `axes`, `postprocess` (filters of the labels as text, which belong to the segmenter from then on),
    and the settings of prediction. Calling the widget starts in a thread and returns the worker; `wait` returns the
    labels layer, a list of them for several layers, or the files.

    Parameters
    ----------
    napari_viewer : where layers go.

    Examples
    --------
    >>> dock, segment = viewer.window.add_plugin_dock_widget("napari-fcn", "Segment")  # doctest: +SKIP
    >>> segment.load("nuclei.safetensors"); segment.wait()  # doctest: +SKIP
    >>> segment(image=viewer.layers["nuclei"])  # doctest: +SKIP
    >>> labels = segment.wait()  # doctest: +SKIP
    """

    result: Any

    def __init__(self, napari_viewer: Viewer) -> None:
        self._watched: LiveLayer | None = None
        super().__init__(napari_viewer)
        self.load_button.clicked.connect(lambda: self.attempt(self._load_clicked))
        self.save_button.clicked.connect(
            lambda: self.attempt(lambda: ask_and_save(self.native, "segmenter", self.save))
        )
        self.next_button.clicked.connect(lambda: self.attempt(lambda: show_next_place(self._viewer)))
        self.script_button.clicked.connect(lambda: self.attempt(lambda: copy_script(self, self.script)))

    def load(self, path: str | Path) -> Worker:
        """Start to load a segmenter from a file, and choose it; `wait` returns it.

        `wait` raises `SegmenterFileError` when the file is no segmenter.
        """
        file = Path(path)
        return self._start(lambda: Work(partial(_load, file), f"loading of {file.name}", partial(self._loaded, file)))

    def prepare(self) -> Work:
        """Read the fields, and note where the images lie."""
        images = self._images()
        name, trained = self._trained()
        if images is None:
            files = self._files_job(trained)
            return Work(files.run, f"segmentation of the files in {files.source}", partial(_tell_files, files.output))
        targets = [self._target(image) for image in images]
        job = self._layers_job(images, targets, trained)
        self.remember()
        if self.scope.value == "layer" and not job.wanted and self._is_watched(targets[0], trained, job.settings):
            return self._prepare_watched(images[0], targets[0], name, trained, job.settings)
        what = f"'{images[0].name}'" if len(images) == 1 else f"{len(images)} layers"
        return Work(
            job.run,
            f"segmentation of {what}",
            partial(self._show, targets, name, trained, self.scope.value == "layers"),
        )

    def _layers_job(self, images: list[Image], targets: list[Target], trained: Segmenter) -> SegmentJob:
        wanted = frozenset(box for box in WANTED if getattr(self, box).value)
        self._check_numbers(trained, wanted)
        return SegmentJob(
            images=[layers.array(image) for image in images],
            axes=[target.axes for target in targets],
            parts=[target.part for target in targets],
            spacing=[layers.spacing(image, target.axes) for image, target in zip(images, targets, strict=True)],
            segmenter=trained,
            settings=self._chosen_settings(),
            wanted=wanted,
        )

    def _files_job(self, trained: Segmenter) -> FolderJob:
        source, target = str(self.source.value), str(self.target.value)
        if "" in (source, target) or "." in (source, target):
            raise InputError("Segmenting files needs a folder of images and a folder for the results; choose both.")
        return FolderJob(source, target, trained, self._chosen_settings(), overwrite=self.overwrite.value)

    def _chosen_settings(self) -> dict[str, Any]:
        return PredictionConfig(**values(self._form, self._settings)).to_json()

    def _is_watched(self, target: Target, trained: Segmenter, settings: Mapping[str, Any]) -> bool:
        """Whether labels are shown while they are made: they take long, and nothing has to see them whole."""
        if not worth_watching([side.stop for side in target.key]):
            return False
        return target.into is None and settings["planes"] == "own" and not trained.postprocess

    def _prepare_watched(
        self, image: Image, target: Target, name: str, trained: Segmenter, settings: Mapping[str, Any]
    ) -> Work:
        seen = layers.visible_part(image, target.axes, self._viewer)
        job = WatchedJob(layers.array(image), target.axes, seen, trained, settings)
        shown = self._watched = LiveLayer(target, name, layers.class_style(trained.classes, trained.nodata_value))

        def finish(outcome: Watched | None) -> tuple[Any, str]:
            self._watched = None
            if outcome is None:
                return self.result, "Cancelled; no layer was changed."
            shown.show(self._viewer, outcome.live, now=True)
            if outcome.fraction < 1:
                return shown.layer, f"Cancelled; {outcome.fraction:.0%} are segmented, in '{target.name} segmentation'."
            return shown.layer, f"{shown.verb} '{shown.name}', made by '{name}'."

        return Work(job.run, f"segmentation of '{image.name}'", finish)

    def show_detail(self, detail: Any) -> None:
        """Draw what is segmented so far."""
        if self._watched is not None:
            self._watched.show(self._viewer, detail)

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the chosen segmenter, with the filters that are shown.

        Raises
        ------
        InputError
            No segmenter is chosen.
        OutputError
            The file exists and `overwrite` is not set, or cannot be written.
        """
        self._trained()[1].save(path, overwrite=overwrite)

    def script(self, folder: str | Path) -> Script:
        """The Python and the command line that repeat the segmentation.

        Parameters
        ----------
        folder : where images that are no files, and the segmenter, go; results too.
        """
        images, trained = self._images(), self._trained()[1]
        if images is None:
            return files_script(self._files_job(trained), Path(folder))
        job = self._layers_job(images, [self._target(image) for image in images], trained)
        return layers_script(job, [image.name for image in images], Path(folder))

    def _images(self) -> list[Image] | None:
        """The layers to segment; None for files."""
        scope = self.scope.value
        if scope == "folder":
            return None
        chosen = list(self.images.value) if scope == "layers" else [self.image.value]
        if not chosen or chosen[0] is None:
            raise InputError("Segmenting needs an image layer. Got none; open an image first.")
        return chosen

    def _trained(self) -> tuple[str, Segmenter]:
        name = self.segmenter.value
        if name is None:
            raise InputError("Segmenting needs a segmenter. Got none; train one, or load one from a file.")
        return name, with_filters(segmenters[name], self._filters.chain)

    def _check_numbers(self, trained: Segmenter, wanted: frozenset[str]) -> None:
        """Refuse what makes no sense of labels that filters have turned into numbered objects."""
        if not trained.postprocess.numbers:
            return
        if "with_objects" in wanted:
            raise InputError(
                f"These filters number the objects already: {trained.postprocess}. Leave out the one that does, or "
                f"'{WANTED['with_objects']}'."
            )
        into: Labels | None = self.into.value if self.scope.value not in ("layers", "folder") else None
        if into is not None and not np.can_cast(np.int32, layers.array(into).dtype):
            raise InputError(
                f"Numbered objects need a labels layer of 32 bits or more. Got {layers.array(into).dtype} in "
                f"'{into.name}'; convert it, or write into a layer of its own."
            )

    def _target(self, image: Image) -> Target:
        """Where the result of an image goes."""
        several = self.scope.value == "layers"
        shape = tuple(layers.array(image).shape)
        given = layers.image_axes(image, channels=self._channels()) if several else self.axes.value
        axes = layers.check_axes(given, shape, image.name)
        part = Part()
        if self.scope.value in ("view", "slice"):
            seen = layers.visible_part(image, axes, self._viewer)
            if seen is None:
                raise InputError(f"Nothing of '{image.name}' is seen; show it in 2D, with its rows and columns.")
            part = Part(*seen) if self.scope.value == "view" else Part(seen[0])
        into: Labels | None = None if several else self.into.value
        if into is not None:
            layers.check_labels(axes, image, into)
        place = place_on_earth(image, part.rows, part.columns)
        return Target(image.name, str(image.unique_id), axes, shape, layers.geometry(image, axes), part, into, place)

    def _show(
        self,
        targets: list[Target],
        name: str,
        trained: Segmenter,
        several: bool,
        results: list[Result] | None,
    ) -> tuple[Any, str]:
        """Show results as layers; what was asked for one layer gives one, for several a list."""
        if results is None:
            return self.result, "Cancelled; no layer was changed."
        shown = [
            show(self._viewer, target, name, trained, result) for target, result in zip(targets, results, strict=True)
        ]
        lines = []
        for (layer, verb), target, result in zip(shown, targets, results, strict=True):
            if target.into is None and trained.postprocess.numbers:
                layer.features, layer.colormap = {}, label_colormap()
            lines.append(f"{verb} '{layer.name}', made by '{name}': {_found(trained, result)}.")
        if trained.postprocess and any(target.part.rows for target in targets):
            lines.append(f"The filters saw what is seen and {MARGIN} pixels around it, no more; objects may be cut.")
        made = [layer for layer, _ in shown]
        return (made if several else made[0]), "\n".join(lines)

    def _loaded(self, file: Path, segmenter: Segmenter | None) -> tuple[Any, str]:
        if segmenter is None:
            return self.result, "Cancelled; nothing was loaded."
        segmenters.add(segmenter, file.stem)
        return segmenter, f"Loaded {file.name}.\n{segmenter.describe()}"

    def _load_clicked(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self.native, "Load segmenter", "", "Segmenters (*.safetensors);;All files (*)"
        )
        if path:
            self.load(path)


def _tell_files(target: str, done: list[Path]) -> tuple[Any, str]:
    return done, f"{len(done)} file{'s' * (len(done) != 1)} segmented, in {target}."


def _found(trained: Segmenter, result: Result) -> str:
    if trained.postprocess.numbers:
        return f"{len(np.unique(result.labels[result.labels > 0]))} objects"
    present = sum(bool((result.labels == entry.value).any()) for entry in trained.classes)
    return f"{present} of {len(trained.classes)} classes found"


def _load(file: Path, stop: Stop) -> Generator[Progress, None, Segmenter | None]:
    """Read a segmenter, in the worker's thread; only here torch is loaded."""
    yield Progress(None, f"Loading {file.name}…")
    from ..segmenter import Segmenter

    segmenter = Segmenter.load(file)
    return None if stop.is_set() else segmenter
