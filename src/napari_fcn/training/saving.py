"""What a training writes while it runs, so that it can go on: events, checkpoints, the best segmenter."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InputError, OutputError
from .checkpoint import pack_optimizer, unpack_optimizer
from .learner import Learner
from .record import Course

if TYPE_CHECKING:
    from torch import Tensor

    from .events import Event
    from .run_folder import RunFolder, Savable

__all__ = ["Saving"]

LEAST_SECONDS = 15.0
"""Between two checkpoints."""
SHARE = 0.05
"""Part of the time that writing checkpoints may take."""

Weights = dict[str, "Tensor"]
R = TypeVar("R", bound=Course[Any])


class Saving:
    """A training's run folder, or none: then nothing is written.

    Parameters
    ----------
    folder : where to, or None.
    what : what a training that goes on must have in common with the one before, by the word for it.
    writes : whether this process writes; others of the same training only read.
    tell : called with a sentence when the folder cannot be written any more: training goes on without it.
    """

    def __init__(
        self,
        folder: RunFolder | None = None,
        what: Mapping[str, Any] | None = None,
        *,
        writes: bool = True,
        tell: Callable[[str], None] = lambda text: None,
    ) -> None:
        self._tell = tell
        self.source = folder
        self.folder = folder if writes else None
        self.what = dict(what or {})
        self._last = time.perf_counter()
        self._cost = 0.0

    def write(self, event: Event) -> Event:
        """Write an event down, and return it."""
        self._attempt(lambda folder: folder.record(event))
        return event

    def is_due(self) -> bool:
        """Whether a checkpoint should be written now."""
        since = time.perf_counter() - self._last
        return self.folder is not None and since > max(LEAST_SECONDS, self._cost / SHARE)

    def save(self, record: Course[Any], learner: Learner, best: Weights | None) -> None:
        """Write all that it takes to go on: weights, the best so far, the optimizer's state, how far it is."""
        if self.folder is None:
            return
        begin = time.perf_counter()
        network = learner.network
        state, optimizer = pack_optimizer(learner.optimizer, list(network.named_parameters()))
        parts = {"network": network.state_dict(), "best": best or {}, **learner.further()}
        tensors = {f"{part}.{name}": tensor for part, named in parts.items() for name, tensor in named.items()} | state
        document = {
            "record": record.to_json(),
            "optimizer": optimizer,
            "scaler": learner.scaler.state_dict(),
            "what": self.what,
        }
        self._attempt(lambda folder: folder.save_checkpoint(tensors, document))
        self._last = time.perf_counter()
        self._cost = self._last - begin

    def restore(self, learner: Learner, kind: type[R]) -> tuple[R, Weights | None] | None:
        """Bring the learner to the folder's last checkpoint; the record of this kind and the best weights, or None.

        Raises
        ------
        InputError
            The checkpoint is of other images or settings.
        """
        found = None if self.source is None else self.source.load_checkpoint()
        if self.folder is not None:
            self.folder.rewind(-1 if found is None else int(found[1]["record"]["step"]))
        if self.source is None or found is None:
            return None
        tensors, document = found
        other = [word for word, value in self.what.items() if document["what"].get(word) != value]
        if other:
            raise InputError(
                f"The run in {str(self.source.path)!r} cannot be continued: its {' and '.join(other)} were others; "
                f"start a new one."
            )
        parts: dict[str, Weights] = {}
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts.setdefault(part, {})[rest] = tensor
        learner.network.load_state_dict(parts["network"])
        learner.take_further(parts, document["record"]["step"])
        learner.scaler.load_state_dict(document["scaler"])
        named = list(learner.network.named_parameters())
        unpack_optimizer(learner.optimizer, named, tensors, document["optimizer"])
        return kind.from_json(document["record"]), parts.get("best")

    def keep(self, product: Callable[[], Savable]) -> None:
        """Write the best segmenter, or autoencoder, so far."""
        self._attempt(lambda folder: folder.save_best(product()))

    def close(self) -> None:
        """Nothing more will be written."""
        if self.folder is not None:
            self.folder.close()

    def _attempt(self, write: Callable[[RunFolder], Any]) -> None:
        if self.folder is None:
            return
        try:
            write(self.folder)
        except OutputError as error:  # a full disk must not cost what is being learnt
            folder, self.folder = self.folder, None
            folder.close()
            self._tell(f"{str(error).rstrip('.')}; training goes on, but the run folder stays as it is now.")
