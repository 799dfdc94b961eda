"""The part of Segment's form that says which filters labels go through after prediction."""

from __future__ import annotations

from collections.abc import Callable

from magicgui.widgets import LineEdit, PushButton
from psygnal import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from ..errors import FcnError
from ..imaging import Chain
from .chain_editor import ChainEditor

__all__ = ["LabelFilters"]

CLOSED, OPEN = "▸", "▾"


class LabelFilters(QWidget):
    """A heading that tells the filters, and the list of them under it, which is folded away.

    Parameters
    ----------
    text : the field that holds the filters as text; both always say the same.
    say : shows a sentence about filters that cannot be.

    Attributes
    ----------
    changed : signal, emitted with the chain that a person has made.
    """

    changed = Signal(Chain)

    def __init__(self, text: LineEdit, say: Callable[[str], None]) -> None:
        super().__init__()
        self._text, self._say = text, say
        self.fold = PushButton(name="filters", tooltip="Tidy the labels: remove specks, fill holes, part objects, …")
        self.fold.native.setFlat(True)
        self.fold.native.setStyleSheet("text-align: left; padding: 2px; border: none; background: transparent;")
        self.editor = ChainEditor()
        self.editor.offer("after")
        self.editor.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.fold.native)
        layout.addWidget(self.editor)
        self.fold.clicked.connect(lambda: self.unfold(self.editor.isHidden()))
        self.editor.changed.connect(self._edited)
        self.editor.refused.connect(say)
        text.changed.connect(self._typed)
        self._tell()

    @property
    def chain(self) -> Chain:
        """The filters; `InputError` when what was typed is none, or they work on images."""
        return Chain.parse(self._text.value).require("after", "postprocess")

    @chain.setter
    def chain(self, chain: Chain) -> None:
        self._text.value = str(chain)

    def unfold(self, opened: bool = True) -> None:
        """Show the list of filters."""
        self.editor.setVisible(opened)
        self._tell()

    def _edited(self, chain: Chain) -> None:
        self._text.value = str(chain)

    def _typed(self) -> None:
        try:
            chain = self.chain
        except FcnError as error:
            self._say(str(error))
            return
        self.editor.chain = chain
        self._say("")
        self._tell()
        self.changed.emit(chain)

    def _tell(self) -> None:
        """Say in the heading what is hidden under it."""
        opened = not self.editor.isHidden()
        names = [step.name.replace("_", " ") for step in self.editor.chain]
        told = "" if opened else f": {', '.join(names)}" if names else ": none"
        self.fold.text = f"{OPEN if opened else CLOSED} Filters of the labels{told}"
