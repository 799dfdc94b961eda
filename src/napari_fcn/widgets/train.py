"""The Train widget: from image and labels layers to a segmenter."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import PushButton
from napari.utils.notifications import show_info

from ..config import DataConfig, ModelConfig, TrainingConfig
from ..errors import InputError
from ..options import options, split
from . import layers, preferences
from .ahead import load_ahead
from .curves import Curves
from .earth import with_normalization
from .live_job import LiveJob, Talk, class_colors
from .painting import Painting
from .panel import Work
from .preview_layer import PreviewLayer
from .saving import ask_and_save
from .script import Script, copy_script, script_button, training_script
from .start_from import ask_and_start, read_start, take_start
from .store import segmenters
from .train_form import TrainForm
from .training_job import Live, TrainingJob, TrainingOutcome
from .worker import Worker

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from napari.viewer import Viewer

    from ..autoencoder import Autoencoder
    from ..segmenter import Segmenter

__all__ = ["Train"]

START, AGAIN = "Train", "Start over"
LIVE_SETTINGS = ("encoder", "weights", "seed", "device", "feature_memory")
"""Settings, besides those of the data, that live mode has."""


class Train(TrainForm):
    """Learn to segment from image and labels layers.

    Fields carry the names of the settings of `napari_fcn.train`; `image` and `labels` are layers, and `add_pair` adds
    more of them. `start` names a segmenter of this session to start from. Calling the widget starts training in a
    thread and returns its worker; `wait` returns the segmenter; `go_on` trains that one further.

    Parameters
    ----------
    napari_viewer : whose view is previewed.

    Examples
    --------
    >>> dock, train = viewer.window.add_plugin_dock_widget("napari-fcn", "Train")  # doctest: +SKIP
    >>> train(image=viewer.layers["nuclei"], labels=viewer.layers["nuclei labels"], time_budget=20)  # doctest: +SKIP
    >>> segmenter = train.wait()  # doctest: +SKIP
    >>> train.save("nuclei.safetensors")  # doctest: +SKIP
    """

    result: Segmenter | None

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        self._init: Segmenter | None = None
        self._went_on_from: Segmenter | None = None
        self._was_live = False
        self._live: Live | Talk = Live()
        self._learnt: list[tuple[Image, Labels]] = []
        self._preview_layer = PreviewLayer(napari_viewer)
        self._continue_button = PushButton(
            text="Continue", name="continue_button", enabled=False, tooltip="Train the last result further"
        )
        self._save_button = PushButton(
            text="Save…", name="save_button", enabled=False, tooltip="Keep the segmenter as a file"
        )
        self._script_button = script_button("layers that are not in files")
        self._live_button = PushButton(
            text="Live",
            name="live_button",
            tooltip="Segment the part that you see anew after every stroke, by a pixel head on the pretrained features",
        )
        super().__init__(START, [self._live_button, self._save_button, self._script_button])
        self._buttons.insert(1, self._continue_button)
        self._curves = Curves()
        self._curves.hide()
        self.native.layout().addWidget(self._curves)
        self._continue_button.clicked.connect(lambda: self.attempt(self.go_on))
        self._save_button.clicked.connect(
            lambda: self.attempt(lambda: ask_and_save(self.native, "segmenter", self.save))
        )
        self._script_button.clicked.connect(lambda: self.attempt(lambda: copy_script(self, self.script)))
        self.file_button.clicked.connect(lambda: self.attempt(lambda: ask_and_start(self.native, self.start_from)))
        self._live_button.clicked.connect(lambda: self.attempt(self.go_live))
        self._painting = Painting(self._paint_paused, self._look)
        self.native.destroyed.connect(self._painting.stop)
        load_ahead()

    def go_live(self, **values: Any) -> Worker:
        """Answer every stroke until cancelled; `wait` then returns the segmenter.

        Raises
        ------
        InputError
            If image or labels are missing or do not fit together.
        """
        for name, value in values.items():
            getattr(self, name).value = value
        return self._start(self._prepare_live)

    def _live_settings(self, pairs: list[tuple[Image, Labels]]) -> dict[str, Any]:
        settings = {
            name: value
            for name, value in self._chosen_settings().items()
            if name in LIVE_SETTINGS or name in options(DataConfig)
        }
        axes = self._common_axes(pairs, settings.get("axes"))
        return settings | {"axes": axes, "architecture": "pixel", "transfer": "head"}

    def _prepare_live(self) -> Work:
        pairs = self.pairs()
        described = self._job(pairs, self._live_settings(pairs), None)
        job = LiveJob(
            images=described.images,
            names=described.names,
            colors=class_colors(described.colormap, described.labels),
            pixel_size=described.pixel_size,
            settings=described.settings,
        )
        image = pairs[0][0]
        self._learnt, self._live, self._was_live = pairs, job.talk, True
        self._curves.hide()
        self._preview_layer.remove()
        self._preview_layer = PreviewLayer(self._viewer, "live", doubt=True)
        self._painting.start([labels for _, labels in pairs])
        self._paint_paused()
        self._look()
        return Work(job.run, f"live training of a pixel head on '{image.name}'", self._offer)

    def _paint_paused(self) -> None:
        """Hand the labels to live mode, if they have changed."""
        if not isinstance(self._live, Talk):
            return
        known, painted = self._live.labels, [layers.snapshot(labels) for _, labels in self._learnt]
        if not known or not all(np.array_equal(old, new) for old, new in zip(known, painted, strict=True)):
            self._live.labels = painted
            self._live.version += 1

    def go_on(self, **values: Any) -> Worker:
        """Train the last result further, with the labels as they are now.

        Raises
        ------
        InputError
            If nothing was trained here yet.
        """
        if self.result is None:
            raise InputError("There is nothing to go on with yet; train first.")
        self._init = self.result
        try:
            return self(**values)
        finally:
            self._init = None

    def job(self) -> TrainingJob:
        """What is to be learnt, from layers and settings; the labels are copied, so painting can go on."""
        pairs = self.pairs()
        settings = self._chosen_settings()
        settings["axes"] = self._common_axes(pairs, settings.get("axes"))
        init = self._init
        if init is None and self.start.value is not None:
            init = segmenters[self.start.value]
        if self._init is not None:  # going on: with the network that there is
            settings = {name: value for name, value in settings.items() if name not in options(ModelConfig)}
        if init is not None and settings.get("init"):
            raise InputError(f"Start from one segmenter. Got one of this session and the file {settings['init']!r}.")
        return self._job(pairs, settings, init)

    def _job(self, pairs: list[tuple[Image, Labels]], settings: dict[str, Any], init: Segmenter | None) -> TrainingJob:
        split(settings, ModelConfig, DataConfig, TrainingConfig)
        settings = with_normalization(settings, [image for image, _ in pairs])
        names: dict[int, str] = {}
        for _, labels in pairs:
            names |= layers.class_names(labels)
        image, labels = pairs[0]
        folder = preferences.preference("run_folder")
        name = preferences.file_name(image.name)
        return TrainingJob(
            images=[layers.array(image) for image, _ in pairs],
            labels=[layers.snapshot(labels) for _, labels in pairs],
            names=names,
            colormap=labels.colormap,
            pixel_size=layers.pixel_size(image, settings["axes"]),
            settings=settings,
            init=init,
            run_dir=Path(folder).expanduser() / name if folder else None,
            refuge=preferences.refuge(image.name),
        )

    def prepare(self) -> Work:
        """Read layers and settings, and make ready for what they become."""
        job = self.job()
        self._was_live, self._went_on_from = False, self._init
        self._learnt = self.pairs()
        image = self._learnt[0][0]
        self._live = job.live
        self._preview_layer.remove()
        self._preview_layer = PreviewLayer(self._viewer)
        self._curves.show_history(job.live.history)
        self._curves.show()
        self._look()
        self.remember()
        network = job.settings["architecture"] if job.init is None else job.init.model.architecture
        return Work(job.run, f"training of {network} on '{image.name}'", self._offer)

    def show_detail(self, detail: Live | Talk) -> None:
        """Draw the curves and the preview, and say what is seen now."""
        if isinstance(detail, Live):
            self._curves.show_history(detail.history, detail.colors)
        self._look()
        preview = detail.preview
        stopping = self._worker is None or self._worker.stop.is_set()
        wanted = self.preview.value or isinstance(detail, Talk)
        if preview is None or not wanted or stopping:
            return
        image, labels = self._learnt[preview.window.image]
        self._preview_layer.show(preview, image, self._axes_of(image), {"colormap": labels.colormap})
        if isinstance(detail, Live):
            detail.showing = self._preview_layer.seconds
        elif detail.doubt is not None:
            self._preview_layer.show_doubt(detail.doubt)

    def _look(self) -> None:
        """Tell the training's thread which part of which image is seen; in one go, for it may look at any time."""
        self._live.window = self._seen()

    def _seen(self) -> tuple[int, tuple[int, ...], slice, slice] | None:
        wanted = self.preview.value or isinstance(self._live, Talk)
        if not wanted or not self._preview_layer.wanted:
            return None
        for number, (image, _) in enumerate(self._learnt):
            if image not in self._viewer.layers or not image.visible:
                continue
            part = layers.visible_part(image, self._axes_of(image), self._viewer)
            if part is not None:
                return number, *part
        return None

    def _set_running(self, running: bool) -> None:
        super()._set_running(running)
        self._continue_button.enabled = not running and self.result is not None
        self._script_button.enabled = not running
        self._live_button.enabled = not running
        self._run_button.text = START if self.result is None else AGAIN
        if not running:
            self._painting.stop()
            self._preview_layer.remove()
            self._learnt = []

    def _offer(self, outcome: TrainingOutcome | None) -> tuple[Segmenter | None, str]:
        """Offer the segmenter to Segment."""
        if outcome is None:
            return self.result, "Cancelled before learning began; nothing was learnt."
        if outcome.saved is not None:
            show_info(f"Training has stopped; what was learnt is in {outcome.saved}.")
        if not outcome.new:  # Segment goes on with the one that there was
            return outcome.segmenter, outcome.summary
        name = segmenters.add_trained(outcome.segmenter, outcome.architecture, outcome.score)
        if not self._gone:
            self._save_button.enabled = True
        return outcome.segmenter, f"{outcome.summary}\nSegment offers it as '{name}'."

    def save(self, path: str | Path, overwrite: bool = False) -> None:
        """Write the segmenter that was trained last.

        Raises
        ------
        InputError
            If nothing was trained yet.
        OutputError
            If the file exists and `overwrite` is not set, or cannot be written.
        """
        if self.result is None:
            raise InputError("There is no segmenter to save yet; train one first.")
        self.result.save(path, overwrite=overwrite)

    def start_from(self, path: str | Path) -> Worker:
        """Start to load a file, and choose it as what training starts from: a segmenter, or an autoencoder's encoder.

        `wait` raises `SegmenterFileError` when the file is none of both.
        """
        file = Path(path)
        return self._start(
            lambda: Work(partial(read_start, file), f"loading of {file.name}", partial(self._started_from, file))
        )

    def _started_from(self, file: Path, found: Segmenter | Autoencoder | None) -> tuple[Segmenter | None, str]:
        if found is None or self._gone:
            return self.result, "Cancelled; nothing was loaded."
        return self.result, take_start(self, file, found)

    def script(self, folder: str | Path) -> Script:
        """The Python and the command line that repeat this training: that of the button that was pressed last.

        Parameters
        ----------
        folder : where layers and segmenters go that are not in files.
        """
        pairs = self.pairs()
        if self._was_live:
            job = self._job(pairs, self._live_settings(pairs), None)
            return training_script(job, pairs, Path(folder), ["Live mode learns from fewer pixels, to be quick."])
        self._init = self._went_on_from
        try:
            return training_script(self.job(), pairs, Path(folder))
        finally:
            self._init = None
