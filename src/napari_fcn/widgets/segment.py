"""The Segment widget: from image layers or files and a segmenter to labels."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from magicgui.types import FileDialogMode
from magicgui.widgets import CheckBox, ComboBox, FileEdit, LineEdit, PushButton, Select
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QFileDialog

from ..config import PredictionConfig
from ..errors import InputError
from ..options import options
from . import layers, preferences
from .fields import SettingBox, field, layer_field, slim
from .live import LiveLayer, worth_watching
from .next_place import show_next_place
from .panel import Panel, Progress, Work, values
from .script import Script, prediction_script
from .segment_job import FolderJob, Part, Result, SegmentJob, Watched, WatchedJob
from .segment_layers import Target, show
from .store import segmenters
from .worker import Stop, Worker

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari.viewer import Viewer

    from ..segmenter import Segmenter

__all__ = ["Segment"]

SCOPES = (
    ("The whole layer", "layer", "all slices and frames of the image layer"),
    ("What is seen", "view", "the part of the slice that the window shows, at full resolution"),
    ("This slice", "slice", "the slice at which the sliders stand"),
    ("Several layers", "layers", "one after the other"),
    ("A folder of files", "folder", "files that need not be opened; results are files too"),
)
SHOWN = {
    "layer": ("image", "into"),
    "view": ("image", "into"),
    "slice": ("image", "into"),
    "layers": ("images",),
    "folder": ("source", "target", "overwrite"),
}
WANTED = {
    "with_probabilities": "Probabilities too",
    "with_uncertainty": "Uncertainty too",
    "with_objects": "Numbered objects too",
}
TIPS = (
    "Another layer with the probability of each class",
    "Another layer that is bright where the network is unsure",
    "Another layer in which every object has its number; touching ones are parted at their waists",
)


class Segment(Panel):
    """Segment image layers or files with a segmenter that was trained here or loaded from a file.

    Fields are `scope` ("layer", "view", "slice", "layers" or "folder"), `image`, `images`, `source` and `target`,
    `segmenter` (its name), `into` (a labels layer to write to), `with_probabilities`, `with_uncertainty`,
    `with_objects`, `axes`, and the settings of prediction. Calling the widget starts in a thread and returns the
    worker; `wait` returns the labels layer, a list of them for several layers, or the files.

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
        self._viewer = napari_viewer
        self._settings = options(PredictionConfig)
        self._guessed: tuple[Any, str] = (None, "")
        self._watched: LiveLayer | None = None
        super().__init__(self._fields(), self._advanced_fields(), "Segment", self._further())
        self.load_button.clicked.connect(lambda: self.attempt(self._load_clicked))
        self.next_button.clicked.connect(lambda: self.attempt(lambda: show_next_place(self._viewer)))
        self.script_button.clicked.connect(lambda: self.attempt(self._script_clicked))
        self.image.changed.connect(self._guess_axes)
        self.segmenter.changed.connect(self._guess_axes)
        self.scope.changed.connect(self._show_fields)
        segmenters.changed.connect(self._segmenters_changed)
        self._guess_axes()
        self._show_fields()

    def _fields(self) -> list[Widget]:
        scope = SettingBox(SCOPES, value="layer", name="scope", label="What", tooltip="What is to be segmented")
        image = layer_field("image", Image, "What to segment; slices and frames are walked through")
        images = Select(
            name="images",
            label="Images",
            choices=lambda _: [layer for layer in self._viewer.layers if isinstance(layer, Image)],
            tooltip="The layers to segment, one after the other; hold Ctrl to choose several",
        )
        images.native.setMaximumHeight(90)
        source = FileEdit(
            name="source",
            label="Files",
            mode=FileDialogMode.EXISTING_DIRECTORY,
            tooltip="A folder of images, or a pattern like d/*.tif",
        )
        target = FileEdit(
            name="target", label="Results", mode=FileDialogMode.EXISTING_DIRECTORY, tooltip="A folder for the results"
        )
        overwrite = CheckBox(name="overwrite", text="Replace results that exist", value=False)
        segmenter = slim(
            ComboBox(
                name="segmenter",
                label="Segmenter",
                choices=lambda _: list(segmenters),
                tooltip="Trained in this session, or loaded from a file",
            )
        )
        load = PushButton(
            text="Load segmenter…", name="load_button", tooltip="Use a segmenter that was saved to a file"
        )
        axes = LineEdit(
            name="axes",
            label="Axes",
            tooltip="What the image's axes are, in their order:\nT time, Z depth, C channel, Y row, X column.",
        )
        into = slim(
            ComboBox(
                name="into",
                label="Write into",
                choices=lambda _: [
                    ("A layer of its own", None),
                    *((layer.name, layer) for layer in self._viewer.layers if isinstance(layer, Labels)),
                ],
                tooltip="A labels layer that is changed; Ctrl+Z takes the change back",
            )
        )
        extras = [
            CheckBox(name=name, text=text, tooltip=tip, value=False)
            for (name, text), tip in zip(WANTED.items(), TIPS, strict=True)
        ]
        return [scope, image, images, source, target, overwrite, segmenter, load, axes, into, *extras]

    def _advanced_fields(self) -> list[Widget]:
        fields: list[Widget] = [field(name, default, option) for name, (default, option) in self._settings.items()]
        device = next(widget for widget in fields if widget.name == "device")
        device.value = preferences.preference("device") or device.value  # type: ignore[attr-defined]
        return fields

    def _further(self) -> list[Widget]:
        script = PushButton(
            text="Copy as script…",
            name="script_button",
            tooltip="Copy the Python and the command line that repeat this;\n"
            "image and segmenter are written to a folder that you choose",
        )
        place = PushButton(
            text="Where to paint next",
            name="next_button",
            tooltip="Go to the most uncertain part that nobody has painted; needs the layer of uncertainty",
        )
        return [place, script]

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
        settings = PredictionConfig(**values(self._form, self._settings)).to_json()
        if images is None:
            return self._prepare_folder(trained, settings)
        targets = [self._target(image) for image in images]
        wanted = frozenset(box for box in WANTED if getattr(self, box).value)
        if self.scope.value == "layer" and not wanted and self._is_watched(targets[0], trained, settings):
            return self._prepare_watched(images[0], targets[0], name, trained, settings)
        job = SegmentJob(
            images=[layers.array(image) for image in images],
            axes=[target.axes for target in targets],
            parts=[target.part for target in targets],
            spacing=[layers.spacing(image, target.axes) for image, target in zip(images, targets, strict=True)],
            segmenter=trained,
            settings=settings,
            wanted=wanted,
        )
        what = f"'{images[0].name}'" if len(images) == 1 else f"{len(images)} layers"
        return Work(
            job.run,
            f"segmentation of {what}",
            partial(self._show, targets, name, trained, self.scope.value == "layers"),
        )

    def _is_watched(self, target: Target, trained: Segmenter, settings: dict[str, Any]) -> bool:
        """Whether labels are shown while they are made: they take long, and nothing has to see them whole."""
        if not worth_watching([side.stop for side in target.key]):
            return False
        return target.into is None and settings["planes"] == "own" and not trained.postprocess

    def _prepare_watched(
        self, image: Image, target: Target, name: str, trained: Segmenter, settings: dict[str, Any]
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

    def script(self, folder: str | Path) -> Script:
        """The Python and the command line that repeat the segmentation of the whole layer `image`.

        Parameters
        ----------
        folder : where the image and the segmenter go.
        """
        image = self.image.value
        if image is None:
            raise InputError("A script needs an image layer to segment. Got none; open an image first.")
        settings = values(self._form, self._settings)
        axes = layers.check_axes(self.axes.value, tuple(layers.array(image).shape), image.name)
        return prediction_script(layers.array(image), image.name, axes, self._trained()[1], settings, Path(folder))

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
        return name, segmenters[name]

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
        place = {name: image.metadata[name] for name in ("geo",) if part.whole and name in image.metadata}
        return Target(image.name, str(image.unique_id), axes, shape, layers.geometry(image, axes), part, into, place)

    def _prepare_folder(self, trained: Segmenter, settings: dict[str, Any]) -> Work:
        source, target = str(self.source.value), str(self.target.value)
        if "" in (source, target) or "." in (source, target):
            raise InputError("Segmenting files needs a folder of images and a folder for the results; choose both.")
        job = FolderJob(source, target, trained, settings, overwrite=self.overwrite.value)

        def finish(done: list[Path]) -> tuple[Any, str]:
            return done, f"{len(done)} file{'s' * (len(done) != 1)} segmented, in {target}."

        return Work(job.run, f"segmentation of the files in {source}", finish)

    def _show(
        self, targets: list[Target], name: str, trained: Segmenter, several: bool, results: list[Result] | None
    ) -> tuple[Any, str]:
        """Show results as layers; what was asked for one layer gives one, for several a list."""
        if results is None:
            return self.result, "Cancelled; no layer was changed."
        shown = [
            show(self._viewer, target, name, trained, result) for target, result in zip(targets, results, strict=True)
        ]
        found = [sum((result.labels == entry.value).any() for entry in trained.classes) for result in results]
        lines = [
            f"{verb} '{layer.name}', made by '{name}': {count} of {len(trained.classes)} classes found."
            for (layer, verb), count in zip(shown, found, strict=True)
        ]
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

    def _script_clicked(self) -> None:
        folder = QFileDialog.getExistingDirectory(self.native, "Where to write image and segmenter")
        if folder:
            self.script(folder).copy()
            show_info("Copied: the Python and the command line that repeat this segmentation.")

    def _segmenters_changed(self, name: str) -> None:
        if self._gone:
            return
        self.segmenter.reset_choices()
        if name in segmenters:
            # What was just trained or loaded is what one wants to try.
            self.segmenter.value = name

    def _show_fields(self) -> None:
        """Show the fields that the scope needs."""
        needed = SHOWN[self.scope.value]
        for name in ("image", "images", "source", "target", "overwrite", "into"):
            getattr(self, name).visible = name in needed
        self.axes.visible = self.scope.value not in ("layers", "folder")
        for name in WANTED:
            getattr(self, name).visible = self.scope.value != "folder"

    def _channels(self) -> int | None:
        name = self.segmenter.value
        return segmenters[name].channels if name in segmenters else None

    def _guess_axes(self) -> None:
        image = self.image.value
        guessed_for, guess = self._guessed
        if image is None or (image is guessed_for and self.axes.value != guess):
            return  # what was typed for this image stays
        self._guessed = image, layers.image_axes(image, channels=self._channels())
        self.axes.value = self._guessed[1]


def _load(file: Path, stop: Stop) -> Generator[Progress, None, Segmenter | None]:
    """Read a segmenter, in the worker's thread; only here torch is loaded."""
    yield Progress(None, f"Loading {file.name}…")
    from ..segmenter import Segmenter

    segmenter = Segmenter.load(file)
    return None if stop.is_set() else segmenter
