"""The checkpoint: everything comes back bit by bit, and training goes on as if nothing had been."""

from __future__ import annotations

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from napari_fcn.errors import InputError, OutputError, SegmenterFileError
from napari_fcn.training.checkpoint import (
    FORMAT,
    KEY,
    load_checkpoint,
    pack_optimizer,
    save_checkpoint,
    unpack_optimizer,
)

DOCUMENT = {"step": 5, "random": {"state": 2**127 + 1}, "best": math.inf, "names": ["a", "ü"], "none": None, "x": 0.1}


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(6, 4, 3, 3, generator=generator)
    return {
        "plain": weight,
        "same memory": weight,
        "part of it": weight[2:4],
        "channels last": weight.to(memory_format=torch.channels_last),
        "turned": weight[0, 0].T,
        "half": weight.to(torch.bfloat16),
        "double": weight.double() / 3,
        "count": torch.tensor(7),
        "mask": weight[0] > 0,
        "random state": generator.get_state(),
        "nothing": torch.empty(0, 3),
        "parameter": nn.Parameter(torch.tensor([math.nan, -0.0])),
    }


def bits(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_everything_comes_back_bit_by_bit(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "checkpoint.safetensors", tensors(), DOCUMENT)
    found, document = load_checkpoint(tmp_path / "checkpoint.safetensors")
    assert document == DOCUMENT
    assert found.keys() == tensors().keys()
    for name, tensor in tensors().items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert bits(found[name]) == bits(tensor), name
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def test_nan_comes_back_too(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a.safetensors", {}, {"loss": math.nan})
    assert math.isnan(load_checkpoint(tmp_path / "a.safetensors")[1]["loss"])


def test_what_was_loaded_does_not_change_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"a": torch.zeros(1000)}, {})
    found, _ = load_checkpoint(path)
    data = path.read_bytes()
    path.write_bytes(data[:-4000] + b"\xff" * 4000)  # in place: the same file, other contents
    assert not found["a"].any()


