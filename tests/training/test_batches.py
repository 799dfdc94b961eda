"""Batches: kept features give the same training as computing them anew, within the memory that they may take."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from napari_fcn.training import Noted, Step
from napari_fcn.training.batches import CutPatches, KeptFeatures


def losses(training) -> list[float]:
    return [event.loss for event in training.run() if isinstance(event, Step)]


@pytest.mark.parametrize("architecture", ["unet", "fcn8s", "deeplabv3plus"])
def test_kept_features_change_nothing_but_the_time(prepared, architecture: str) -> None:
    """The same losses and weights whether features are kept or computed anew for each step."""
    options = {"transfer": "frozen", "steps": 8, "architecture": architecture}
    kept, anew = prepared(**options), prepared(**options, feature_memory=0)
    assert losses(kept) == pytest.approx(losses(anew), rel=1e-5)
    for one, other in zip(kept.network.parameters(), anew.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_kept_features_are_those_of_the_whole_network(prepared) -> None:
    training = prepared(transfer="frozen")
    training.learner.settle(0)
    training.network.eval()
    kept = KeptFeatures(training.sampler, training.network, training.engine, memory=1e9)
    batch = kept.draw(0, 2)
    patches = torch.stack([training.sampler.patch((number, 2**31))[0] for number in range(2)])
    with torch.no_grad():
        whole = training.network(patches)
        decided = training.network.judge(training.network.decoder(batch.inputs))
    torch.testing.assert_close(decided, whole, rtol=1e-4, atol=1e-4)


def test_the_encoder_computes_each_patch_once(prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    training = prepared(transfer="frozen")
    training.learner.settle(0)
    kept = KeptFeatures(training.sampler, training.network, training.engine, memory=1e9)
    computed: Counter[tuple[int, ...]] = Counter()
    patch = training.sampler.patch

    def counted(key):
        computed[key] += 1
        return patch(key)

    monkeypatch.setattr(training.sampler, "patch", counted)
    drawn = [kept.draw(step, 2) for step in range(3 * kept.size)]
    assert max(computed.values()) == 1
    assert len(computed) == kept.size
    assert all(batch.target.shape[0] == 2 for batch in drawn)


def test_memory_is_bounded_and_it_is_said(prepared) -> None:
    training = prepared(transfer="frozen", feature_memory=2.0, steps=12)
    texts = [event.text for event in training.run() if isinstance(event, Noted)]
    assert len(texts) == 1
    assert "computed anew each time" in texts[0]
    told: list[str] = []
    kept = KeptFeatures(training.sampler, training.network, training.engine, memory=2e6, tell=told.append)
    for step in range(20):
        kept.draw(step, 2)
    assert 0 < kept.used <= 2e6
    assert len(told) == 1


def test_a_part_of_a_batch_is_a_part_of_the_whole(prepared) -> None:
    training = prepared(transfer="frozen", batch_size=4)
    training.learner.settle(0)
    kept = KeptFeatures(training.sampler, training.network, training.engine, memory=1e9)
    cut = CutPatches(training.sampler, training.engine)
    for source in (kept, cut):
        whole, first, second = source.draw(5, 4), source.draw(5, 2), source.draw(5, 2, 2)
        assert torch.equal(whole.target, torch.cat([first.target, second.target]))
        for one, *parts in zip(whole.inputs, first.inputs, second.inputs, strict=True):
            assert torch.equal(one, torch.cat(parts))


def test_patches_that_are_cut_ahead_are_the_same(prepared) -> None:
    training = prepared()
    ahead, now = (CutPatches(training.sampler, training.engine, ahead=value) for value in (True, False))
    try:
        for step in (0, 1, 2, 7, 8):
            one, other = ahead.draw(step, 2), now.draw(step, 2)
            assert torch.equal(one.inputs[0], other.inputs[0])
            assert torch.equal(one.target, other.target)
    finally:
        ahead.close()
