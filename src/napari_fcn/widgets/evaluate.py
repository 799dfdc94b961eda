"""The Evaluate widget: predicted labels beside true ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from magicgui.widgets import CheckBox, ComboBox, PushButton
from napari.layers import Labels, Shapes
from napari.utils.colormaps import DirectLabelColormap
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QApplication, QFileDialog

from ..config import DataConfig
from ..errors import InputError, OutputError
from ..io import atomic, check_output
from ..metrics import OBJECTS, Comparison
from ..options import Option, options
from . import layers
from .evaluate_job import EvaluationJob
from .fields import field, layer_field, slim
from .further_scripts import evaluation_script
from .panel import Panel, Work
from .score_tables import ScoreTables
from .script import Script, copy_script, script_button
from .shapes_mask import shapes_mask
from .visible import placement

if TYPE_CHECKING:
    from napari.viewer import Viewer

__all__ = ["Evaluate"]

MATCH = Option(
    "which classes belong together",
    choices={"names": "same name, else same value", "values": "same value"},
)
OBJECTS_OPTION = Option("what objects are, for counting them", choices=OBJECTS)


class Evaluate(Panel):
    """Compare predicted labels with true ones.

    Fields are `prediction` and `truth` (labels layers), `region` (a Shapes layer, or a labels layer whose 0 does not
    count), `zero`, `error_map`, `match`, `objects`, `boundaries` and `ignore`. Calling the widget compares in a thread
    and returns the worker; `wait` returns a `napari_fcn.metrics.Comparison`.

    Parameters
    ----------
    napari_viewer : where layers are taken from, and the error map goes.

    Examples
    --------
    >>> dock, evaluate = viewer.window.add_plugin_dock_widget("napari-fcn", "Evaluate")  # doctest: +SKIP
    >>> evaluate(prediction=viewer.layers["nuclei segmentation"], truth=viewer.layers["truth"])  # doctest: +SKIP
    >>> evaluate.wait().scores.mean_iou  # doctest: +SKIP
    0.83
    """

    memory = "evaluate"
    remembered = ("error_map", "match", "objects", "boundaries")
    result: Comparison | None

    def __init__(self, napari_viewer: Viewer) -> None:
        self._viewer = napari_viewer
        default, zero = options(DataConfig)["zero"]
        prediction = layer_field("prediction", Labels, "What was predicted")
        truth = layer_field("truth", Labels, "What is true")
        region = slim(
            ComboBox(
                name="region",
                label="Region",
                choices=lambda _: self._regions(),
                tooltip="Only what shapes enclose, or where labels are not 0, counts",
            )
        )
        meaning = field("zero", default, zero)
        meaning.label = "Meaning of 0"
        error_map = CheckBox(
            name="error_map", text="Error map", value=True, tooltip="A layer that shows where the two differ"
        )
        boundaries = CheckBox(
            name="boundaries", text="Boundaries", value=True, tooltip="Measure how far outlines are apart (Hausdorff)"
        )
        ignore = field("ignore", (), options(DataConfig)["ignore"][1])
        ignore.tooltip = "Label values that do not count, in truth and prediction"
        advanced = [
            field("match", "names", MATCH),
            field("objects", "regions", OBJECTS_OPTION),
            boundaries,
            ignore,
        ]
        super().__init__(
            [prediction, truth, region, meaning, error_map], advanced, "Evaluate", [script_button("labels")]
        )
        self._copy_button = PushButton(text="Copy", name="copy_button", enabled=False, tooltip="Copy the scores")
        self._save_button = PushButton(
            text="Save…", name="save_button", enabled=False, tooltip="Save the scores as CSV, or as a picture (PNG)"
        )
        self._buttons.extend([self._copy_button, self._save_button])
        self._tables = ScoreTables()
        self.native.layout().addWidget(self._tables)
        # What is left of a high dock stays empty below.
        self.native.layout().addStretch(1)
        self._copy_button.clicked.connect(lambda: self.attempt(self.copy))
        self._save_button.clicked.connect(lambda: self.attempt(self._save_clicked))
        self.script_button.clicked.connect(lambda: self.attempt(lambda: copy_script(self, self.script)))
        self._choose_layers()
        self.recall()

    @property
    def tables(self) -> ScoreTables:
        """The scores on the screen."""
        return self._tables

    def job(self) -> EvaluationJob:
        """What is to be compared, from the fields; labels are copied, so painting can go on."""
        prediction: Labels | None = self.prediction.value
        truth: Labels | None = self.truth.value
        if prediction is None or truth is None:
            raise InputError("Evaluating needs two labels layers, a prediction and the truth. Got fewer.")
        if prediction is truth:
            raise InputError(f"Prediction and truth must be two layers. Got '{truth.name}' twice.")
        sizes = [tuple(layers.array(layer).shape) for layer in (prediction, truth)]
        if sizes[0] != sizes[1]:
            raise InputError(
                f"Prediction and truth must have the same shape. Got {sizes[0]} in '{prediction.name}' and {sizes[1]} "
                f"in '{truth.name}'."
            )
        region = self.region.value
        counted = None
        if isinstance(region, Shapes):
            counted = shapes_mask(region, truth)
        elif region is not None:
            counted = layers.snapshot(region) != 0
            if counted.shape != sizes[1]:
                raise InputError(
                    f"The region must have the shape of the truth, {sizes[1]}. Got {counted.shape} in '{region.name}'."
                )
        spacing, unit = _spacing(truth)
        return EvaluationJob(
            layers.snapshot(prediction),
            layers.snapshot(truth),
            layers.class_names(prediction),
            layers.class_names(truth),
            self.match.value,
            {
                "zero": self.zero.value,
                "ignore": _ignored(self.ignore.value),
                "counted": counted,
                "objects": self.objects.value,
                "boundaries": self.boundaries.value,
                "spacing": spacing,
                "unit": unit,
            },
        )

    def prepare(self) -> Work:
        """Read the fields, and note where the labels lie."""
        job = self.job()
        self.remember()
        prediction, truth = self.prediction.value, self.truth.value
        place = placement(truth, truth.ndim)
        finish = partial(self._show, prediction.name, place, truth.colormap)
        return Work(job.run, f"evaluation of '{prediction.name}'", finish)

    def script(self, folder: str | Path) -> Script:
        """The Python and the command line that repeat this; the command line compares pixels alone.

        Parameters
        ----------
        folder : where the labels go.
        """
        return evaluation_script(self.job(), self.prediction.value.name, Path(folder))

    def copy(self) -> None:
        """Copy the scores, for a spreadsheet."""
        clipboard = QApplication.clipboard()
        if self.result is not None and clipboard is not None:
            clipboard.setText(self.result.to_csv("\t"))
            show_info("Copied the scores.")

    def save(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Save the scores as CSV, or as a picture of pixel scores and the confusion matrix (PNG).

        Raises
        ------
        OutputError
            The suffix is another one, or the file exists or cannot be written.
        InputError
            Nothing was evaluated yet.
        """
        if self.result is None:
            raise InputError("There are no scores yet; press Evaluate first.")
        target = Path(path)
        if target.suffix.lower() not in (".csv", ".png"):
            raise OutputError(f"Scores are saved as .csv, or as a picture in .png. Got {str(path)!r}.")
        check_output(target, overwrite)
        if target.suffix.lower() == ".png":
            from ..report import evaluation_report

            evaluation_report(target, self.result.scores)
        else:
            with atomic(target, overwrite=overwrite) as temporary:
                temporary.write_text(self.result.to_csv(), encoding="utf-8")
        return target

    def _save_clicked(self) -> None:
        kinds = "Table (*.csv);;Picture (*.png)"
        path, _ = QFileDialog.getSaveFileName(self.native, "Save scores", "scores.csv", kinds)
        if path:
            # Qt has asked whether to replace it.
            show_info(f"Saved {self.save(path if Path(path).suffix else f'{path}.csv', overwrite=True).name}.")

    def _show(
        self, name: str, place: dict[str, Any], colormap: Any, comparison: Comparison | None
    ) -> tuple[Comparison | None, str]:
        if comparison is None:
            return self.result, "Cancelled; nothing was compared."
        scores = comparison.scores
        if not self._gone:
            for button in (self._copy_button, self._save_button):
                button.enabled = True
            colors = layers.class_colors(colormap, scores.values)
            self._tables.show_comparison(comparison, colors)
            if self.error_map.value:
                self._show_errors(name, place, comparison.errors)
        wrong = int(comparison.errors.sum())
        text = f"Mean IoU {scores.mean_iou:.3f}, pixel accuracy {scores.pixel_accuracy:.1%} ({wrong:,} pixels wrong)."
        return comparison, text

    def _show_errors(self, name: str, place: dict[str, Any], errors: np.ndarray[Any, Any]) -> None:
        title = f"{name} errors"
        colormap = DirectLabelColormap(color_dict={None: "transparent", 0: "transparent", 1: "#ff2d55"})
        features = {"index": [0, 1], "name": ["right", "different"]}
        for layer in self._viewer.layers:
            own = layers.facts(layer).get("errors_of") == name and layer.name == title
            if own and isinstance(layer, Labels) and layer.data.shape == errors.shape:
                layer.data = errors
                for key, value in place.items():
                    setattr(layer, key, value)
                return
        chosen = set(self._viewer.layers.selection)
        layer = Labels(errors, name=title, opacity=0.9, colormap=colormap, features=features, **place)
        layer.metadata[layers.KEY] = {"errors_of": name}
        layer.editable = False
        self._viewer.add_layer(layer)
        self._viewer.layers.selection = chosen

    def reset_choices(self, *arguments: Any) -> None:
        """Offer the layers that are there now; a second layer becomes the truth."""
        super().reset_choices(*arguments)
        self._choose_layers()

    def _choose_layers(self) -> None:
        prediction, truth = self.prediction.value, self.truth.value
        if prediction is None or prediction is not truth:
            return
        others = [
            each
            for each in self._viewer.layers
            if isinstance(each, Labels) and each is not truth and "errors_of" not in layers.facts(each)
        ]
        made = [each for each in others if "source" in layers.facts(each)]
        if made:
            self.prediction.value = made[-1]
        elif others:
            self.truth.value = others[-1]

    def _regions(self) -> list[tuple[str, Any]]:
        offered = [each for each in self._viewer.layers if isinstance(each, (Shapes, Labels))]
        return [("everything", None), *((each.name, each) for each in offered)]


def _ignored(value: Any) -> tuple[int, ...]:
    options(DataConfig)["ignore"][1].check("ignore", value or ())
    return tuple(value or ())


def _spacing(layer: Labels) -> tuple[tuple[float, ...], str]:
    """Size of a pixel along the axes that are lengths, of the last two or three, and its unit."""
    units = list(layer.units[-3:])
    lengths = [unit.dimensionality == {"[length]": 1} for unit in units]
    if all(lengths[-2:]):
        depth = 3 if len(lengths) == 3 and lengths[0] else 2
        unit = units[-1]
        sizes = tuple(
            float((scale * each).to(unit).magnitude)
            for scale, each in zip(np.abs(layer.scale[-depth:]), units[-depth:], strict=True)
        )
        return sizes, str(unit)
    depth = min(3, layer.ndim)
    names = [str(label).lower() for label in layer.axis_labels[-3:]]
    if depth == 3 and names[0] in layers.AXIS_WORDS["T"]:
        depth = 2
    return tuple(float(size) for size in np.abs(layer.scale[-depth:])), "pixels"
