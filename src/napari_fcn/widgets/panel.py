"""What Train and Segment have in common: a form, a button that starts work in a thread, Cancel, and progress."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from magicgui.widgets import Container, Label, ProgressBar, PushButton
from magicgui.widgets.bases import ValueWidget, Widget
from napari.utils.notifications import notification_manager, show_error
from psygnal import Signal
from qtpy.QtCore import QEventLoop, QTimer
from qtpy.QtWidgets import QLabel, QSizePolicy

from ..errors import FcnError
from . import worker as workers
from .scroll import FormArea
from .worker import Task, Worker

__all__ = ["Panel", "Progress", "Work", "values"]

ADVANCED_CLOSED, ADVANCED_OPEN = "▸ Advanced", "▾ Advanced"


@dataclass(frozen=True)
class Progress:
    """What a task tells the panel: how far it is in [0, 1], None when it cannot say, and a line or two about it."""

    fraction: float | None
    text: str


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
    advanced : fields that are folded away.
    action : the word on the button.

    Attributes
    ----------
    result : what came of the last work that ended well.
    done : signal, emitted with the result when work has ended well.
    ended : signal, emitted last, however it ended.
    """

    done = Signal(object)
    ended = Signal()

    def __init__(self, essential: Iterable[Widget], advanced: Iterable[Widget], action: str) -> None:
        self._worker: Worker | None = None
        self._error: Exception | None = None
        self._gone = False
        self._docked = False
        self._advanced = list(advanced)
        self._withheld: set[str] = set()
        self.result: Any = None

        self._fold = PushButton(text=ADVANCED_CLOSED, name="advanced", tooltip="More settings, with sensible values")
        self._fold.native.setFlat(True)
        self._fold.native.setStyleSheet("text-align: left; padding: 2px; border: none; background: transparent;")
        self._form: Container[Widget] = Container(labels=True)
        # magicgui aligns the labels only of what is added to a finished container.
        self._form.extend([*essential, self._fold, *self._advanced])
        self._run_button = PushButton(text=action, name="run")
        self._cancel_button = PushButton(text="Cancel", name="cancel_button", enabled=False)
        self._buttons: Container[Widget] = Container(
            widgets=[self._run_button, self._cancel_button], layout="horizontal", labels=False
        )
        self._bar = ProgressBar(min=0, max=1000, value=0, name="progress", visible=False)
        self._text = _wrapping_label("status")
        super().__init__(widgets=[self._buttons, self._bar, self._text], labels=False)
        for part in (self._form, self._buttons):
            part.margins = (0, 0, 0, 0)
        # magicgui's own scroll areas are lost when napari docks a widget.
        self._area = FormArea(self._form.native)
        self.native.layout().insertWidget(0, self._area)
        self._show_advanced(False)

        self._fold.clicked.connect(self._toggle_advanced)
        self._run_button.clicked.connect(lambda: self.attempt(self))
        self._cancel_button.clicked.connect(self.cancel)
        # The thread may outlive the window, and must not write to widgets that are gone.
        self.native.destroyed.connect(self._forget_widgets)
        self.native_parent_changed.connect(self._parent_changed)

    def __getattr__(self, name: str) -> Any:
        """Fields and buttons, by their names."""
        for part in ("_form", "_buttons"):
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
            self._worker.quit()
            if not self._gone:
                self._cancel_button.enabled = False
                self._text.value = "Stopping after this step…"

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
        bar = self._bar.native
        if progress.fraction is None:
            bar.setRange(0, 0)
        else:
            bar.setRange(0, 1000)
            bar.setValue(round(1000 * progress.fraction))
        stopping = self._worker is not None and self._worker.stop.is_set()
        self._text.value = progress.text if not stopping else "Stopping after this step…"

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

    def _toggle_advanced(self) -> None:
        self._show_advanced(self._fold.text == ADVANCED_CLOSED)

    def _show_advanced(self, shown: bool) -> None:
        self._fold.text = ADVANCED_OPEN if shown else ADVANCED_CLOSED
        for widget in self._advanced:
            widget.visible = shown and widget.name not in self._withheld

    def exchange(self, field: Widget, *, offered: bool) -> None:
        """Put an advanced field into the place of the one that has its name; who has that one still must let it go.

        A field that is not `offered` keeps its place and its name, but nobody sees it.
        """
        position = next(number for number, widget in enumerate(self._form) if widget.name == field.name)
        old = self._form[position]
        row = old.native.parentWidget()  # the field and its label
        self._advanced[self._advanced.index(old)] = field
        if offered:
            self._withheld.discard(field.name)
        else:
            self._withheld.add(field.name)
        field.visible = False  # so that nothing flickers
        del self._form[position]
        # Now, and not when Python's collector finds it, which may be in the thread of a training.
        row.deleteLater()
        self._form.insert(position, field)
        field.visible = offered and self._fold.text == ADVANCED_OPEN

    def _parent_changed(self, parent: Any) -> None:
        # Taken out of its dock, which is how napari closes one.
        if self._docked and parent is None:
            self.cancel()
        self._docked = parent is not None

    def _forget_widgets(self) -> None:
        self._gone = True
        self.cancel()


def values(fields: Iterable[Widget], names: Iterable[str]) -> dict[str, Any]:
    """What the fields called `names` hold, without those that were left empty."""
    wanted = set(names)
    pairs = {w.name: w.value for w in fields if isinstance(w, ValueWidget) and w.name in wanted}
    return {name: value for name, value in pairs.items() if value is not None}


def _wrapping_label(name: str) -> Label:
    text = Label(value="", name=name)
    native: QLabel = text.native
    native.setWordWrap(True)
    native.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    return text
