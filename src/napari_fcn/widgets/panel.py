"""What the widgets have in common: a form, a button that starts work in a thread, Cancel, and progress."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from magicgui.widgets import Container, Label, ProgressBar, PushButton
from magicgui.widgets.bases import ValueWidget, Widget
from napari.utils.notifications import notification_manager, show_error
from psygnal import Signal
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QLabel, QSizePolicy

from ..errors import FcnError
from . import preferences
from . import worker as workers
from .scroll import FormArea
from .worker import Progress, Task, Worker

__all__ = ["Panel", "Work", "values", "wrapping_label"]

CLOSED, OPEN = "▸", "▾"


@dataclass(frozen=True)
class Work:
    """What a panel is about to do.

    Attributes
    ----------
    task : runs in a thread and returns an outcome.
    description : what napari calls it when it asks whether to close: "training of unet".
    finish : takes the outcome, back in the window's thread, where widgets may be gone; returns the panel's result and a
        sentence about it.
    """

    task: Task
    description: str
    finish: Callable[[Any], tuple[Any, str]]


class Panel(Container[Widget]):
    """A form with a button that starts work in a thread.

    Fields are attributes under their names, `panel.time_budget.value = 20`; calling the panel does what its button
    does and returns the worker, `wait` returns the result.

    Parameters
    ----------
    essential : fields that are always shown.
    advanced : fields that are folded away; in groups, by their headings, where they are many.
    action : the word on the button.
    further : buttons in a second row.

    Attributes
    ----------
    result : what came of the last work that ended well.
    done : signal, emitted with the result when work has ended well.
    ended : signal, emitted last, however it ended.
    """

    done = Signal(object)
    ended = Signal()

    memory = ""
    """Under which name values are remembered between sessions."""
    remembered: tuple[str, ...] = ()
    """Fields whose values come back in the next session."""

    def __init__(
        self,
        essential: Iterable[Widget],
        advanced: Iterable[Widget] | Mapping[str, Iterable[Widget]],
        action: str,
        further: Iterable[Widget] = (),
    ) -> None:
        self._worker: Worker | None = None
        self._error: Exception | None = None
        self._gone = False
        self._docked = False
        named = advanced if isinstance(advanced, Mapping) else {"": advanced}
        groups = {heading: list(fields) for heading, fields in named.items()}
        self._groups = {heading: [field.name for field in fields] for heading, fields in groups.items()}
        self._headings = {heading: _fold(heading, inner=True) for heading in self._groups if heading}
        self._withheld: set[str] = set()
        self.result: Any = None

        self._fold = _fold("advanced", tooltip="More settings, with sensible values")
        self._form: Container[Widget] = Container(labels=True)
        # magicgui aligns the labels only of what is added to a finished container.
        self._form.extend([*essential, self._fold])
        for heading, fields in groups.items():
            self._form.extend(([self._headings[heading]] if heading else []) + list(fields))
        self._run_button = PushButton(text=action, name="run")
        self._cancel_button = PushButton(text="Cancel", name="cancel_button", enabled=False)
        self._buttons: Container[Widget] = Container(
            widgets=[self._run_button, self._cancel_button], layout="horizontal", labels=False
        )
        self._more_buttons: Container[Widget] = Container(widgets=list(further), layout="horizontal", labels=False)
        self._bar = ProgressBar(min=0, max=1000, value=0, name="progress", visible=False)
        self._text = wrapping_label("status")
        super().__init__(widgets=[self._buttons, self._more_buttons, self._bar, self._text], labels=False)
        for part in (self._form, self._buttons, self._more_buttons):
            part.margins = (0, 0, 0, 0)
        # magicgui's own scroll areas are lost when napari docks a widget.
        self._area = FormArea(self._form.native)
        self.native.layout().insertWidget(0, self._area)
        self._show_advanced()

        for fold in (self._fold, *self._headings.values()):
            fold.clicked.connect(partial(self._toggle, fold))
        self._run_button.clicked.connect(lambda: self.attempt(self))
        self._cancel_button.clicked.connect(self.cancel)
        # The thread may outlive the window, and must not write to widgets that are gone.
        self.native.destroyed.connect(self._forget_widgets)
        self.native_parent_changed.connect(self._parent_changed)

    def __getattr__(self, name: str) -> Any:
        """Fields and buttons, by their names."""
        for part in ("_form", "_buttons", "_more_buttons"):
            container = self.__dict__.get(part)
            found = None if container is None else container.get_widget(name)
            if found is not None:
                return found
        return super().__getattr__(name)

    def __call__(self, **values: Any) -> Worker:
        """Set the fields named by `values`, do what the button does, and return the worker.

        Raises
        ------
        FcnError
            If the fields do not fit together; errors of the work itself are raised by `wait`.
        """
        for name, value in values.items():
            getattr(self, name).value = value
        return self._start(self.prepare)

    def reset_choices(self, *_: Any) -> None:
        """Offer the layers that are there now."""
        super().reset_choices()
        self._form.reset_choices()

    def prepare(self) -> Work:
        """Read the fields; `FcnError` if they do not fit together."""
        raise NotImplementedError

    def _start(self, prepare: Callable[[], Work]) -> Worker:
        if self._worker is not None:
            raise FcnError("Something is running here already; wait for its end or cancel it.")
        work = prepare()

        def returned(outcome: Any) -> None:
            try:
                self.result, text = work.finish(outcome)
            except Exception as error:
                self._error = error  # for `wait`; napari shows it when it leaves here
                raise
            if not self._gone:
                self._text.value = text
            self.done.emit(self.result)

        self._error = None
        self._set_running(True)
        self.show_progress(Progress(None, "Starting…"))
        self._worker = workers.start(
            work.task,
            work.description,
            yielded=self.show_progress,
            returned=returned,
            failed=self._failed,
            finished=self._finished,
        )
        return self._worker

    def remember(self) -> None:
        """Keep what was chosen for the next session."""
        preferences.remember(self.memory, {name: getattr(self, name).value for name in self.remembered})

    def recall(self) -> None:
        """Take what was chosen last time, where that can still be chosen."""
        for name, value in preferences.recall(self.memory).items():
            if name in self.remembered and value in getattr(getattr(self, name), "choices", [value]):
                with contextlib.suppress(ValueError, TypeError):
                    getattr(self, name).value = value

    def attempt(self, action: Callable[[], Any]) -> None:
        """Do what a button asks for; what is wrong becomes a notification."""
        try:
            action()
        except FcnError as error:
            show_error(str(error))

    @property
    def running(self) -> bool:
        """Whether work is going on."""
        return self._worker is not None

    def cancel(self) -> None:
        """Stop after the current step and keep what there is."""
        if self._worker is not None:
            self._worker.cancel()
            if not self._gone:
                self._cancel_button.enabled = False
                self._text.value = "Stopping after this step…"

    def leave(self) -> None:
        """Stop because the widget is closed: what was learnt is saved."""
        if self._worker is not None:
            self._worker.quit()

    def wait(self, timeout: float | None = None) -> Any:
        """Let the window live until the work is done, and return its result.

        Parameters
        ----------
        timeout : seconds to wait at most.

        Raises
        ------
        TimeoutError
            If it takes longer; the work goes on.
        """
        if self._worker is not None:
            loop = QEventLoop()
            self.ended.connect(loop.quit, check_nargs=False)
            if timeout is not None:
                QTimer.singleShot(round(1000 * timeout), loop.quit)
            loop.exec()
            self.ended.disconnect(loop.quit)
        if self._worker is not None:
            raise TimeoutError(f"{self._run_button.text} did not end within {timeout:g} s.")
        if self._error is not None:
            raise self._error
        return self.result

    def show_progress(self, progress: Progress) -> None:
        """Show how far the work is."""
        if self._gone:
            return
        # Never a bar that moves by itself: each of its pictures draws the whole window, and keeps the work waiting.
        # Nor one that draws itself at once, as it would here: bar, text and curves are to be one picture.
        bar = self._bar.native
        bar.setUpdatesEnabled(False)
        bar.setRange(0, 1000)
        bar.setValue(round(1000 * (progress.fraction or 0)))
        bar.setUpdatesEnabled(True)
        stopping = self._worker is not None and self._worker.stop.is_set()
        self._text.value = progress.text if not stopping else "Stopping after this step…"
        self._text.tooltip = progress.explanation
        if progress.detail is not None:
            self.show_detail(progress.detail)

    def show_detail(self, detail: Any) -> None:
        """Show what a task tells beyond text; for panels that can."""

    def _failed(self, error: Exception) -> None:
        self._error = error
        if not self._gone:
            self._text.value = ""
        if isinstance(error, FcnError):
            show_error(str(error))
        else:
            notification_manager.receive_error(type(error), error, error.__traceback__)

    def _finished(self) -> None:
        self._worker = None
        if not self._gone:
            self._set_running(False)
        self.ended.emit()

    def _set_running(self, running: bool) -> None:
        self._run_button.enabled = not running
        self._cancel_button.enabled = running
        self._bar.visible = running
        self._form.enabled = not running

    def unfold(self, *headings: str) -> None:
        """Show the advanced fields, of the named groups or of all."""
        _set_fold(self._fold, True)
        for heading in headings or self._headings:
            _set_fold(self._headings[heading], True)
        self._show_advanced()

    def _toggle(self, fold: PushButton) -> None:
        _set_fold(fold, not _is_open(fold))
        self._show_advanced()

    def _show_advanced(self) -> None:
        shown = _is_open(self._fold)
        for heading, names in self._groups.items():
            fold = self._headings.get(heading)
            offered = [name for name in names if name not in self._withheld]
            if fold is not None:
                fold.visible = shown and bool(offered)
            unfolded = shown and (fold is None or _is_open(fold))
            for name in names:
                self._field(name).visible = unfolded and name in offered

    def _field(self, name: str) -> Widget:
        return next(widget for widget in self._form if widget.name == name)

    def exchange(self, field: Widget, *, offered: bool) -> None:
        """Put an advanced field into the place of the one that has its name; who has that one still must let it go.

        A field that is not `offered` keeps its place and its name, but nobody sees it.
        """
        position = next(number for number, widget in enumerate(self._form) if widget.name == field.name)
        if offered:
            self._withheld.discard(field.name)
        else:
            self._withheld.add(field.name)
        field.visible = False  # so that nothing flickers
        self.take_out(self._form[position])
        self._form.insert(position, field)
        self._show_advanced()

    def take_out(self, field: Widget) -> None:
        """Remove a field from the form, with its label."""
        row = field.native.parentWidget()  # the field and its label
        del self._form[self._form.index(field)]
        # Now, and not when Python's collector finds it, which may be in the thread of a training.
        row.deleteLater()

    def _parent_changed(self, parent: Any) -> None:
        # Taken out of its dock, which is how napari closes one.
        if self._docked and parent is None:
            self.leave()
        self._docked = parent is not None

    def _forget_widgets(self) -> None:
        self._gone = True
        if self._worker is not None:
            self._worker.quit()


def values(fields: Iterable[Widget], names: Iterable[str]) -> dict[str, Any]:
    """What the fields called `names` hold, without those that were left empty."""
    wanted = set(names)
    pairs = {w.name: w.value for w in fields if isinstance(w, ValueWidget) and w.name in wanted}
    return {name: value for name, value in pairs.items() if value is not None}


def _fold(heading: str, *, inner: bool = False, tooltip: str = "") -> PushButton:
    """A heading that opens and closes what is under it."""
    name = f"group_{heading.lower()}" if inner else heading
    button = PushButton(text=f"{CLOSED} {heading.capitalize()}", name=name, tooltip=tooltip)
    button.native.setFlat(True)
    indent = 14 if inner else 2
    button.native.setStyleSheet(
        f"text-align: left; padding: 2px 2px 2px {indent}px; border: none; background: transparent;"
    )
    return button


def _is_open(fold: PushButton) -> bool:
    return bool(fold.text.startswith(OPEN))


def _set_fold(fold: PushButton, opened: bool) -> None:
    fold.text = f"{OPEN if opened else CLOSED}{fold.text[1:]}"


def wrapping_label(name: str) -> Label:
    """A text that takes as many lines as it needs."""
    text = Label(value="", name=name, label=" ")
    native: QLabel = text.native
    native.setWordWrap(True)
    native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return text