def test_a_cut_file_is_one_sentence_wherever_it_was_cut(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, tensors(), DOCUMENT)
    whole = path.read_bytes()
    for length in (0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(SegmenterFileError, match="is damaged or no checkpoint") as caught:
            load_checkpoint(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("metadata", "sentence"),
    [
        ({"napari_fcn": "{}"}, "holds tensors, but is no checkpoint"),
        (None, "holds tensors, but is no checkpoint"),
        ({KEY: "{"}, "not a complete checkpoint"),
        ({KEY: "[]"}, "not a complete checkpoint"),
        ({KEY: json.dumps({"format": FORMAT})}, "not a complete checkpoint .*'document'"),
        ({KEY: json.dumps({"format": FORMAT, "document": 3})}, "not a complete checkpoint .*int"),
        ({KEY: json.dumps({"format": FORMAT + 1})}, rf"newer napari-fcn \(format {FORMAT + 1}.*update"),
    ],
)
def test_a_file_of_another_kind_is_one_sentence(tmp_path: Path, metadata, sentence: str) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors", metadata=metadata)
    with pytest.raises(SegmenterFileError, match=sentence) as caught:
        load_checkpoint(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_a_folder_are_said(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.safetensors", tmp_path):
        with pytest.raises(SegmenterFileError, match="There is no checkpoint"):
            load_checkpoint(path)


def test_a_pickle_is_never_opened(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self):
            return Path.touch, (trap,)

    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(SegmenterFileError, match="damaged or no checkpoint"):
        load_checkpoint(path)
    assert not trap.exists()


def test_what_cannot_be_written_leaves_the_checkpoint_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, {"a": torch.ones(3)}, {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OutputError, match="the disk is full"):
        save_checkpoint(path, {"a": torch.zeros(3)}, {"step": 2})
    assert load_checkpoint(path)[1] == {"step": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.safetensors"]


class Small(nn.Module):
    """Convolutions of the usual kinds, normalised."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.gain = nn.Parameter(torch.tensor(1.0))
        self.head = nn.Conv2d(8, 2, 1)
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.depthwise(self.stem(x).relu())).relu()
        return self.head(self.pointwise(x) * self.gain)


def make(kind: str, network: nn.Module, rate: float = 0.01) -> torch.optim.Optimizer:
    inner = [p for name, p in network.named_parameters() if not name.startswith(("head", "stem"))]
    groups = [
        {"params": list(network.head.parameters()), "lr": rate, "highest": rate},
        {"params": inner, "lr": rate / 2, "highest": rate / 2},
        {"params": list(network.stem.parameters()), "lr": rate / 4, "highest": rate / 4},
    ]
    if kind == "AdamW":
        return torch.optim.AdamW(groups, lr=rate, fused=True)
    return torch.optim.SGD(groups, lr=rate, momentum=0.9, nesterov=True, fused=True)


def learn(network: Small, optimizer: torch.optim.Optimizer, steps: range) -> None:
    """Some steps, of which the first seven keep the stem as it is."""
    for step in steps:
        network.stem.requires_grad_(step >= 7)
        random = torch.Generator().manual_seed(step)
        image = torch.randn(2, 3, 16, 16, generator=random).to(memory_format=torch.channels_last)
        truth = (image.mean(dim=1) > 0).long()
        for group in optimizer.param_groups:
            group["lr"] = group["highest"] / (1 + step)
        optimizer.zero_grad(set_to_none=True)
        nn.functional.cross_entropy(network(image), truth).backward()
        optimizer.step()


def stop_and_go_on(kind: str, path: Path, *, remember: bool = True) -> tuple[Small, torch.optim.Optimizer]:
    network = Small(0)
    optimizer = make(kind, network)
    learn(network, optimizer, range(5))
    state, document = pack_optimizer(optimizer, network.named_parameters())
    weights = {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
    save_checkpoint(path, weights | state, {"optimizer": document})
    found, document = load_checkpoint(path)
    fresh = Small(1)
    fresh.load_state_dict({n.removeprefix("network."): t for n, t in found.items() if n.startswith("network.")})
    optimizer = make(kind, fresh, rate=0.5)  # its settings are in the checkpoint
    if remember:
        unpack_optimizer(optimizer, fresh.named_parameters(), found, document["optimizer"])
    else:
        optimizer = make(kind, fresh)
    learn(fresh, optimizer, range(5, 10))
    return fresh, optimizer


@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_going_on_is_the_same_as_never_having_stopped(kind: str, tmp_path: Path) -> None:
    whole = Small(0)
    whole_optimizer = make(kind, whole)
    learn(whole, whole_optimizer, range(10))
    gone_on, optimizer = stop_and_go_on(kind, tmp_path / "a.safetensors")
    for name, tensor in whole.state_dict().items():
        assert bits(gone_on.state_dict()[name]) == bits(tensor), name
    for one, other in zip(whole.parameters(), gone_on.parameters(), strict=True):
        assert whole_optimizer.state[one].keys() == optimizer.state[other].keys() != set()
        for key, tensor in whole_optimizer.state[one].items():
            assert bits(optimizer.state[other][key]) == bits(tensor)
            assert optimizer.state[other][key].stride() == tensor.stride()
    forgetful, _ = stop_and_go_on(kind, tmp_path / "b.safetensors", remember=False)
    assert not torch.equal(forgetful.pointwise.weight, whole.pointwise.weight)  # so it takes the state to be the same


@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_the_state_is_like_what_it_was(kind: str) -> None:
    network = Small(0)
    optimizer = make(kind, network)
    learn(network, optimizer, range(2))
    tensors, document = pack_optimizer(optimizer, {p: name for name, p in network.named_parameters()})
    document = json.loads(json.dumps(document))
    fresh = Small(1)
    other = make(kind, fresh, rate=0.5)
    other.param_groups[0]["fused"] = None  # how it computes is this machine's affair
    unpack_optimizer(other, dict(fresh.named_parameters()).items(), tensors, document)
    assert other.param_groups[0]["fused"] is None
    names = dict(network.named_parameters())
    for name, parameter in fresh.named_parameters():
        state, before = other.state.get(parameter, {}), optimizer.state.get(names[name], {})
        assert state.keys() == before.keys()
        assert bool(state) == (not name.startswith("stem"))  # what has never learnt has nothing to remember
        for key, tensor in before.items():
            assert (state[key].dtype, state[key].device) == (tensor.dtype, tensor.device)
            assert state[key].stride() == tensor.stride()
            assert torch.equal(state[key], tensor)
    for group, before in zip(other.param_groups, optimizer.param_groups, strict=True):
        for key in ("lr", "highest", "weight_decay", "betas", "eps", "momentum", "nesterov"):
            assert group.get(key) == before.get(key)
            assert type(group.get(key)) is type(before.get(key))


def test_what_was_packed_does_not_change_when_training_goes_on() -> None:
    network = Small(0)
    optimizer = make("AdamW", network)
    learn(network, optimizer, range(1))
    tensors, _ = pack_optimizer(optimizer, network.named_parameters())
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    learn(network, optimizer, range(1, 3))
    assert before
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors.items())


def test_the_state_of_half_precision_weights_keeps_its_type(tmp_path: Path) -> None:
    """And it is on a file that numpy knows nothing of."""
    layer = nn.Linear(3, 2).to(torch.bfloat16)
    optimizer = torch.optim.AdamW(layer.parameters())
    layer(torch.ones(1, 3, dtype=torch.bfloat16)).sum().backward()
    optimizer.step()
    tensors, document = pack_optimizer(optimizer, layer.named_parameters())
    save_checkpoint(tmp_path / "a.safetensors", tensors, document)
    tensors, document = load_checkpoint(tmp_path / "a.safetensors")
    other = torch.optim.AdamW(layer.parameters())
    unpack_optimizer(other, layer.named_parameters(), tensors, document)
    assert other.state[layer.weight]["exp_avg"].dtype == torch.bfloat16
    assert torch.equal(other.state[layer.weight]["exp_avg"], optimizer.state[layer.weight]["exp_avg"])


def test_what_does_not_fit_is_one_sentence_and_changes_nothing() -> None:
    network = Small(0)
    optimizer = make("AdamW", network)
    learn(network, optimizer, range(2))
    tensors, document = pack_optimizer(optimizer, network.named_parameters())
    wide = nn.Conv2d(8, 3, 1)

    def refused(match: str, target, names, tensors=tensors, document=document) -> None:
        before = {key: dict(value) for key, value in target.state.items()}
        rates = [group["lr"] for group in target.param_groups]
        with pytest.raises(InputError, match=match) as caught:
            unpack_optimizer(target, names, tensors, document)
        assert "\n" not in str(caught.value)
        assert {key: dict(value) for key, value in target.state.items()} == before
        assert [group["lr"] for group in target.param_groups] == rates

    named = list(network.named_parameters())
    refused("the optimizer 'AdamW', this training has 'SGD'", make("SGD", network), named)
    refused(
        r"learns 10 parameters in 3 groups, which are not the 2 in 1 groups",
        torch.optim.AdamW(wide.parameters()),
        wide.named_parameters(),
    )
    renamed = [(name.replace("stem", "trunk"), parameter) for name, parameter in named]
    refused("are not the 10 in 3 groups", make("AdamW", network), renamed)
    some = dict(tensors)
    missing = some.popitem()[0]
    refused(f"not complete: '{missing}' is missing", make("AdamW", network), named, some)
    wrong = {name: tensor if tensor.ndim < 4 else tensor[..., :1, :1, :1] for name, tensor in tensors.items()}
    refused(r"has shape \(.*, 1, 1, 1\), its parameter", make("AdamW", network), named, wrong)


def test_a_parameter_without_a_name_is_a_mistake() -> None:
    network = Small(0)
    with pytest.raises(ValueError, match=r"A parameter of shape \(2, 8, 1, 1\) that is learnt has no name"):
        pack_optimizer(make("SGD", network), network.stem.named_parameters())


def test_the_file_can_be_read_by_others(tmp_path: Path) -> None:
    """It is an ordinary safetensors file."""
    save_checkpoint(tmp_path / "a.safetensors", {"a": torch.arange(3)}, {"step": 1})
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        np.testing.assert_array_equal(file.get_tensor("a"), [0, 1, 2])
        assert json.loads(file.metadata()["napari_fcn_checkpoint"]) == {"format": 1, "document": {"step": 1}}
