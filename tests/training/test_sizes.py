"""Patch and batch size: as given, as usual, or less where memory is short; and what happens when it runs out."""

from __future__ import annotations

import pytest
import torch

from napari_fcn.errors import InputError
from napari_fcn.training import Noted, Step, sizes


def choose(prepared, monkeypatch: pytest.MonkeyPatch, megabytes: float, **options):
    monkeypatch.setattr(sizes, "free_memory", lambda engine: megabytes * 1e6)
    return prepared(**{"batch_size": None, "patch_size": None, **options}).sizes


def test_usual_sizes_where_memory_is_plenty(prepared, monkeypatch) -> None:
    found = choose(prepared, monkeypatch, 1e6)
    assert (found.patch, found.batch, found.notes) == (160, 4, ())  # the image's side
    assert choose(prepared, monkeypatch, 1.0, patch_size=96, batch_size=3).batch == 3


def test_fewer_and_smaller_patches_where_memory_is_short(prepared, monkeypatch) -> None:
    pixels = []
    for megabytes in (1e6, 200, 100, 50, 20):
        found = choose(prepared, monkeypatch, megabytes)
        pixels.append(found.batch * found.patch**2)
        assert bool(found.notes) == (pixels[-1] < pixels[0])
        assert found.patch % 32 == 0
        assert found.patch >= 64
    assert pixels == sorted(pixels, reverse=True)
    assert pixels[-1] < pixels[0] / 4


def test_the_estimate_is_about_what_a_step_takes(prepared) -> None:
    """What autograd keeps for one patch, counted from the outside: storages that live on until backward()."""
    training = prepared()
    estimate = sizes._remembered(training.network, 1, 64)
    kept: dict[int, int] = {}
    weights = {p.data_ptr() for p in training.network.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    training.network.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        training.network(torch.zeros(2, 1, 64, 64)).sum()
    assert 0.5 < 2 * estimate / sum(kept.values()) < 2


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_full_memory_halves_the_batch_and_goes_on(prepared, monkeypatch: pytest.MonkeyPatch, error) -> None:
    training = prepared(batch_size=4, steps=5)
    step = training.learner.step
    seen: list[int] = []

    def limited(batch, factor):
        if batch.target.shape[0] > 2 and len(seen) >= 2:
            raise error
        seen.append(batch.target.shape[0])
        return step(batch, factor)

    monkeypatch.setattr(training.learner, "step", limited)
    events = list(training.run())
    assert seen == [4, 4, 2, 2, 2]
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4, 5]
    told = [event.text for event in events if isinstance(event, Noted)]
    assert told == ["Memory was full: 2 patches a step from here on."]


def test_memory_that_holds_not_even_one_patch_is_one_sentence(prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    training = prepared(batch_size=2)

    def full(batch, factor):
        raise MemoryError

    monkeypatch.setattr(training.learner, "step", full)
    with pytest.raises(InputError, match=r"Memory is full even with 1 patches of 64 x 64 a step; use a smaller"):
        list(training.run())


def test_other_errors_are_not_mistaken_for_it(prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    training = prepared()
    monkeypatch.setattr(training.learner, "step", lambda batch, factor: (_ for _ in ()).throw(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        list(training.run())
