"""One more image with its labels, in a row that can be removed."""

from __future__ import annotations

from collections.abc import Callable

from magicgui.widgets import Container, PushButton
from magicgui.widgets.bases import Widget
from napari.layers import Image, Labels
from qtpy.QtWidgets import QSizePolicy

from .fields import layer_field

__all__ = ["PairRow"]

LEAST_WIDTH = 60


class PairRow(Container[Widget]):
    """Fields for an image layer and its labels, and a button that calls `remove` with this row."""

    def __init__(self, number: int, remove: Callable[[PairRow], None]) -> None:
        self.image = layer_field(f"image_{number}", Image, "One more image to learn from")
        self.painted = layer_field(f"labels_{number}", Labels, "The labels of that image")
        for box in (self.image, self.painted):
            # Half of what there is, however long a text they hold.
            box.native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            box.native.setMinimumWidth(LEAST_WIDTH)
        button = PushButton(text="✕", name=f"remove_{number}", tooltip="Do not learn from this pair")
        button.native.setFixedWidth(24)
        button.native.setAccessibleName("Remove this pair")
        super().__init__(
            widgets=[self.image, self.painted, button],
            layout="horizontal",
            labels=False,
            name=f"pair_{number}",
            label=f"Pair {number}",
        )
        self.margins = (0, 0, 0, 0)
        button.clicked.connect(lambda: remove(self))
