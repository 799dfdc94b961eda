from typing import Any, cast

from napari_fcn.segmenter import Segmenter
from napari_fcn.widgets.store import SegmenterStore


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
