import gc
import weakref
from typing import Any, cast

import numpy as np

from napari_fcn.config import ModelConfig
from napari_fcn.data import ClassTable, LabelClass
from napari_fcn.data.normalization import Normalization
from napari_fcn.models import NetworkSpec, build
from napari_fcn.segmenter import Segmenter
from napari_fcn.widgets.store import IN_MEMORY, SegmenterStore


def test_names_are_unique_and_tell_the_score() -> None:
    store = SegmenterStore()
    segmenter = cast(Segmenter, object())
    seen: list[Any] = []
    store.changed.connect(seen.append)
    names = [
        store.add_trained(segmenter, "unet", 0.834),
        store.add_trained(segmenter, "fpn", None),
        store.add(segmenter, "nuclei"),
        store.add(segmenter, "nuclei"),
    ]
    assert names == ["unet 1 (0.83)", "fpn 2", "nuclei", "nuclei [1]"] == list(store) == seen
    store.remove("fpn 2")
    assert store.add_trained(segmenter, "unet", None) == "unet 3"


def small(value: int) -> Segmenter:
    model = ModelConfig(architecture="unet-classic", weights="none", depth=2, width=4)
    network = build(NetworkSpec(model, 1, 1), pretrained=False).eval()
    classes = ClassTable((LabelClass(value, f"class {value}", "#000000"),))
    return Segmenter(network, model, 1, classes, Normalization("image"))


def test_only_the_last_ones_stay_in_memory_and_the_others_come_back() -> None:
    store = SegmenterStore()
    made = [small(value) for value in range(1, IN_MEMORY + 3)]
    names = [store.add_trained(each, "unet", None) for each in made]
    before = [each.network.state_dict() for each in made]
    alive = [weakref.ref(each.network) for each in made]
    del made
    gc.collect()
    assert [reference() is not None for reference in alive] == [False, False, *[True] * IN_MEMORY]
    assert list(store) == names
    for value, name in enumerate(names, start=1):
        assert store[name].classes.values == (value,)
        for mine, theirs in zip(store[name].network.state_dict().values(), before[value - 1].values(), strict=True):
            np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    gc.collect()
    folder = store._folder
    assert folder is not None
    assert len(list(folder.iterdir())) == 2
    for name in names:
        store.remove(name)
    assert list(folder.iterdir()) == []
    del store
    gc.collect()
    assert not folder.exists()
